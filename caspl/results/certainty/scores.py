"""The numbers of a table by method, dataset and metric; which methods are compared with which; and their paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..names import BEHIND_BOOSTING, BOOSTING, UNTRAINED
from ..reading.run import BASE_TO_NEW, FEW_SHOT, Run
from ..tables import Cell, Row, Table
from .paired import PairedTest, exact_test

ACCURACY = "accuracy"  # the only metric of transfer tables, whose columns are datasets
WITHOUT, ALONE = "without CasPL", "boosting alone"  # what a method is compared with


@dataclass
class Scores:
    """Of one method: its cells by dataset and metric, and all runs that they come from."""

    method: str
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        return list(dict.fromkeys(run for cell in self.cells.values() for run in cell.runs))

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(dataset for dataset, _ in self.cells))

    def cell(self, dataset: str, metric: str) -> Cell | None:
        """What saw no labels has the same accuracy at every number of shots."""
        unlabelled = (dataset, "0") if metric.isdecimal() else (dataset, metric)
        return self.cells.get((dataset, metric), self.cells.get(unlabelled))


@dataclass(frozen=True)
class Comparison:
    """One method against another, and what that one is to it, such as WITHOUT or ALONE."""

    method: Scores
    against: Scores
    kind: str


def scores_of(setting: str, table: Table) -> dict[str, Scores]:
    """By method, in the order of the table; without averages, and of transfer tables without the source."""
    found: dict[str, Scores] = {}
    for row in table.rows:
        if not row.average:
            own = found.setdefault(row.method, Scores(row.method))
            own.cells |= dict(_cells(setting, table, row))
    return {method: own for method, own in found.items() if own.cells}


def _cells(setting: str, table: Table, row: Row) -> Iterator[tuple[tuple[str, str], Cell]]:
    for column, cell in zip(table.columns, row.cells, strict=True):
        if isinstance(cell, Cell):
            if setting in (BASE_TO_NEW, FEW_SHOT):
                yield (row.dataset, column), cell
            elif column in table.columns[1:-1]:  # between the source and the average
                yield (column, ACCURACY), cell


def metrics_of(setting: str, table: Table) -> list[str]:
    """What is compared."""
    if setting == BASE_TO_NEW:
        return table.columns
    return [column for column in table.columns if column != "0"] if setting == FEW_SHOT else [ACCURACY]


def comparisons(scores: Mapping[str, Scores]) -> tuple[list[Comparison], list[str]]:
    """Each method behind boosting prompts against itself without them, then against these alone; notes on what has no pair."""
    pairs, unpaired = {WITHOUT: [], ALONE: []}, []
    for own in scores.values():
        trainer = own.runs[0].trainer
        if trainer.startswith(BEHIND_BOOSTING):
            for kind, wanted in ((WITHOUT, trainer.removeprefix(BEHIND_BOOSTING)), (ALONE, BOOSTING)):
                others = _counterparts(own, [each for each in scores.values() if each.runs[0].trainer == wanted], kind)
                pairs[kind] += [Comparison(own, other, kind) for other in others if len(others) == 1]
                if len(others) > 1:
                    names = ", ".join(other.method for other in others)
                    unpaired.append(f"{own.method}: not compared, since several rows would do ({names}).")
    return [*pairs[WITHOUT], *pairs[ALONE]], unpaired


def _counterparts(own: Scores, others: list[Scores], kind: str) -> list[Scores]:
    """The one row that is meant, or all among which nothing decides."""

    def same(other: Scores, *keys: str) -> bool:
        return all({getattr(run, key) for run in own.runs} == {getattr(run, key) for run in other.runs} for key in keys)

    needed = ("backbone", "shots") if kind == WITHOUT else ("backbone", "inductive")
    others = [other for other in others if same(other, *needed)]
    for key in ("root", "config"):
        nearer = [other for other in others if same(other, key)]
        others = nearer if len(others) > 1 and nearer else others
    return others


def differences(comparison: Comparison, dataset: str, metric: str) -> dict[int | None, float]:
    """By seed, that both have unless nothing in the other is drawn; against boosting alone of the same prompts."""
    own, other = comparison.method.cell(dataset, metric), comparison.against.cell(dataset, metric)
    if own is None or other is None:
        return {}
    found = partners(comparison, own, other)
    return {seed: own.by_seed[seed] - other.by_seed[partner] for seed, partner in found.items()}


def partners(comparison: Comparison, own: Cell, other: Cell) -> dict[int | None, int | None]:
    """For each seed of one cell that of the other one that it is compared with."""
    if comparison.kind == ALONE:
        found = _same_prompts(own, other)
    elif len({*other.by_seed.values()}) == 1 and all(run.trainer in UNTRAINED for run in other.runs):
        found = {seed: seed if seed in other.by_seed else next(iter(other.by_seed)) for seed in own.by_seed}
    else:
        found = {seed: seed for seed in own.by_seed}
    return {seed: partner for seed, partner in found.items() if partner in other.by_seed}


def _same_prompts(own: Cell, other: Cell) -> dict[int | None, int | None]:
    """For each seed that of the run with its boosting prompts; where no record says which they are, the same seed."""
    mine, theirs = _prompts(own), _prompts(other)
    found = {}
    for seed in own.by_seed:
        alike = [each for each in other.by_seed if mine.get(seed) and mine.get(seed) == theirs.get(each)]
        if alike:
            found[seed] = seed if seed in alike else alike[0]
        elif not (mine.get(seed) and theirs.get(seed)):
            found[seed] = seed
    return found


def _prompts(cell: Cell) -> dict[int | None, str]:
    """The checksum of the boosting prompts by seed."""
    known = [(run.seed, run.record.boosting) for run in cell.runs if run.record is not None]
    return {seed: boosting.sha256 for seed, boosting in known if boosting is not None}


def shares_prompts(own: Scores) -> bool:
    """Whether, on a dataset, all of several seeds stand behind the same boosting prompts, of one phase 1."""
    prompts = [_prompts(cell) for cell in own.cells.values()]
    return any(len(known) > 1 and len(set(known.values())) == 1 for known in prompts)


def shared_phase_1(scores: Mapping[str, Scores]) -> list[str]:
    """A note on the methods whose seeds don't repeat phase 1."""
    names = [own.method for own in scores.values() if shares_prompts(own)]
    return [f"The seeds of {', '.join(names)} share their boosting prompts: phase 1 was not repeated."] if names else []


def over_datasets(comparison: Comparison, metric: str) -> PairedTest | None:
    """Of the mean difference on each dataset that both have."""
    means = [differences(comparison, dataset, metric).values() for dataset in comparison.method.datasets]
    means = [sum(each) / len(each) for each in means if each]
    return exact_test("dataset", means) if means else None


def over_seeds_of(comparison: Comparison, dataset: str, metric: str) -> PairedTest | None:
    """Of the differences of the seeds on one dataset."""
    found = differences(comparison, dataset, metric)
    return exact_test("seed", [*found.values()]) if found else None
