"""The figures: bars for base-to-new results, lines over shots for few-shot results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..ground.files import replacing
from ..ground.texts import in_figure
from .tables import Cell, Row, Table

COLORS = ("#4477aa", "#ee6677", "#228833")  # Paul Tol's bright scheme, which the colour-blind can tell apart
LABELS = ("base classes", "new classes", "harmonic mean")


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _rows(table: Table) -> list[Row]:
    """Averages where there are several datasets, the rows of the only one otherwise."""
    return [row for row in table.rows if row.average] or table.rows


def _title(rows: Sequence[Row]) -> str:
    return " and ".join(dict.fromkeys(in_figure(row.dataset) for row in rows)) + (
        " datasets" if rows[0].average else ""
    )


def _label(row: Row, rows: Sequence[Row]) -> str:
    """The method; with the dataset where several are shown that no method has in common."""
    several = not row.average and len({other.dataset for other in rows}) > 1
    return in_figure(f"{row.method}, {row.dataset}" if several else row.method)


def _deviation(cell: Cell | None) -> float:
    """NaN, which is not drawn, where there is none."""
    return math.nan if cell is None or cell.deviation is None else cell.deviation


def _drawn(deviations: Sequence[float]) -> Sequence[float] | None:
    return None if all(map(math.isnan, deviations)) else deviations


def _save(plt, figure, axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)


def draw_base_to_new(table: Table, path: Path) -> None:
    """Bars of base, new and HM for each method, with deviations over seeds where one dataset is shown."""
    plt, rows = _pyplot(), _rows(table)
    figure, axes = plt.subplots(figsize=(max(6.0, 1.0 + 1.6 * len(rows)), 4.2), layout="constrained")
    for index, (label, color) in enumerate(zip(LABELS, COLORS, strict=True)):
        cells = [row.cells[index] for row in rows]
        means = [math.nan if cell is None else cell.mean for cell in cells]
        deviations = [_deviation(cell) for cell in cells]
        places = [i + (index - 1) * 0.27 for i in range(len(rows))]
        bars = axes.bar(places, means, 0.25, yerr=_drawn(deviations), label=label, color=color, capsize=3)
        axes.bar_label(bars, labels=["" if math.isnan(m) else f"{m:.1f}" for m in means], fontsize=8, padding=1)
    axes.set_xticks(range(len(rows)), [_label(row, rows).replace(" (", "\n(").replace(", ", ",\n") for row in rows])
    axes.set_ylabel("accuracy on test images (%)")
    axes.set_ylim(0, 112)  # room for the legend
    axes.set_title(_title(rows), loc="right", fontsize=9)
    axes.legend(loc="upper left", ncols=3, frameon=False)
    _save(plt, figure, axes, path)


def draw_few_shot(table: Table, path: Path) -> None:
    """A line over shots for each method; what saw no labels is a level line."""
    plt, rows = _pyplot(), _rows(table)
    shots = [int(column) for column in table.columns]
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    for index, row in enumerate(rows):
        color, label = f"C{index % 10}", _label(row, rows)
        points = [(k, cell) for k, cell in zip(shots, row.cells, strict=True) if cell is not None]
        zero = [cell.mean for k, cell in points if k == 0]
        trained = [(k, cell.mean, _deviation(cell)) for k, cell in points if k > 0]
        if zero:
            axes.axhline(zero[0], color=color, linestyle="--", linewidth=1, label=None if trained else label)
        if trained:
            x, means, deviations = zip(*trained, strict=True)
            style = {"color": color, "marker": "o", "markersize": 4, "capsize": 3}
            axes.errorbar(x, means, yerr=_drawn(deviations), label=label, **style)
    if any(shots):
        axes.set_xscale("log", base=2)
        axes.set_xticks([k for k in shots if k], [str(k) for k in shots if k])
    axes.set_xlabel("labelled images for each class")
    axes.set_ylabel("accuracy on test images (%)")
    axes.set_title(_title(rows), loc="right", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    _save(plt, figure, axes, path)
