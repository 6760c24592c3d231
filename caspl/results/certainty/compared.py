"""The table of paired tests: each method behind boosting prompts against itself without them, and against these alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...ground.texts import counted
from ..tables import Cell, Row, Table
from .paired import ENOUGH, SIGNIFICANT, PairedTest, holm, least_p
from .protocol import marked, marks
from .scores import ALONE, Comparison, comparisons, metrics_of, over_datasets, over_seeds_of, scores_of, shared_phase_1

STAYS = "*"
TESTS = (
    "Mean difference in points; in brackets two-sided p of Wilcoxon's signed-rank test and of the sign-flip test, both exact. "
    "Over datasets: of each dataset's mean over the seeds that both have; on one dataset: of these seeds."
)
PROMPTS = "boosting alone: of the same boosting prompts, as far as the records say which they are."
TOO_FEW = "Of {} the smallest possible p is {:.3g}: {} alone can't show a difference; " + f"{ENOUGH} are needed."
CORRECTED = (
    "p are not corrected for the number of tests. "
    f"{STAYS}: the sign-flip p stays below {SIGNIFICANT} after Holm's correction for all {{}} tests of this table."
)
ZEROS = "Wilcoxon's test leaves out differences of 0."


@dataclass(frozen=True)
class Compared:
    """A comparison over datasets, or over the seeds of one."""

    pair: Comparison
    place: str
    unit: str  # dataset or seed
    tests: list[PairedTest | None]  # by metric


def tests_table(setting: str, main: Table, title: str) -> Table:
    """Of the methods of a table; without rows where nothing can be compared."""
    metrics = metrics_of(setting, main)
    scores = scores_of(setting, main)
    pairs, unpaired = comparisons(scores)
    found = [row for pair in pairs for row in _compared(pair, metrics)]
    order = list(dict.fromkeys(row.place for row in sorted(found, key=lambda row: row.unit)))
    tests = [test for row in found for test in row.tests if test is not None]
    ps = [test.sign_flip for test in tests if test.sign_flip is not None]
    corrected = dict(zip(ps, holm(ps), strict=True))
    table = Table(title, metrics, by_dataset=True)
    for row in sorted(found, key=lambda row: order.index(row.place)):
        seeds = str(max(len(test.differences) for test in row.tests if test is not None)) if row.unit == "seed" else ""
        own, other = (marked(each.method, marks(each.runs)) for each in (row.pair.method, row.pair.against))
        cells = [_cell(row, metric, test, corrected) for metric, test in zip(metrics, row.tests, strict=True)]
        table.rows.append(Row(f"{own} against {other}", seeds, cells, row.place))
    table.notes += [TESTS] * bool(found)
    table.notes += [PROMPTS] * any(row.pair.kind == ALONE for row in found)
    table.notes += _too_few(found)
    table.notes += [ZEROS] * any(0 in test.differences and test.wilcoxon is not None for test in tests)
    table.notes += [CORRECTED.format(len(ps))] * bool(ps)
    table.notes += shared_phase_1(scores) if found else []
    table.notes += unpaired
    return table


def _compared(pair: Comparison, metrics: Sequence[str]) -> Iterator[Compared]:
    """Over datasets where there are several, and on single ones where seeds can show something or datasets are too few."""
    wide = [over_datasets(pair, metric) for metric in metrics]
    datasets = max((len(test.differences) for test in wide if test is not None), default=0)
    if datasets > 1:
        yield Compared(pair, f"over {datasets} datasets", "dataset", wide)
    for dataset in pair.method.datasets:
        tests = [over_seeds_of(pair, dataset, metric) for metric in metrics]
        seeds = max((len(test.differences) for test in tests if test is not None), default=0)
        if seeds and (seeds >= ENOUGH or datasets < ENOUGH):
            yield Compared(pair, dataset, "seed", tests)


def _cell(row: Compared, metric: str, test: PairedTest | None, corrected: dict[float, float]) -> Cell | None:
    """For example +9.31 (0.001, 0.002)*; without brackets where too few differences can show nothing."""
    if test is None:
        return None
    text = shown_points(test.mean)
    if test.sign_flip is not None:
        stays = corrected[test.sign_flip] <= SIGNIFICANT
        text += f" ({shown_p(test.wilcoxon)}, {shown_p(test.sign_flip)}){STAYS * stays}"
    datasets = row.pair.method.datasets if row.unit == "dataset" else [row.place]
    cells = [each.cell(name, metric) for name in datasets for each in (row.pair.method, row.pair.against)]
    return Cell(test.mean, text=text, runs=tuple(run for cell in cells if cell is not None for run in cell.runs))


def shown_points(points: float) -> str:
    """With its sign, which 0 has not."""
    text = f"{points:+.2f}"
    return text if text.strip("+-0.") else "0.00"


def shown_p(p: float) -> str:
    """With three decimals."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def _too_few(found: Sequence[Compared]) -> Iterator[str]:
    """That so many seeds, or datasets, can't show anything."""
    counts = {(row.unit, len(test.differences)) for row in found for test in row.tests if test is not None}
    for unit, count in sorted(counts):
        if count < ENOUGH:
            yield TOO_FEW.format(counted(count, unit), least_p(count), f"{unit}s")
