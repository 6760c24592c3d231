"""Which part of a dataset the name of a folder says it is: Train, TESTING, val2017, seg_test, training_set ..."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from caspl.ground import texts
from caspl.ground.errors import InputError

WORDS = {
    "train": ("train", "training", "trainval", "trn"),
    "val": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing", "tst", "holdout"),
    "eval": ("eval", "evaluation"),  # test, unless there is one beside it
}
PLAIN = "images|image|imgs|img|pictures|pics|photos|data|datasets|dataset|sets|set|split|folder|files|samples|examples"
PIECE = re.compile(f"parts?|batch|batches|folds?|chunks?|shards?|volumes?|archives?|{PLAIN}")
PART_OF = {word: part for part, words in WORDS.items() for word in words}
WORD = re.compile(f"(?:{PLAIN})?({'|'.join(sorted(PART_OF, key=len, reverse=True))})?(?:{PLAIN})?")


class Named(NamedTuple):
    """A name that says a part, and what else it says: "birds" of birds_train."""

    part: str
    rest: str


def named(name: str) -> Named | None:
    """The part that a name says; None where it says none or two of them. Digits and words such as "images" say nothing."""
    spread = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name)).casefold()
    parts, rest = set(), []
    for word in re.findall(r"[^\W\d_]+", spread):
        if found := WORD.fullmatch(word):
            parts |= {PART_OF[found[1]]} if found[1] else set()
        else:
            rest.append(word)
    if parts == {"train", "val"}:
        parts = {"train"}
    return Named(*parts, " ".join(rest)) if len(parts) == 1 else None


def groups(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """{what names say beside a part: {name: part}}, of those names that are train and others: the divisions among them."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        if said := named(name):
            found.setdefault(said.rest, {})[name] = said.part
    return {
        rest: settled(parts)
        for rest, parts in found.items()
        if "train" in parts.values() and len(set(parts.values())) > 1
    }


def settled(parts: dict[str, str]) -> dict[str, str]:
    """`parts` by what says them, with "eval" as the one of test and val that is not there."""
    free = next((part for part in ("test", "val") if part not in parts.values()), "test")
    return {name: free if part == "eval" else part for name, part in parts.items()}


def pieces(names: Iterable[str]) -> list[str]:
    """The names that differ in numbers only and say pieces of a collection: images_part_1 and images_part_2, batch1 ..."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        alike.setdefault(tuple(re.findall(r"[^\W\d_]+", name.casefold())), []).append(name)
    return next((same for words, same in alike.items() if same[1:] and any(map(PIECE.fullmatch, words))), [])


def check_once(parts: dict[str, str], folder: str) -> None:
    """Make sure that no two folders in `folder` are the same part. Raises InputError."""
    known: dict[str, str] = {}
    for name, part in parts.items():
        if other := known.get(part):
            raise InputError(
                f"{folder} holds {other}/ and {name}/, which both mean {part}, expected one folder for each of train, val "
                f"and test; put them together or take one away"
            )
        known[part] = name


def letters(name: str) -> str:
    """What is left of a class name where case, separators, accents' spelling and a plural's s are not looked at."""
    plain = texts.letters(unicodedata.normalize("NFKC", name))
    return plain.removesuffix("s") or plain
