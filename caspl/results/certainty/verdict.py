"""Which method is best, by how much, whether that is certain, and how to run it again: in plain sentences.

A lead is certain where the exact sign-flip test over six or more datasets, or seeds of one, gives p of 0.05 or less and, as far
as there are predictions, the 95 % interval over the test images leaves out 0. Seeds say what another training would change,
images what other test images would. The best method has to pass the test against every other one; since it has to pass all, the
largest p decides and none is corrected (intersection-union test).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...ground.errors import InputError
from ...ground.texts import as_typed, counted
from ..names import BEHIND_BOOSTING, BOOSTING, UNTRAINED, backbone_name
from ..reading.run import BASE_TO_NEW, Run
from ..tables import Cell, Interval, Table, average, build_tables, harmonic_mean
from .compared import shown_p, shown_points
from .images import Answers
from .paired import ENOUGH, SIGNIFICANT, PairedTest, exact_test, least_p
from .protocol import TESTED, marks
from .scores import (
    ACCURACY,
    ALONE,
    WITHOUT,
    Comparison,
    Scores,
    comparisons,
    differences,
    metrics_of,
    partners,
    scores_of,
    shares_prompts,
)

SECOND, WITH = "second", "with CasPL"
ROLES = {
    SECOND: "the second",
    WITHOUT: "the same without CasPL",
    WITH: "the same with CasPL",
    ALONE: "its boosting prompts alone",
}


@dataclass(frozen=True)
class Margin:
    """The lead of the best method over another one.

    Attributes:
        kind: SECOND, WITHOUT CasPL, boosting ALONE, or WITH CasPL where the best is without.
        points: best minus other; of boosting ALONE the mean difference from the same prompts.
        test: over datasets or over seeds; None: they have none in common.
        images: 95 % interval of the lead over the test images, paired by image; None: over datasets, or no predictions.
        sentence: all of this.
    """

    kind: str
    method: str
    points: float
    test: PairedTest | None
    images: Interval | None
    certain: bool
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """Of one setting on one dataset, or over all of them.

    Attributes:
        dataset: its name, or "average of <number>".
        metric: the column that decides: HM, a number of shots, or "accuracy".
        margins: over the second and over what the best is to be compared with; empty of the only method.
        certain: whether the best leads so against every other method.
        sentence: which is best, by how much over the second, and whether that is certain.
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
    """Methods on different backbones are no rivals: the teacher's zero-shot accuracy is what the others are taught towards."""
    backbones: dict[str, dict[str, Scores]] = {}
    for name, own in scores_of(setting, main).items():
        backbones.setdefault(backbone_name(own.runs[0].backbone or ""), {})[name] = own
    for backbone, scores in sorted(backbones.items(), key=lambda item: -len(item[1])):
        if len(scores) > 1 or len(backbones) == 1:
            yield from _of_backbone(setting, main, scores, backbone if len(backbones) > 1 else "", answers)


def _of_backbone(
    setting: str, main: Table, scores: Mapping[str, Scores], backbone: str, answers: Answers | None
) -> Iterator[Verdict]:
    datasets = list(dict.fromkeys(dataset for own in scores.values() for dataset in own.datasets))
    for place in [datasets] * (len(datasets) > 1) + [[dataset] for dataset in datasets]:
        for metric in _deciding(setting, main):
            field = _Field(setting, metric, place, scores, backbone, answers)
            if field.cells:
                yield field.verdict()
                break


def _deciding(setting: str, main: Table) -> list[str]:
    """HM, the largest number of shots that there is, or the only metric."""
    return ["HM"] if setting == BASE_TO_NEW else [*metrics_of(setting, main)[::-1], "0"]


class _Field:
    """All methods that have the metric on each of some datasets; `backbone` is theirs where there are others, too."""

    def __init__(
        self,
        setting: str,
        metric: str,
        datasets: Sequence[str],
        scores: Mapping[str, Scores],
        backbone: str,
        answers: Answers | None,
    ):
        self.setting, self.metric, self.datasets, self.answers = setting, metric, datasets, answers
        self.backbone = f" with {backbone}" if backbone else ""
        found = {name: self._cell(own) for name, own in scores.items()}
        cells = [(name, cell) for name, cell in found.items() if cell is not None]
        self.cells = dict(sorted(cells, key=lambda item: -item[1].mean))  # from the best on
        self.scores = {name: scores[name] for name in self.cells}
        self.lacking = [name for name in scores if name not in self.cells] if len(datasets) > 1 else []

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
        tests = {other: self._test(self._pair(best, other, SECOND)) for other in others}
        margins = self._margins(best, others)
        several = len(self.datasets) > 1
        return Verdict(
            self.setting,
            f"average of {len(self.datasets)}" if several else self.datasets[0],
            self.metric,
            best,
            self.cells[best],
            tuple(margins),
            bool(others) and max(map(_doubt, tests.values())) <= SIGNIFICANT and margins[0].certain,
            " ".join(self._words(best, tests, margins)),
            tuple(_commands(self.cells[best])),
        )

    def _words(self, best: str, tests: Mapping[str, PairedTest | None], margins: Sequence[Margin]) -> Iterator[str]:
        names = {"HM": "HM", ACCURACY: "accuracy", "0": "zero-shot accuracy"}
        name = names.get(self.metric, f"{self.metric}-shot accuracy")
        place = f"on average over {len(self.datasets)} datasets" if len(self.datasets) > 1 else f"on {self.datasets[0]}"
        number = f"{place}: {name} {self.cells[best].mean:.2f}"
        if not tests:
            only = "only method that has them all" if self.lacking else "only method"
            yield f"{best} is the {only}{self.backbone} {number}."
        else:
            second = margins[0]
            lead = f"{second.points:.2f}"
            lead = "level with" if lead == "0.00" else f"{lead} points above"
            methods = f"{len(self.scores)} methods{self.backbone}"
            yield f"{best} is the best of {methods} {number}, {lead} the second, {second.method}."
            # The second speaks for all that are not beaten by test, if it is one of them
            rival, hardest = max(tests.items(), key=lambda item: min(_doubt(item[1]), 1.0))
            if _doubt(tests[second.method]) > SIGNIFICANT:
                rival, hardest = second.method, tests[second.method]
            if _doubt(hardest) > SIGNIFICANT:
                against = f"against {rival}, " if hardest is not None and hardest.sign_flip is not None else ""
                yield f"That is not certain: {against}{_said(hardest, self._pair(best, rival, SECOND).kind)}."
            elif not second.certain:
                yield f"That is not certain: {_said(hardest)}, but on other images the lead over the second may vanish."
            else:
                yield f"That is certain: against each of the others {_said(hardest)} or less."
        if tests and self.lacking:
            yield f"Not compared, since they lack some of these datasets: {', '.join(self.lacking)}."
        if shares_prompts(self.scores[best]):
            yield "Its seeds share their boosting prompts, so that what another phase 1 would change is not known."
        elif _trainer(self.scores[best]) == BOOSTING and len({run.seed for run in self.cells[best].runs}) == 1:
            yield "Phase 1 was not repeated, so that what another one would change is not known."
        if TESTED in marks(self.cells[best].runs):
            yield "Its epoch was chosen on test images, which makes its numbers too high."

    def _margins(self, best: str, others: Sequence[str]) -> list[Margin]:
        """Over the second, and over what the best is to be compared with, each other method once."""
        kinds = {others[0]: SECOND} if others else {}
        for pair in comparisons(self.scores)[0]:
            if pair.method.method == best:
                kinds.setdefault(pair.against.method, pair.kind)
            elif pair.against.method == best and pair.kind == WITHOUT:
                kinds.setdefault(pair.method.method, WITH)
        margins = [self._margin(best, other, kind) for other, kind in kinds.items()]
        return [each for each in margins if each.kind != ALONE or each.test is not None]  # else of other prompts

    def _margin(self, best: str, other: str, kind: str) -> Margin:
        pair = self._pair(best, other, kind)
        test = self._test(pair)
        own, rival = self.cells[best], self.cells[other]
        points, rivals = own.mean - rival.mean, rival.runs
        if kind == ALONE and test is not None:  # of what has the same prompts, and no other seeds of phase 1
            points, seeds = test.mean, partners(pair, own, rival).values()
            rivals = [run for run in rivals if run.seed in seeds]
        images, trouble = None, ""
        if self.answers is not None and len(self.datasets) == 1:
            try:
                images = self.answers.difference(own.runs, rivals)
            except InputError as error:
                trouble = f" What other images would change is not known: {error}."
        likely = images is None or images.low > 0
        certain = _doubt(test) <= SIGNIFICANT and likely
        known = "certain" if certain else "not certain"
        words = f"{shown_points(points)} points against {other}, {ROLES[kind]}: {known}, {_said(test, pair.kind)}."
        if images is not None:
            ends = f"{shown_points(images.low)} to {shown_points(images.high)}"
            words += (
                f" Other test images {'would hardly' if likely else 'may'} reverse it: "
                f"with these trained models the 95 % interval is {ends}."
            )
        return Margin(kind, other, points, test, images, certain, words + trouble)

    def _pair(self, best: str, other: str, kind: str) -> Comparison:
        """Boosting alone is always compared with the same prompts."""
        alone = _trainer(self.scores[other]) == BOOSTING
        return Comparison(self.scores[best], self.scores[other], ALONE if alone else kind)

    def _test(self, pair: Comparison) -> PairedTest | None:
        """Over datasets where there are enough, else over seeds that both have on each of them; None where there is none."""
        by_dataset = [self._differences(pair, dataset) for dataset in self.datasets]
        if len(by_dataset) >= ENOUGH and all(by_dataset):
            return exact_test("dataset", [statistics.mean(each.values()) for each in by_dataset])
        seeds = [seed for seed in by_dataset[0] if all(seed in each for each in by_dataset)]
        means = [statistics.mean(each[seed] for each in by_dataset) for seed in seeds]
        return exact_test("seed", means) if means else None

    def _differences(self, pair: Comparison, dataset: str) -> dict[int | None, float]:
        """By seed; of a best method that stands for several seeds of the other one, by the seeds of that one."""
        best, other = _trainer(pair.method), _trainer(pair.against)
        once = best in UNTRAINED and other not in UNTRAINED
        if once or (best == BOOSTING and other.startswith(BEHIND_BOOSTING)):
            turned = self._pair(pair.against.method, pair.method.method, SECOND)
            return {seed: -each for seed, each in differences(turned, dataset, self.metric).items()}
        return differences(pair, dataset, self.metric)


def _trainer(own: Scores) -> str:
    return own.runs[0].trainer


def _doubt(found: PairedTest | None) -> float:
    """p, and more than 1 where there is none; of a lead on the wrong side 1."""
    if found is None or found.sign_flip is None:
        return 2.0
    return found.sign_flip if found.mean > 0 else 1.0


def _said(found: PairedTest | None, kind: str = SECOND) -> str:
    """What a test says, or why there is none."""
    if found is None and kind == ALONE:
        return f"no seed of it stands behind the same prompts, and {ENOUGH} are needed for a test"
    if found is None:
        return f"they have no seed in common, and {ENOUGH} are needed for a test"
    over = counted(len(found.differences), found.unit)
    if found.sign_flip is None:
        return (
            f"with {over} an exact test can't give p below {least_p(len(found.differences)):.3g} ({ENOUGH} are needed)"
        )
    if found.mean <= 0:  # although its number is larger: that is of other seeds, too, or an HM of averages
        behind = f"{-found.mean:.2f} points behind" if found.mean else "level"
        return f"over the {over} that both have it is {behind}"
    return f"the sign-flip test over {over} gives p {shown_p(found.sign_flip)}"


def _commands(cell: Cell) -> Iterator[str]:
    """Training first."""
    first = min((run.seed for run in cell.runs if run.seed is not None), default=None)
    runs = [run for run in cell.runs if run.seed == first and run.record is not None]
    yield from dict.fromkeys(as_typed(["caspl", "train", *run.record.command]) for run in sorted(runs, key=_stage))


def _stage(run: Run) -> tuple[str, bool]:
    return run.dataset, run.is_test
