"""What the folder of a log says: the output layouts of the CoOp family."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...ground.texts import visible
from ..names import known_dataset, known_trainer

TESTED = {
    "train_base": "base",
    "test_base": "base",
    "test_new": "new",
}  # elsewhere all classes, unless the log says more
PARTS = "(?P<part>train_base|test_base|test_new|test_all|test_)"
SEED = r"seed_?(?P<seed>\d{1,9})(?:/(?:evaluation|eval|test))?"  # ATPrompt tests a model in a folder inside its own
CONFIG = r"(?P<config>[^/]+)_(?P<shots>\d{1,9})shots(?P<tag>_[^/]+)?(?:/(?P<suffix>.+))?"
SHOTS = r"shots_(?P<shots>\d{1,9})(?:_(?P<suffix>[^/]+))?"

# The folders of a run's log, in the order in which they are tried: the later ones would fit some of the earlier, too.
LAYOUTS = tuple(
    re.compile(pattern)
    for pattern in (
        # CasPL's scripts for other datasets write to test_: the rest of the name is a variable that they do not set.
        # MMA has no folder for the configuration.
        rf"(?P<root>.*)/base2new/{PARTS}/(?P<dataset>[^/]+)/{SHOTS}/(?P<trainer>[^/]+)(?:/(?P<config>.+))?/{SEED}",
        rf"(?P<root>.*)/{PARTS}/(?P<trainer>[^/]+)/(?P<dataset>[^/]+)/shots(?P<shots>\d{{1,9}})/(?P<config>.+)/{SEED}",  # DePT
        rf"(?P<root>.*)/(?P<part>evaluation)/(?P<trainer>[^/]+)/{CONFIG}/(?P<dataset>[^/]+)/{SEED}",
        rf"(?P<root>.*)/(?P<dataset>[^/]+)/(?P<trainer>[^/]+)/{CONFIG}/{SEED}",
        rf"(?P<root>.*)/few_shot/(?P<dataset>[^/]+)/{SHOTS}/(?P<trainer>[^/]+)/(?P<config>.+)/{SEED}",  # MMRL
        rf"(?P<root>.*)/(?P<trainer>[^/]+)/(?P<dataset>[^/]+)/shots(?P<shots>\d{{1,9}})/(?P<config>.+)/{SEED}",  # DePT
        r"(?P<root>.*)/(?P<trainer>ZeroshotCLIP2?)/(?P<config>[^/]+)/(?P<dataset>(?!seed_?\d{1,9}$)[^/]+)(?:/test)?",
    )
)
ANYWHERE = re.compile(r"(?P<root>.*)/seed_?(?P<seed>\d{1,9})(?P<behind>/.+)?")  # the folder says no more than the seed
EXPECTED = (
    "base2new/{train_base,test_base,test_new,test_all}/<dataset>/shots_<K>/<trainer>/<config>/seed<k>, "
    "<dataset>/<trainer>/<config>_<K>shots/seed<k>, evaluation/<trainer>/<config>_<K>shots/<dataset>/seed<k> "
    "or ZeroshotCLIP/<config>/<dataset>, or in any seed<k> if they print their configuration"
)
BACKBONE = re.compile(r"(rn\d{2,3}(?:x\d{1,2})?|vit_?[bl]_?\d{2})(?![a-z\d])", re.IGNORECASE)
SHOTS_SAID = re.compile(r"shots?_?(\d{1,9})(?:_.*)?|(?:.*_)?(\d{1,9})_?shots?(?:_.*)?")


@dataclass(frozen=True)
class Place:
    """What the folder of a log says; None and "" where it is silent."""

    root: Path  # what stands in front of what is said
    dataset: str | None = None
    trainer: str | None = None
    config: str = ""
    shots: int | None = None
    seed: int | None = None
    part: str = ""  # train_base, test_new, evaluation ...

    @property
    def classes(self) -> str | None:
        """That are tested here; None: all, or what the log says."""
        return TESTED.get(self.part)


def places(folder: Path) -> Iterator[Place]:
    """What a folder may say, the most telling layout first."""
    path = folder.as_posix()
    for layout in (*LAYOUTS, ANYWHERE):
        if match := layout.fullmatch(path):
            said = {name: None if value is None else visible(value) for name, value in match.groupdict().items()}
            config = (said.get("config") or "") + (said.get("tag") or "")
            yield Place(
                root=Path((match["root"] or "/") + (said.get("behind") or "")),
                dataset=said.get("dataset"),
                trainer=said.get("trainer"),
                config="/".join(filter(None, (config, said.get("suffix")))),
                shots=_number(said.get("shots")),
                seed=_number(said.get("seed")),
                part=said.get("part") or "",
            )


@dataclass(frozen=True)
class Mentions:
    """What the names of folders mention, wherever they stand."""

    datasets: frozenset[str]  # the papers' names
    trainers: frozenset[str]
    shots: frozenset[int]
    seeds: frozenset[int]
    parts: frozenset[str]


def mentions(folder: str | os.PathLike[str]) -> Mentions:
    """Of a path in any layout, on any system, such as the folder of a model on a command line."""
    names = re.split(r"[/\\]", os.fspath(folder))
    shots = [match[1] or match[2] for match in map(SHOTS_SAID.fullmatch, names) if match]
    seeds = [match[1] for match in (re.fullmatch(r"seed_?(\d{1,9})", name) for name in names) if match]
    return Mentions(
        datasets=frozenset(filter(None, map(known_dataset, names))),
        trainers=frozenset(name for name in names if known_trainer(name)),
        shots=frozenset(map(int, shots)),
        seeds=frozenset(map(int, seeds)),
        parts=frozenset(name for name in names if name in TESTED),
    )


def backbone_said(config: str) -> str | None:
    """The backbone that the name of a configuration begins with, for example vit_b16."""
    match = BACKBONE.match(config)
    return match[1] if match else None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
