"""Runs of one method that were tested on the same classes, pooled over seeds: counts of records, images of predictions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....ground.errors import InputError
from ...reading.run import Run
from ...records import Result, predictions

MOST_READ = 1_000_000  # predictions that are read for one page, which takes about 15 seconds


@dataclass(frozen=True)
class Images:
    """Predictions of N images: those of several runs, one behind the other."""

    paths: list[str]  # in the dataset
    labels: np.ndarray  # [N], the true ones
    predicted: np.ndarray  # [N]
    confidence: np.ndarray  # [N], of the prediction, 0 to 1
    runs: int  # that they come from


@dataclass(frozen=True)
class Pooled:
    """Runs of one method whose models chose among the same classes; each has a result with counts of each class."""

    names: tuple[str, ...]  # of the classes, by label
    runs: tuple[Run, ...]

    @property
    def subset(self) -> str:
        """Which classes of the dataset they are: base, new or all."""
        return self.runs[0].classes

    @property
    def results(self) -> list[Result]:
        return [run.record.result for run in self.runs]


def pooled_by_classes(runs: Iterable[Run]) -> list[Pooled]:
    """By their classes, in the order of the runs; without runs that left no counts."""
    own: dict[tuple, list[Run]] = {}
    for run in runs:
        if run.record is not None and run.record.result is not None and run.record.dataset is not None:
            own.setdefault((run.classes, tuple(run.record.dataset.classes)), []).append(run)
    return [Pooled(names, tuple(members)) for (_, names), members in own.items()]


class Reader:
    """Predictions of runs, for as many as a page has time for: of each test the first seed, then of each the second ...

    Args:
        folder: below which the runs lie.
        tests: all of the page, in its order.

    Attributes:
        left: how many runs there is no time for.
        unread: whose predictions can't be read, by path, and why.
    """

    def __init__(self, folder: Path, tests: Sequence[Pooled], most: int = MOST_READ) -> None:
        self.folder, self.chosen, self.unread, self.left = folder, set(), {}, 0
        for _, run in sorted(((n, run) for test in tests for n, run in enumerate(test.runs)), key=lambda pair: pair[0]):
            count = run.record.predictions.images if run.record.predictions is not None else 0
            if 0 < count <= most:
                most -= count
                self.chosen.add(run.path)
            elif count:
                self.left += 1

    def read(self, test: Pooled) -> Images | None:
        """Those of a test; None where no run of it has any that could be read."""
        tables = []
        for run in test.runs:
            if run.path in self.chosen:
                place = (self.folder / run.path).parent
                try:
                    table = predictions.read(place, run.record.predictions)
                    predictions.recomputed(run.record, table)  # labels that its dataset lacks are refused
                    tables.append(table)
                except InputError as error:
                    self.unread[run.path] = str(error).replace(f"{place}{os.sep}", "")  # the path is named beside it
        if not tables:
            return None
        return Images(
            [path for table in tables for path in table.images],
            np.concatenate([table.labels for table in tables]),
            np.concatenate([table.top[:, 0] for table in tables]),
            np.concatenate([table.probabilities[:, 0] for table in tables]),
            len(tables),
        )
