"""Every declared key with values that it cannot have, in a YAML file or behind the flags."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..cases import Case
from ..sound import Sound, recipe


class Value(NamedTuple):
    what: str
    value: Any
    yaml: str
    option: str  # behind the flags


INF, NAN = float("inf"), float("nan")
VALUES = (
    Value("null", None, "null", "None"),
    Value("a text", "often", '"often"', "often"),
    Value("a list in a list", [[1]], "[[1]]", "[[1]]"),
    Value("a mapping", {"A": 1}, "{A: 1}", "{'A': 1}"),
    Value("NaN", NAN, ".nan", "nan"),
    Value("infinity", INF, ".inf", "inf"),
    Value("1e400", INF, "1.0e+400", "1e400"),
    Value("negative", -7, "-7", "-7"),
    Value("zero", 0, "0", "0"),
    Value("huge", 10**30, f"1{'0' * 30}", f"1{'0' * 30}"),
    Value("an empty list", [], "[]", "[]"),
    Value("a list too long", [1] * 9, "[1, 1, 1, 1, 1, 1, 1, 1, 1]", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"),
    Value("many digits", None, "9" * 5000, "9" * 5000),
    Value("a terminal's escapes", "\x1b[2Jx", r'"\e[2Jx"', "\x1b[2Jx"),
)
# The trainer that reads a section; CoOp reads the rest
READERS = {
    "TRAINER.ZSCLIP": "ZeroshotCLIP",
    "TRAINER.LINEARPROBE": "LinearProbe",
    "TRAINER.COCOOP": "CoCoOp",
    "TRAINER.IVLP": "IVLP",
    "TRAINER.VPT": "VPT",
    "TRAINER.MAPLE": "MaPLe",
    "TRAINER.PROMPTSRC": "PromptSRC",
    "TRAINER.CASPL": "CasPLBoost",
    "LOSS": "ProGrad",
}
# What every command here gives, so that a file has no say
GIVEN = ("OUTPUT_DIR", "SEED", "DATASET.ROOT", "DATASET.NUM_SHOTS", "OPTIM.MAX_EPOCH", "TRAINER.NAME")
# What a number can never be, whatever its key's bounds
NO_NUMBERS = (
    "null",
    "a text",
    "a list in a list",
    "a mapping",
    "NaN",
    "infinity",
    "1e400",
    "huge",
    "a terminal's escapes",
)


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    from caspl.configs.keys import declared

    for key in declared():
        for number, value in enumerate(VALUES):
            in_file = (number + seed) % 2 and key.name not in GIVEN
            if not impossible(key, value, value.value if in_file else key.taken(value.option)):
                continue
            of_kgcoop = key.name in ("TRAINER.COOP.W", "TRAINER.COOP.ALPHA")
            trainer = "KgCoOp" if of_kgcoop else READERS.get(key.section, "CoOp")
            what = f"{key.name} {value.what}"
            if in_file:
                prepare = partial(write, trainer=trainer, text=nested(key.name, value.yaml))
                argv = sound.digits(trainer, "--config-file", "case.yaml")
                yield Case("key in a file", "train", what, argv, (key.name, "case.yaml, line"), prepare)
            else:
                argv = sound.digits(trainer, key.name, value.option)
                yield Case("key in a command", "train", what, argv, (key.name,))


def impossible(key: Any, value: Value, read: Any) -> bool:
    """Whether the key's declaration, or what numbers are at all, says that it cannot have what is `read` of the value."""
    if value.what == "many digits":
        return key.kind in (int, float, bool)
    if key.kind in (int, float) and value.what in NO_NUMBERS:
        return True
    return bool(key.problem(read))


def nested(name: str, value: str) -> str:
    """The text of a YAML file that sets one key."""
    *sections, last = name.split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    return "\n".join([*lines, f"{'  ' * len(sections)}{last}: {value}", ""])


def write(folder: Path, trainer: str, text: str) -> None:
    """A trainer's settings for the digits, and one key."""
    base = os.path.relpath(recipe(trainer), folder)
    (folder / "case.yaml").write_text(f"_BASE_: {base}\n{text}", encoding="utf-8")
