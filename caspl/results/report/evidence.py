"""Where the numbers come from: the runs of each method on each dataset, what they got wrong, and how they were trained."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from ..methods import MARK
from ..names import dataset_order, method_name, method_order
from ..reading.run import BASE_TO_NEW, CROSS_DATASET, DOMAINS, FEW_SHOT, Run
from ..records import NAME
from . import facts
from .panels.classes import Worst, worst_of
from .panels.confusion import Confusion, confusion_of
from .panels.curves import Curves, curves_of
from .panels.pictures import Finder
from .panels.pooled import Pooled, Reader, pooled_by_classes
from .panels.reliability import Reliability, reliability_of

TITLES = {
    BASE_TO_NEW: "Base to new",
    FEW_SHOT: "Few-shot",
    CROSS_DATASET: "Cross-dataset",
    DOMAINS: "Domain generalisation",
}
CLASSES = ("base", "new", "all")


@dataclass(frozen=True)
class ShownRun:
    """A finished run; `command` is empty where it left no record."""

    anchor: str
    what: str  # tells it from the others of its method
    accuracy: str
    counts: str
    calibration: str
    seconds: str
    path: str
    record: str  # address of its record, relative to the page; "": there is none beside it
    command: str
    facts: list[facts.Facts]


@dataclass(frozen=True)
class ShownTest:
    """The runs of a method on the same classes, pooled."""

    title: str
    worst: Worst
    confusion: Confusion | None
    reliability: Reliability | None


@dataclass(frozen=True)
class Evidence:
    """One method on one dataset: of one configuration and one number of shots."""

    anchor: str
    method: str
    what: str  # shots and configuration
    accuracies: list[str]
    tests: list[ShownTest]
    curves: Curves | None
    runs: list[ShownRun]


@dataclass(frozen=True)
class Group:
    """All of one setting on one dataset."""

    title: str
    evidence: list[Evidence]


def method_of(run: Run) -> str:
    return method_name(run.trainer) + (MARK if run.inductive else "")


def order_of(run: Run) -> tuple:
    """Sorting key: as the tables have them."""
    place = [*TITLES].index(run.setting), dataset_order(run.dataset), method_order(run.trainer), run.inductive
    seed = -1 if run.seed is None else run.seed
    return *place, run.root, run.config, run.shots, run.backbone or "", seed, CLASSES.index(run.classes), run.path


def _own(run: Run) -> tuple:
    """What the runs of one Evidence have in common."""
    return run.setting, run.dataset, run.trainer, run.inductive, run.root, run.config, run.shots, run.backbone


class Evidences:
    """All evidence of a page.

    Args:
        folder: below which the runs lie.
        runs: all of the page.
        beside: the folder that the page is written into, from which it links to records; None: it does not.
    """

    def __init__(self, folder: Path, runs: Sequence[Run], beside: Path | None) -> None:
        self.folder, self.beside = Path(os.path.abspath(folder)), beside
        self.runs = sorted(runs, key=order_of)
        self.members = [list(own) for _, own in groupby(self.runs, key=_own)]
        self.anchors = {run.path: f"row-{n}" for n, own in enumerate(self.members, 1) for run in own}
        self._numbers = {run.path: number for number, run in enumerate(self.runs, 1)}
        self._tests = [pooled_by_classes(own) for own in self.members]
        every = [test for tests in self._tests for test in tests]
        self.reader, self.finder = Reader(self.folder, every), Finder(self.folder, len(every))

    def run_anchor(self, run: Run) -> str:
        return f"run-{self._numbers[run.path]}"

    def groups(self) -> list[Group]:
        shown = zip(self.members, self._tests, strict=True)
        return [
            Group(title, [self._evidence(members, tests) for members, tests in own])
            for title, own in groupby(shown, key=lambda pair: _title(pair[0][0]))
        ]

    def _evidence(self, members: list[Run], tests: list[Pooled]) -> Evidence:
        first = members[0]
        return Evidence(
            anchor=self.anchors[first.path],
            method=method_of(first),
            what=", ".join(
                filter(None, (f"{first.shots} shots" if first.shots else "", first.config, _shown_root(first)))
            ),
            accuracies=[*_accuracies(members)],
            tests=[self._test(test) for test in tests],
            curves=curves_of(self._trainings(members)),
            runs=[self._run(run) for run in members],
        )

    def _test(self, test: Pooled) -> ShownTest:
        images = self.reader.read(test)
        return ShownTest(
            title=f"{test.subset} classes",
            worst=worst_of(test, images, self.finder),
            confusion=confusion_of(test, images) if images is not None else None,
            reliability=reliability_of(test),
        )

    def _trainings(self, members: list[Run]) -> Iterator[tuple[str, Path]]:
        """The folders of the trainings whose models these runs are of, or tested."""
        seen = set()
        for run in members:
            folder = (self.folder / run.path).parent
            if run.is_test:
                folder = self.below(run.record.model.folder) if run.record is not None and run.record.model else None
            if folder is not None and folder not in seen:
                seen.add(folder)
                yield ("one run" if run.seed is None else f"seed {run.seed}"), folder

    def below(self, text: str) -> Path | None:
        """The folder, below that of the page, that a run called `text`: by as much of its end as is there."""
        parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        ends = (self.folder.joinpath(*parts[start:]) for start in range(len(parts)))
        places = (place for end in ends for place in (end, end.parent))  # of a file that it made, its folder
        return next((place for place in places if place != self.folder and (place / NAME).is_file()), None)

    def _run(self, run: Run) -> ShownRun:
        record, result = run.record, run.record.result if run.record is not None else None
        spent = record.cost.training_seconds + record.cost.evaluation_seconds if record is not None else 0
        return ShownRun(
            anchor=self.run_anchor(run),
            what=_which(run),
            accuracy=f"{run.accuracy:.2f} %",
            counts=f"{result.correct:,} of {result.total:,} images" if result is not None else "",
            calibration=f"{result.ece:.2f} %" if result is not None and result.ece is not None else "",
            seconds=facts.duration(spent) if spent else "",
            path=run.path,
            record=self._address(run) if record is not None else "",
            command=facts.command(record) if record is not None else "",
            facts=facts.of_record(record) if record is not None else facts.of_log(run),
        )

    def _address(self, run: Run) -> str:
        """Relative, each character that could mean something to a browser as a number."""
        if self.beside is None:
            return ""
        path = (self.folder / run.path).parent / NAME
        relative = os.path.relpath(path, os.path.abspath(self.beside)).replace(os.sep, "/")
        return "./" + quote(relative.encode("utf-8", "surrogateescape"))


def _title(run: Run) -> str:
    return f"{TITLES[run.setting]}, {run.dataset}"


def _which(run: Run) -> str:
    seed = "" if run.seed is None else f"seed {run.seed}"
    return ", ".join(filter(None, (seed, f"{run.classes} classes" if run.setting == BASE_TO_NEW else "")))


def _shown_root(run: Run) -> str:
    return f"in {run.root}" if run.root not in ("", ".") else ""


def _accuracies(members: list[Run]) -> Iterator[str]:
    """Means over the runs of each kind of classes."""
    for classes in CLASSES:
        own = [run.accuracy for run in members if run.classes == classes]
        if own:
            name = f"{classes} " if members[0].setting == BASE_TO_NEW else ""
            yield f"{name}{statistics.mean(own):.2f} %"
