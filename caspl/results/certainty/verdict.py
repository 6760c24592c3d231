"""Which method is best, by how much, whether that is certain, and how to run it again: in plain sentences.

A lead counts as certain where the exact sign-flip test over six or more datasets, or seeds, gives p of 0.05 or less against
every other method. The best has to beat each of them, so that the largest p decides and none is corrected (intersection-union
test).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...ground.errors import InputError
from ...ground.texts import as_typed, counted
from ..names import BOOSTING
from ..reading.run import BASE_TO_NEW, Run
from ..tables import Cell, Interval, Table, average, build_tables, harmonic_mean
from .compared import shown_p, shown_points
from .images import Answers
from .paired import ENOUGH, SIGNIFICANT, Test, least_p, tested
from .protocol import TESTED, marks
from .scores import ACCURACY, ALONE, WITHOUT, Comparison, Scores, comparisons, differences, metrics_of, scores_of

SECOND, WITH = "second", "with CasPL"


@dataclass(frozen=True)
class Margin:
    """The lead of the best method over another one.

    Attributes:
        kind: SECOND, WITHOUT CasPL, boosting ALONE, or WITH CasPL where the best is without.
        points: best minus other.
        test: over datasets or over seeds; None: they have none in common.
        images: 95 % interval over the test images, paired by image; None: of several datasets, or no predictions.
        sentence: all of this.
    """

    kind: str
    method: str
    points: float
    test: Test | None
    images: Interval | None
    certain: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """Of one setting on one dataset, or over all of them.

    Attributes:
        dataset: its name, or "average of <number>".
        metric: the column that decides, such as HM.
        certain: whether the best beats every other method, by test.
        sentence: which is best, and whether that is certain.
        commands: of the best method's runs of its first seed, as a shell takes them; none without records.
    """

    setting: str
    dataset: str
    metric: str
    method: str
    cell: Cell
    margins: tuple[Margin, ...]
    certain: bool
    sentence: str
    commands: tuple[str, ...]


def verdicts(runs: Sequence[Run], folder: Path | None = None) -> list[Verdict]:
    """Of each setting: over its datasets where there are several, then on each.

    With the `folder` that the paths of the runs are relative to, the predictions of the best methods and of those that they are
    compared with are read.
    """
    answers = None if folder is None else Answers(folder)
    return [each for setting, main in build_tables(runs).items() for each in _of_setting(setting, main, answers)]


def _of_setting(setting: str, main: Table, answers: Answers | None) -> Iterator[Verdict]:
    scores = scores_of(setting, main)
    datasets = list(dict.fromkeys(dataset for own in scores.values() for dataset in own.datasets))
    for place in [datasets] * (len(datasets) > 1) + [[dataset] for dataset in datasets]:
        for metric in _deciding(setting, main):
            field = _Field(setting, metric, place, scores, answers)
            if field.cells:
                yield field.verdict()
                break


def _deciding(setting: str, main: Table) -> list[str]:
    """HM, the largest number of shots that there is, or the only metric."""
    return ["HM"] if setting == BASE_TO_NEW else [*metrics_of(setting, main)[::-1], "0"]


class _Field:
    """All methods that have the metric on each of some datasets."""

    def __init__(
        self, setting: str, metric: str, datasets: Sequence[str], scores: Mapping[str, Scores], answers: Answers | None
    ):
        self.setting, self.metric, self.datasets, self.answers = setting, metric, datasets, answers
        found = {name: self._cell(own) for name, own in scores.items()}
        cells = [(name, cell) for name, cell in found.items() if cell is not None]
        self.cells = dict(sorted(cells, key=lambda item: -item[1].mean))  # from the best on
        self.scores = {name: scores[name] for name in self.cells}

    def _cell(self, own: Scores) -> Cell | None:
        """Of one dataset that of the table, else the average, as the tables have it."""
        cells = [own.cell(dataset, self.metric) for dataset in self.datasets]
        if None in cells or len(cells) == 1:
            return None if None in cells else cells[0]
        mean = statistics.mean(cell.mean for cell in cells)
        if self.metric == "HM":
            parts = [[own.cell(dataset, part).mean for dataset in self.datasets] for part in ("base", "new")]
            mean = harmonic_mean(*map(statistics.mean, parts))
        return average(mean, None, cells)

    def verdict(self) -> Verdict:
        best, *others = self.scores
        cell = self.cells[best]
        tests = {other: self._test(Comparison(self.scores[best], self.scores[other], SECOND)) for other in others}
        margins = self._margins(best, others)
        hardest = max(tests.values(), key=_doubt, default=None)
        certain = bool(others) and _doubt(hardest) <= SIGNIFICANT
        several = len(self.datasets) > 1
        place = f"on average over {len(self.datasets)} datasets" if several else f"on {self.datasets[0]}"
        name = {"HM": "HM", ACCURACY: "accuracy", "0": "zero-shot accuracy"}.get(
            self.metric, f"{self.metric}-shot accuracy"
        )
        words = [f"{best} is the best of {len(self.scores)} methods {place}: {name} {cell.mean:.2f}."]
        if not others:
            words = [f"{best} is the only method {place}: {name} {cell.mean:.2f}."]
        elif certain:
            words.append(f"That is certain: {_said(hardest)} or less against each of the others.")
        elif hardest is None or hardest.sign_flip is None:
            words.append(f"That is not certain: {_too_few(hardest)}.")
        else:
            rival = next(other for other, test in tests.items() if test is hardest)
            words.append(f"That is not certain: against {rival} {_said(hardest)}.")
        if TESTED in marks(cell.runs):
            words.append("Its epoch was chosen on test images, which makes its numbers too high.")
        return Verdict(
            self.setting,
            f"average of {len(self.datasets)}" if several else self.datasets[0],
            self.metric,
            best,
            cell,
            tuple(margins),
            certain,
            " ".join(words),
            tuple(_commands(cell)),
        )

    def _margins(self, best: str, others: Sequence[str]) -> list[Margin]:
        """Over the second, and over what the best is to be compared with, each other method once."""
        kinds = {others[0]: SECOND} if others else {}
        for pair in comparisons(self.scores)[0]:
            if pair.method.method == best:
                kinds.setdefault(pair.against.method, pair.kind)
            elif pair.against.method == best and pair.kind == WITHOUT:
                kinds.setdefault(pair.method.method, WITH)
        return [self._margin(best, other, kind) for other, kind in kinds.items()]

    def _margin(self, best: str, other: str, kind: str) -> Margin:
        paired = ALONE if self.scores[other].runs[0].trainer == BOOSTING else kind
        test = self._test(Comparison(self.scores[best], self.scores[other], paired))
        own, rival = self.cells[best], self.cells[other]
        points = own.mean - rival.mean
        certain = _doubt(test) <= SIGNIFICANT
        images, trouble = None, ""
        if self.answers is not None and len(self.datasets) == 1:
            try:
                images = self.answers.difference(own.runs, rival.runs)
            except InputError as error:
                trouble = f" Nothing is said of images: {error}."
        role = {SECOND: "the second", WITHOUT: "the same without CasPL", ALONE: "its boosting prompts alone"}.get(
            kind, "the same with CasPL"
        )
        words = f"{shown_points(points)} points against {other}, {role}: "
        words += f"certain, {_said(test)}." if certain else "not certain, "
        if not certain:
            words += f"{_too_few(test)}." if test is None or test.sign_flip is None else f"{_said(test)}."
        if images is not None:
            explained = (
                "may be chance of the images" if images.low <= 0 <= images.high else "is no chance of the images"
            )
            words += (
                f" Between these trained models, on the same test images, the difference {explained} "
                f"(95 % interval {images.low:+.2f} to {images.high:+.2f})."
            )
        return Margin(kind, other, points, test, images, certain, words + trouble)

    def _test(self, pair: Comparison) -> Test | None:
        """Over datasets where there are enough, else over seeds that both have on each of them; None where there is none."""
        by_dataset = [differences(pair, dataset, self.metric) for dataset in self.datasets]
        if len(by_dataset) >= ENOUGH and all(by_dataset):
            return tested("dataset", [statistics.mean(each.values()) for each in by_dataset])
        seeds = [seed for seed in by_dataset[0] if all(seed in each for each in by_dataset)]
        means = [statistics.mean(each[seed] for each in by_dataset) for seed in seeds]
        return tested("seed", means) if means else None


def _doubt(found: Test | None) -> float:
    """p, and more than 1 where there is none; of a lead on the wrong side 1."""
    if found is None or found.sign_flip is None:
        return 2.0
    return found.sign_flip if found.mean > 0 else 1.0


def _said(found: Test) -> str:
    over = counted(len(found.differences), found.unit)
    return f"the sign-flip test over {over} gives p {shown_p(found.sign_flip)}"


def _too_few(found: Test | None) -> str:
    if found is None:
        return f"they have no seed in common, and {ENOUGH} are needed for a test"
    number = len(found.differences)
    return (
        f"of {counted(number, found.unit)} no test gives p below {least_p(number):.2g}, "
        f"so that {found.unit}s alone can't show it ({ENOUGH} are needed)"
    )


def _commands(cell: Cell) -> Iterator[str]:
    """Training first."""
    first = min((run.seed for run in cell.runs if run.seed is not None), default=None)
    runs = [run for run in cell.runs if run.seed == first and run.record is not None]
    yield from dict.fromkeys(as_typed(["caspl", "train", *run.record.command]) for run in sorted(runs, key=_stage))


def _stage(run: Run) -> tuple[str, bool]:
    return run.dataset, run.is_test
