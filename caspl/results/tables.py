"""The tables' numbers: means over seeds, harmonic means, averages over datasets. All in percent."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .methods import Method, group_methods
from .names import SOURCE, dataset_order
from .published import Value, average_of, find
from .reading.run import BASE_TO_NEW, CROSS_DATASET, DOMAINS, FEW_SHOT, Run

Seeds = dict[int | None, Run]  # seed -> the run that counts


class Interval(NamedTuple):
    """Where a number lies with a given certainty, in its own unit."""

    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """A number of a table.

    Attributes:
        mean: over seeds, or of other cells' means.
        deviation: population standard deviation over seeds; None: nothing to deviate from.
        published: its counterpart.
        interval: in which it lies; None: the table does not say.
        runs: that it comes from, by seed; a harmonic mean has those of base and of new classes.
        text: that stands in the table in place of the number; "": the number.
        by_seed: the number of each seed; of an average, of the seeds that all its cells have.
    """

    mean: float
    deviation: float | None = None
    published: Value | None = None
    interval: Interval | None = None
    text: str = ""
    runs: tuple[Run, ...] = field(default=(), compare=False, repr=False)
    by_seed: Mapping[int | None, float] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Row:
    """One method, on one dataset where the table has a row for each."""

    method: str
    seeds: str  # how many, with * where not every cell has the same; "" in averages
    cells: list[Cell | str | None]  # a text stands in its table as it is; None: there is nothing
    dataset: str = ""  # or "average of <number of datasets>"
    average: bool = False


@dataclass
class Table:
    """`by_dataset`: rows by dataset and method, else by method. `beside`: published numbers stand beside ours, else below."""

    title: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    by_dataset: bool = False
    beside: bool = False


def harmonic_mean(base: float, new: float) -> float:
    """2bn / (b + n); 0 where both are 0."""
    return 2 * base * new / (base + new) if base + new else 0.0


def build_tables(runs: Sequence[Run]) -> dict[str, Table]:
    """The tables for which there are runs, by setting; without the runs of ablations. Every run must be finished."""
    return _by_setting([run for run in runs if run.varied is None])


def ablation_tables(runs: Sequence[Run]) -> dict[str, Table]:
    """The same of the runs of ablations, with no published numbers: those are of the usual configurations."""
    tables = _by_setting([run for run in runs if run.varied is not None])
    for table in tables.values():
        table.title += ": ablations"
        table.beside = False
        table.rows = [
            replace(row, cells=[cell and replace(cell, published=None) for cell in row.cells]) for row in table.rows
        ]
    return tables


def _by_setting(runs: Sequence[Run]) -> dict[str, Table]:
    tables = {
        BASE_TO_NEW: base_to_new(runs),
        FEW_SHOT: few_shot(runs),
        CROSS_DATASET: transfer(runs, CROSS_DATASET),
        DOMAINS: transfer(runs, DOMAINS),
    }
    for setting, table in tables.items():
        _note_images(table, [run for run in runs if run.setting == setting])
    return {setting: table for setting, table in tables.items() if table.rows}


# ------------------------------------------------------------ base to new
def base_to_new(runs: Iterable[Run]) -> Table:
    """Base, new, HM and, where somebody tested it, all; by dataset and method."""
    runs = [run for run in runs if run.setting == BASE_TO_NEW]
    columns = ["base", "new", "HM"] + ["all"] * any(run.classes == "all" for run in runs)
    table = Table("Base to new", columns, by_dataset=True, beside=True)
    methods = group_methods(runs, cell=lambda run: run.dataset, split_shots=True)
    for dataset in _datasets(runs):
        for method in methods:
            scores = _scores(_on(method, dataset), lambda run: run.classes)
            if scores:
                table.rows.append(_base_to_new_row(table, method, dataset, scores))
    _note_configs(table, methods, "dataset")
    if len(_datasets(runs)) > 1:
        table.rows += filter(None, [_base_to_new_average(table, method) for method in methods])
    return table


def _base_to_new_row(table: Table, method: Method, dataset: str, scores: dict[str, Seeds]) -> Row:
    """Each seed has its own HM."""
    scores = {"base": {}, "new": {}, **scores}
    base, new = scores["base"], scores["new"]
    both = [seed for seed in base if seed in new]
    mark = _note_seeds(table, f"{dataset}, {method.name}", scores, "; HM is over the common ones" if both else "")
    published = {column: find(method, BASE_TO_NEW, dataset, column.lower()) for column in table.columns}
    cells = {column: _cell(scores.get(column, {}), published[column]) for column in table.columns}
    if both:
        means = {seed: harmonic_mean(base[seed].accuracy, new[seed].accuracy) for seed in both}
        runs = [scores[classes][seed] for seed in both for classes in ("base", "new")]
        cells["HM"] = _mean(means, runs, published["HM"])
    seeds = len(both) or max(map(len, scores.values()))
    return Row(method.name, f"{seeds}{mark}", [*cells.values()], dataset)


def _base_to_new_average(table: Table, method: Method) -> Row | None:
    """Over the datasets that have base and new; the HM is that of the two averages, as in the papers."""
    rows = [row for row in table.rows if row.method == method.name and None not in row.cells[:2]]
    if len(rows) < 2:
        return None
    means = _means(rows)
    means[2] = harmonic_mean(means[0], means[1])
    row = _average_row(table, method, BASE_TO_NEW, rows, means, [column.lower() for column in table.columns])
    base, new, hm, *others = row.cells
    both = {seed: harmonic_mean(base.by_seed[seed], new.by_seed[seed]) for seed in base.by_seed if seed in new.by_seed}
    return replace(row, cells=[base, new, replace(hm, by_seed=both), *others])


# ------------------------------------------------------------ few-shot
def few_shot(runs: Iterable[Run]) -> Table:
    """A column for each number of shots, by dataset and method; 0 is zero-shot."""
    runs = [run for run in runs if run.setting == FEW_SHOT]
    shots = sorted({run.shots for run in runs})
    table = Table("Few-shot, by labelled images per class", [str(number) for number in shots], by_dataset=True)
    methods = group_methods(runs, cell=lambda run: (run.dataset, run.shots))
    for dataset in _datasets(runs):
        for method in methods:
            scores = _scores(_on(method, dataset), lambda run: run.shots)
            if scores:
                cells = [_cell(scores.get(k, {}), find(method, FEW_SHOT, dataset, f"{k}shot")) for k in shots]
                mark = _note_seeds(
                    table, f"{dataset}, {method.name}", {f"{k} shots": scores[k] for k in sorted(scores)}
                )
                seeds = max(map(len, scores.values()))
                table.rows.append(Row(method.name, f"{seeds}{mark}", cells, dataset))
    _note_configs(table, methods, "dataset and number of shots")
    if len(_datasets(runs)) > 1:
        table.rows += filter(None, [_few_shot_average(table, method, shots) for method in methods])
    return table


def _few_shot_average(table: Table, method: Method, shots: Sequence[int]) -> Row | None:
    """Over the datasets that have every number of shots which the method has, so that the columns compare."""
    own = [row for row in table.rows if row.method == method.name]
    needed = {i for row in own for i, cell in enumerate(row.cells) if cell is not None}
    rows = [row for row in own if all(row.cells[i] is not None for i in needed)]
    if len(rows) < 2:
        return None
    return _average_row(table, method, FEW_SHOT, rows, _means(rows), [f"{k}shot" for k in shots])


# ------------------------------------------------------------ cross-dataset and domain generalisation
def transfer(runs: Sequence[Run], setting: str) -> Table:
    """Models that were trained on one dataset, tested on others: source, targets, average of the targets; by method."""
    own = [run for run in runs if run.setting == setting]
    methods = group_methods(own, cell=lambda run: None, split_shots=True)
    sources = {method.name: _source(runs, method) for method in methods}
    targets = _datasets(run for method in methods for run in method.runs if run.dataset != sources[method.name][0])
    names = {source for source, _ in sources.values() if source}
    title = "Cross-dataset" if setting == CROSS_DATASET else "Domain generalisation"
    table = Table(title, [f"{min(names)} (source)" if len(names) == 1 else "source", *targets, "average"])
    for method in methods:
        source, scores = sources[method.name]
        table.rows.append(_transfer_row(table, method, setting, source, scores, targets))
        if source and len(names) > 1:
            table.notes.append(f"{method.name}: trained on {source}.")
    return table


def _source(runs: Iterable[Run], method: Method) -> tuple[str, Seeds]:
    """What the method's models were trained on, and the accuracy there: ImageNet, else the only dataset there is; else ""."""
    settings = {run.settings for run in method.runs}
    same = [run for run in runs if run.settings in settings and run.inductive == method.inductive]
    trained = {run.dataset for run in same if run.setting == FEW_SHOT}
    tested = {run.dataset for run in same if run.setting == CROSS_DATASET}
    if SOURCE in (trained or tested):
        source = SOURCE
    elif len(trained) == 1:
        (source,) = trained
    else:
        return "", {}
    scores = _scores([run for run in same if run.setting in (FEW_SHOT, CROSS_DATASET)], lambda run: run.dataset)
    return source, scores[source]


def _transfer_row(
    table: Table, method: Method, setting: str, source: str, source_scores: Seeds, targets: Sequence[str]
) -> Row:
    scores = _scores(method.runs, lambda run: run.dataset)
    scores.pop(source, None)
    name = f"{source}(source)" if setting == CROSS_DATASET else source  # as the published numbers have it
    cells = [_cell(source_scores, find(method, setting, name, "acc"))]
    cells += [_cell(scores.get(target, {}), find(method, setting, target, "acc")) for target in targets]
    own = [target for target in targets if target in scores]
    if own:
        tested = [cell for cell in cells[1:] if cell is not None]
        mean = statistics.mean(cell.mean for cell in tested)
        cells.append(average(mean, find(method, setting, average_of(own), "acc"), tested))
    else:
        cells.append(None)
    _note_left_out(table, method, targets if own else [], own)
    all_scores = {source: source_scores, **scores} if source_scores else scores
    mark = _note_seeds(table, method.name, all_scores)
    return Row(method.name, f"{max(map(len, all_scores.values()))}{mark}", cells)


# ------------------------------------------------------------ shared
def _datasets(runs: Iterable[Run]) -> list[str]:
    return sorted({run.dataset for run in runs}, key=dataset_order)


def _on(method: Method, dataset: str) -> list[Run]:
    return [run for run in method.runs if run.dataset == dataset]


def _scores(runs: Iterable[Run], key: Callable[[Run], str | int]) -> dict:
    """Runs by `key(run)` and by seed. Where a model was tested again after its training, that test counts."""
    scores: dict[str | int, Seeds] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: (run.is_test, run.seed or 0)):
        scores[key(run)][run.seed] = run
    return dict(scores)


def _cell(scores: Seeds, value: Value | None) -> Cell | None:
    return _mean({seed: run.accuracy for seed, run in scores.items()}, scores.values(), value) if scores else None


def _mean(by_seed: Mapping[int | None, float], runs: Iterable[Run], value: Value | None) -> Cell:
    """The cell of a number for each seed."""
    numbers = [*by_seed.values()]
    deviation = statistics.pstdev(numbers) if len(numbers) > 1 else None
    return Cell(statistics.mean(numbers), deviation, value, runs=tuple(runs), by_seed=by_seed)


def average(mean: float, value: Value | None, cells: Sequence[Cell]) -> Cell:
    """The cell of an average over datasets."""
    first, *others = (cell.by_seed for cell in cells)
    seeds = [seed for seed in first if all(seed in other for other in others)]
    by_seed = {seed: statistics.mean(cell.by_seed[seed] for cell in cells) for seed in seeds}
    return Cell(mean, published=value, runs=tuple(run for cell in cells for run in cell.runs), by_seed=by_seed)


def _means(rows: Iterable[Row]) -> list[float | None]:
    """Of each column; None where a row has nothing."""
    columns = zip(*(row.cells for row in rows), strict=True)
    return [None if None in column else statistics.mean(cell.mean for cell in column) for column in columns]


def _average_row(
    table: Table,
    method: Method,
    setting: str,
    rows: Sequence[Row],
    means: Sequence[float | None],
    metrics: Sequence[str],
) -> Row:
    datasets = [row.dataset for row in rows]
    name = average_of(datasets)
    columns = zip(*(row.cells for row in rows), strict=True)
    cells = [
        None if mean is None else average(mean, find(method, setting, name, metric), column)
        for mean, metric, column in zip(means, metrics, columns, strict=True)
    ]
    _note_left_out(table, method, dict.fromkeys(row.dataset for row in table.rows if not row.average), datasets)
    return Row(method.name, "", cells, f"average of {len(rows)}", average=True)


def _note_left_out(table: Table, method: Method, datasets: Iterable[str], averaged: Collection[str]) -> None:
    left_out = [name for name in datasets if name not in averaged]
    if left_out:
        table.notes.append(f"{method.name}: the average is without {', '.join(left_out)}.")


def _note_configs(table: Table, methods: Iterable[Method], cell: str) -> None:
    for method in methods:
        if len(method.configs) > 1:
            configs = ", ".join(method.configs)
            table.notes.append(f"{method.name}: one row for configurations that have no {cell} in common: {configs}.")


def _note_images(table: Table, runs: Iterable[Run]) -> None:
    """Numbers on other images do not compare: a dataset with images missing, a part of it, another split."""
    counts: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for run in runs:
        if run.images is not None:
            counts[run.dataset, run.classes].setdefault(run.images, run.path)
    for (dataset, classes), paths in sorted(counts.items()):
        if len(paths) > 1:
            of = ", ".join(f"{images:,} ({paths[images]})" for images in sorted(paths))
            table.notes.append(f"{dataset}, {classes} classes: not tested on the same images everywhere, but on {of}.")


def _note_seeds(table: Table, row: str, scores: dict[str, Seeds], consequence: str = "") -> str:
    """ "*" and a note where not all of a row's numbers are of the same seeds, else ""."""
    if len({frozenset(seeds) for seeds in scores.values()}) <= 1:
        return ""
    having = "; ".join(f"{name}: {_list(seeds)}" for name, seeds in scores.items())
    table.notes.append(f"{row} (*): not the same seeds everywhere ({having}){consequence}.")
    return "*"


def _list(seeds: Seeds) -> str:
    return ", ".join("-" if seed is None else str(seed) for seed in sorted(seeds, key=lambda s: s or 0)) or "none"
