"""Few-shot: Figure 3 over the number of labelled images, Table 3 by where boosting prompts were learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...ground.texts import letters
from ..figures import lines
from ..names import BENCHMARK, SOURCE, dataset_name, dataset_order
from ..published import value
from ..reading.run import FEW_SHOT, Run
from ..tables import Cell, Row, Table, few_shot
from .artefact import Artefact, Picture
from .needs import SEEDS, Needs, listed, missing_on_digits_too, of_trainers, there
from .selection import CASCADED, OTHERS, PAIRS, datasets_of, ordinary, reproduce, row_of, seeds_of

SHOTS = (1, 2, 4, 8, 16)
PAPER = "PromptSRC"
ALONE, ITSELF = "", "the same dataset"  # beside SOURCE: where boosting prompts learned
METHODS = ("LinearProbe", "CoOp", "CoCoOp", "MaPLe", "PromptSRC", "CasPL_PromptSRC")


def fig3(runs: Sequence[Run]) -> Artefact:
    own = ordinary(runs, FEW_SHOT, shots=(0, *SHOTS))
    curves = any(run.shots for run in own) and len({run.shots for run in own if run.shots}) > 1
    table = few_shot(own) if curves else Table("", [])
    table.title = "Few-shot, by labelled images per class"
    return Artefact(
        name="fig3",
        title="Figure 3: accuracy over the number of labelled images",
        about="A panel for the averages and one for each dataset: the paper's methods, and what else was run.",
        tables=[table] if table.rows else [],
        pictures=[Picture("fig3", _said(table), lambda: lines.panels(table))] if table.rows else [],
        missing=_missing(own),
        command=reproduce("fig3", runs),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Table 3
# ---------------------------------------------------------------------------------------------------------------------
def table3(runs: Sequence[Run]) -> Artefact:
    known = [(run, boosted) for run in _sixteen(runs) if (boosted := _boosted(run)) is not None]
    rows = {}
    for plain in (*PAIRS, *OTHERS):
        own = {
            boosted: [run for run, where in known if run.trainer.removeprefix(CASCADED) == plain and where == boosted]
            for boosted in (ALONE, SOURCE, ITSELF)
        }
        if plain == PAPER or own[SOURCE]:
            rows |= {(plain, boosted): part for boosted, part in own.items() if part}
    table = _table3(rows) if any(boosted != ALONE for _, boosted in rows) else Table("", [])
    present = [(_row(PAPER, boosted), run.dataset, run.seed, "") for run, boosted in known if _is_of(run, PAPER)]
    needs = Needs({_row(PAPER, boosted): SEEDS for boosted in (ALONE, SOURCE, ITSELF)}, BENCHMARK[1:])
    return Artefact(
        name="table3",
        title="Table 3: where boosting prompts were learned",
        about="16 labelled images for each class, boosting prompts learned on the dataset itself or on ImageNet.",
        tables=[table] if table.rows else [],
        pictures=[],
        missing=missing_on_digits_too(needs, [_row(PAPER, boosted) for boosted in (ALONE, ITSELF)], present),
        command=reproduce("table3", runs),
    )


def _sixteen(runs: Iterable[Run]) -> list[Run]:
    return [
        run
        for run in runs
        if run.setting == FEW_SHOT
        and run.shots == SHOTS[-1]
        and run.dataset != SOURCE
        and not run.inductive
        and (run.varied is None or run.varied[0] == "domain")
    ]


def _boosted(run: Run) -> str | None:
    """ALONE, ITSELF or SOURCE: where the boosting prompts of a run learned, as its folder or record says; None: elsewhere."""
    if not run.trainer.startswith(CASCADED):
        return ALONE
    varied, boosting = run.varied, run.record.boosting if run.record is not None else None
    where = varied[1] if varied else boosting.dataset if boosting is not None else run.dataset
    if where == "self" or dataset_name(where) == run.dataset or letters(where) == letters(run.dataset):
        return ITSELF
    return SOURCE if dataset_name(where) == SOURCE else None


def _is_of(run: Run, plain: str) -> bool:
    return run.trainer.removeprefix(CASCADED) == plain


def _row(plain: str, boosted: str) -> str:
    return plain if boosted == ALONE else f"{plain} + CasPL, boosted on {boosted}"


def _table3(rows: Mapping[tuple[str, str], Sequence[Run]]) -> Table:
    """A column for each dataset, and the average of what has all of them."""
    datasets = sorted({run.dataset for runs in rows.values() for run in runs}, key=dataset_order)
    several = len(datasets) > 1
    made = Table("16 shots, by where boosting prompts were learned", [*datasets, *["average"] * several])
    for (plain, boosted), runs in rows.items():
        table = few_shot(_one_configuration(runs))
        method = table.rows[0].method
        found = [row_of(table, method, dataset) for dataset in datasets]
        cells = [row.cells[0] if row is not None else None for row in found]
        average = row_of(table, method, "")
        if boosted == SOURCE:  # the table would put numbers beside it that are of the other prompts
            cells = [replace(cell, published=None) if isinstance(cell, Cell) else cell for cell in cells]
        if several and average is not None and None not in cells:
            cells.append(_average(average.cells[0], plain, boosted, datasets))
        elif several:
            cells.append(None)
        made.rows.append(Row(_row(plain, boosted), seeds_of(cells), cells))
        made.notes += [
            note for note in table.notes if ": the average is without " not in note and note not in made.notes
        ]
    return made


def _average(cell: Cell, plain: str, boosted: str, datasets: Sequence[str]) -> Cell:
    if boosted != SOURCE:
        return cell
    same = plain == PAPER and set(datasets) == set(BENCHMARK[1:])
    return replace(
        cell,
        published=value("few_shot/avg10", f"{plain}+CasPL (boosting on {SOURCE})", "16shot") if same else None,
    )


def _one_configuration(runs: Sequence[Run]) -> list[Run]:
    """Those of the configuration that most datasets have."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(f"{run.root} {run.config} {run.backbone}", []).append(run)
    return max(by_name.values(), key=lambda own: len({run.dataset for run in own}))


# ---------------------------------------------------------------------------------------------------------------------
# Figure 3
# ---------------------------------------------------------------------------------------------------------------------
def _missing(runs: Sequence[Run]) -> list[str]:
    parts = tuple(map(str, SHOTS))
    trained = Needs(of_trainers(METHODS), BENCHMARK, parts=parts, words=_words)
    return trained.missing(there([run for run in runs if run.shots], "shots"))


def _words(shots: Sequence[str]) -> str:
    return f"{listed(shots)} shot{'s' * (shots[-1] != '1')}"


def _said(table: Table) -> str:
    methods = dict.fromkeys(row.method for row in table.rows)
    return f"Accuracy over labelled images for each class of {', '.join(methods)} on {', '.join(datasets_of(table))}"
