"""What the phases add, from base to new: Tables 1 and 7, Figure 1c."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ..figures import bars
from ..methods import group_methods
from ..names import BENCHMARK, dataset_order, method_name
from ..reading.run import BASE_TO_NEW, Run
from ..tables import Cell, Row, Table, base_to_new
from .artefact import Artefact, Picture
from .needs import Needs, class_words, of_trainers, there
from .selection import (
    BOOSTING,
    CASCADED,
    CLASSES,
    CLIP,
    HM,
    OTHERS,
    PAIRS,
    complete,
    datasets_of,
    ordinary,
    over,
    reproduce,
    row_of,
    seeds_of,
    with_twins,
)


def table1(runs: Sequence[Run]) -> Artefact:
    own = _tested(runs, [CLIP, *with_twins(PAIRS)])
    return Artefact(
        name="table1",
        title="Table 1: from base to new classes",
        about="Accuracy on the base classes that were learned, on the new ones, and the harmonic mean, without and with CasPL.",
        tables=_only(base_to_new(own), "From base to new classes"),
        pictures=[],
        missing=_missing(own, [CLIP, *with_twins(PAIRS)]),
        command=reproduce("table1", runs),
    )


def table7(runs: Sequence[Run]) -> Artefact:
    trainers = [CLIP, BOOSTING, *with_twins((*PAIRS, *OTHERS))]
    own = _tested(runs, trainers)
    # Of the paper is PromptSRC; any other method is shown if it is there both without and with boosting prompts
    there_are = {run.trainer for run in own}
    shown = [plain for plain in (*PAIRS, *OTHERS) if there_are.issuperset(with_twins([plain])) or plain == "PromptSRC"]
    own = [run for run in own if run.trainer in (CLIP, BOOSTING, *with_twins(shown))]
    paper = [CLIP, BOOSTING, *with_twins(["PromptSRC"])]
    table = _phases(base_to_new(own))
    return Artefact(
        name="table7",
        title="Table 7: what each phase adds",
        about="Harmonic means of CLIP, of boosting prompts alone, of adapting prompts alone, and of both.",
        tables=_only(table, table.title),
        pictures=[],
        missing=_missing([run for run in own if run.trainer in paper], paper),
        command=reproduce("table7", runs),
    )


def fig1c(runs: Sequence[Run]) -> Artefact:
    trainers = with_twins(PAIRS)
    own = _tested(runs, trainers)
    table, datasets = _gains(own)
    return Artefact(
        name="fig1c",
        title="Figure 1c: harmonic means without and with CasPL",
        about="Over the datasets that all methods shown have in common; one configuration of each method.",
        tables=_only(table, table.title),
        pictures=[Picture("fig1c", _said(table, datasets), lambda: bars.side_by_side(table, datasets))]
        if table.rows
        else [],
        missing=_missing(own, trainers),
        command=reproduce("fig1c", runs),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Shared
# ---------------------------------------------------------------------------------------------------------------------
def _tested(runs: Iterable[Run], trainers: Sequence[str]) -> list[Run]:
    return [run for run in ordinary(runs, BASE_TO_NEW, trainers) if run.classes in CLASSES]


def _missing(runs: Sequence[Run], trainers: Sequence[str]) -> list[str]:
    needs = Needs(of_trainers(trainers), BENCHMARK, parts=CLASSES, words=class_words)
    return needs.missing(there(runs, "classes"))


def _only(table: Table, title: str) -> list[Table]:
    table.title = title
    return [table] if table.rows else []


def _phases(table: Table) -> Table:
    """A row for each method, a column with the harmonic mean of each dataset; averages only over all of them."""
    datasets = datasets_of(table)
    several = len(datasets) > 1
    made = Table(
        "Harmonic means by phase", [*datasets, *["average"] * several], notes=[*_without_averages(table)], beside=False
    )
    for method in dict.fromkeys(row.method for row in table.rows):
        rows = {dataset: row_of(table, method, dataset) for dataset in datasets}
        cells: list[Cell | str | None] = [row.cells[HM] if row is not None else None for row in rows.values()]
        average = row_of(table, method, "")
        if several:
            cells.append(average.cells[HM] if average is not None and None not in cells else None)
        made.rows.append(Row(method, seeds_of(cells), cells))
    return made


def _without_averages(table: Table) -> list[str]:
    """Notes of a table but those of its averages, which stand here only where they are over all datasets."""
    return [note for note in table.notes if ": the average is without " not in note]


def _gains(runs: Sequence[Run]) -> tuple[Table, str]:
    """Harmonic means without and with CasPL and the difference, and over which datasets they are."""
    made = Table("Harmonic means without and with CasPL", ["without CasPL", "with CasPL", "gain"])
    chosen = _one_configuration(runs, made.notes)
    pairs = [plain for plain in PAIRS if plain in chosen and f"{CASCADED}{plain}" in chosen]
    having = [complete(chosen[trainer]) for trainer in with_twins(pairs)]
    common = sorted(set.intersection(*having), key=dataset_order) if having else []
    if not common:
        if pairs:
            made.notes.append("no dataset on which all of these methods have base and new classes")
        return made, ""
    table = base_to_new([run for trainer in with_twins(pairs) for run in chosen[trainer] if run.dataset in common])
    for plain in pairs:
        rows = [
            row_of(table, method_name(trainer), "" if len(common) > 1 else common[0]) for trainer in with_twins([plain])
        ]
        cells = [row.cells[HM] for row in rows if row is not None]
        gain = Cell(cells[1].mean - cells[0].mean, runs=tuple(run for cell in cells for run in cell.runs))
        made.rows.append(Row(plain, seeds_of(cells), [*cells, gain]))
    return made, over(common)


def _one_configuration(runs: Sequence[Run], notes: list[str]) -> dict[str, list[Run]]:
    """The runs of each trainer; of several configurations those on most datasets, the first of equal ones, which is noted."""
    rows = defaultdict(list)
    for method in group_methods(runs, cell=lambda run: run.dataset, split_shots=True):
        rows[method.trainer].append(method)
    chosen = {}
    for trainer, methods in rows.items():
        best = max(methods, key=lambda method: len(complete(method.runs)))
        chosen[trainer] = [*best.runs]
        if len(methods) > 1:
            notes.append(f"{method_name(trainer)}: of {len(methods)} configurations {best.name} is shown.")
    return chosen


def _said(table: Table, datasets: str) -> str:
    numbers = [f"{row.method} {row.cells[0].mean:.1f} and {row.cells[1].mean:.1f}" for row in table.rows]
    return f"Harmonic means without and with CasPL, {datasets}: {', '.join(numbers)}"
