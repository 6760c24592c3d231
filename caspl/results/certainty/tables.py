"""The tables that stand behind today's: calibration, intervals, paired tests and protocols, of every setting."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..reading.run import BASE_TO_NEW, CROSS_DATASET, FEW_SHOT, Run
from ..tables import Cell, Interval, Row, Table, ablation_tables, build_tables
from .compared import tests_table
from .intervals import LEVEL, harmonic_over_images, over_seeds, wilson
from .protocol import explained, marked, marks, protocol_table
from .scores import scores_of, shared_phase_1

SHORT = {FEW_SHOT: "Few-shot", CROSS_DATASET: "Cross-dataset"}  # titles; of the others that of their table
NOT_TESTED = (
    "all: accuracy where the model chose among all classes; -: not tested so (caspl sweep base2new --all does)."
)
ECE = "ECE: expected calibration error in percent, 15 bins of equal width; -: no record (run.json) says it."
_LEVEL = f"In brackets {100 * LEVEL:.0f} % intervals"
IMAGES = (
    f"{_LEVEL} over test images (Wilson): where the same model's accuracy lies on other images of this kind. "
    "Of several seeds, which see the same images, it is that of one run with their mean accuracy."
)
HM_IMAGES = "HM: of the harmonic mean of both accuracies, by the delta method."
SEEDS = (
    f"{_LEVEL} of the mean over seeds (Student's t): where it lies when training is repeated and tested on the same images. "
    "Of one seed there is none; of seeds that all give the same number it has no width, which makes the number no surer."
)


def certainty_tables(runs: Sequence[Run]) -> list[Table]:
    """Of each setting, in the order of `build_tables`: all classes and calibration, intervals, paired tests, protocols."""
    return behind(build_tables(runs))


def every_table(runs: Sequence[Run]) -> list[Table]:
    """All that results.md holds, in its order."""
    tables = build_tables(runs)
    return [*tables.values(), *ablation_tables(runs).values(), *behind(tables)]


def behind(tables: Mapping[str, Table]) -> list[Table]:
    """What stands behind tables that `build_tables` has made."""
    return [table for setting, main in tables.items() for table in _of_setting(setting, main)]


def _of_setting(setting: str, main: Table) -> list[Table]:
    title = SHORT.get(setting, main.title)
    scores = scores_of(setting, main)
    tables = [
        _calibration(setting, main, title),
        _mapped(main, f"{title}: 95 % intervals over test images", _with_images),
        _mapped(main, f"{title}: 95 % intervals over seeds", _with_seeds),
        tests_table(setting, main, f"{title}: paired tests"),
    ]
    tables[1].notes += [IMAGES, *[HM_IMAGES] * ("HM" in main.columns)]
    tables[2].notes += [SEEDS, *shared_phase_1(scores)]
    for table in tables:
        table.notes += explained(row.method for row in table.rows)
    return [table for table in [*tables, protocol_table(f"{title}: protocol", scores)] if table.rows]


# ------------------------------------------------------------ tables in the shape of today's
def _mapped(main: Table, title: str, change: Callable[[Cell, Row], Cell | None]) -> Table:
    """The same rows and columns with other cells; without rows that have none, and without published numbers."""
    table = Table(title, [*main.columns], by_dataset=main.by_dataset)
    found = _marks(main)
    for row in main.rows:
        cells = [change(cell, row) if isinstance(cell, Cell) else None for cell in row.cells]
        if any(cells):
            table.rows.append(replace(row, method=marked(row.method, found[row.method]), cells=cells))
    return table


def _marks(main: Table) -> dict[str, str]:
    """Of each method, whatever row it is in."""
    runs: dict[str, list[Run]] = {}
    for row in main.rows:
        runs.setdefault(row.method, []).extend(run for cell in row.cells if isinstance(cell, Cell) for run in cell.runs)
    return {method: marks(own) for method, own in runs.items()}


def _with_images(cell: Cell, row: Row) -> Cell | None:
    """Of one dataset: an average's images are those of several."""
    datasets = {run.dataset for run in cell.runs}
    images = {classes: [_images(run) for run in cell.runs if run.classes == classes] for classes in _classes(cell)}
    if len(datasets) > 1 or any(None in counts for counts in images.values()):
        return None
    least = {classes: min(counts) for classes, counts in images.items()}
    if len(least) == 1:
        return _bare(cell, wilson(cell.mean, *least.values()))
    base, new = ({run.seed: run.accuracy for run in cell.runs if run.classes == classes} for classes in ("base", "new"))
    pairs = [(base[seed], new[seed]) for seed in cell.by_seed]
    return _bare(cell, harmonic_over_images(pairs, least["base"], least["new"]))


def _classes(cell: Cell) -> list[str]:
    return sorted({run.classes for run in cell.runs})


def _images(run: Run) -> int | None:
    """That the run was tested on; None where nothing counts them."""
    result = run.record.result if run.record is not None else None
    return result.total if result is not None else run.images


def _with_seeds(cell: Cell, row: Row) -> Cell | None:
    """Where all seeds count that its mean is of, which an average of datasets with different seeds has not."""
    complete = {run.seed for run in cell.runs} == set(cell.by_seed)
    interval = over_seeds([*cell.by_seed.values()]) if complete else None
    return None if interval is None else _bare(cell, interval)


def _bare(cell: Cell, interval: Interval | None) -> Cell | None:
    return None if interval is None else replace(cell, deviation=None, published=None, interval=interval)


# ------------------------------------------------------------ all classes and calibration
def _calibration(setting: str, main: Table, title: str) -> Table:
    """Of base to new with the accuracy of all classes in front, tested or not."""
    if setting != BASE_TO_NEW:
        table = _mapped(main, f"{title}: calibration error (ECE)", _calibration_error)
        table.notes.append(ECE)
        return table
    columns = ["base", "new", "all"]
    headers = ["all", *(f"ECE {column}" for column in columns)]
    table = Table(f"{title}: all classes and calibration error", headers, by_dataset=True)
    found = _marks(main)
    for row in main.rows:
        own = dict(zip(main.columns, row.cells, strict=True))
        every = replace(own["all"], published=None) if own.get("all") else None
        cells = [_calibration_error(own[column], row) if own.get(column) else None for column in columns]
        table.rows.append(replace(row, method=marked(row.method, found[row.method]), cells=[every, *cells]))
    table.notes += [NOT_TESTED, ECE]
    return table


def _calibration_error(cell: Cell, row: Row) -> Cell | None:
    """Mean and deviation over seeds; of an average the mean of the datasets' means. None where a run has none."""
    errors: dict[str, list[float]] = {}
    for run in cell.runs:
        result = run.record.result if run.record is not None else None
        if result is None or result.ece is None or len(_classes(cell)) > 1:
            return None
        errors.setdefault(run.dataset, []).append(result.ece)
    means = [statistics.mean(own) for own in errors.values()]
    deviation = None if row.average or len(cell.runs) < 2 or len(means) > 1 else statistics.pstdev(*errors.values())
    return Cell(statistics.mean(means), deviation, runs=cell.runs)
