"""The figures: bars for base-to-new results, lines over shots for few-shot results; as files, and as part of a page."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from ..ground.files import replacing
from ..ground.texts import in_figure
from .reading.run import BASE_TO_NEW, FEW_SHOT
from .tables import Cell, Row, Table

COLORS = ("#4477aa", "#ee6677", "#228833")  # Paul Tol's bright scheme, which the colour-blind can tell apart
LABELS = ("base classes", "new classes", "harmonic mean")


# Of a drawing that is put into a page: no background, and lines and letters that are seen on the page's
INKS = {"light": "#1d2430", "dark": "#e4e7ec"}


def _axes(width: float):
    """An empty figure, `width` inches wide, and its axes."""
    from matplotlib.figure import Figure  # takes a while, and most of what is asked for needs no figure

    figure = Figure(figsize=(width, 4.2), layout="constrained")
    return figure, figure.subplots()


def _ink() -> str:
    """Of letters; bars' deviations are black on every page otherwise."""
    from matplotlib import rcParams

    return rcParams["text.color"]


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


def _base_to_new(table: Table):
    """Bars of base, new and HM for each method, with deviations over seeds where one dataset is shown."""
    rows = _rows(table)
    figure, axes = _axes(max(6.0, 1.0 + 1.6 * len(rows)))
    for index, (label, color) in enumerate(zip(LABELS, COLORS, strict=True)):
        cells = [row.cells[index] for row in rows]
        means = [math.nan if cell is None else cell.mean for cell in cells]
        deviations = [_deviation(cell) for cell in cells]
        places = [i + (index - 1) * 0.27 for i in range(len(rows))]
        bars = axes.bar(
            places, means, 0.25, yerr=_drawn(deviations), label=label, color=color, capsize=3, ecolor=_ink()
        )
        axes.bar_label(bars, labels=["" if math.isnan(m) else f"{m:.1f}" for m in means], fontsize=8, padding=1)
    axes.set_xticks(range(len(rows)), [_label(row, rows).replace(" (", "\n(").replace(", ", ",\n") for row in rows])
    axes.set_ylabel("accuracy on test images (%)")
    axes.set_ylim(0, 112)  # room for the legend
    axes.set_title(_title(rows), loc="right", fontsize=9)
    axes.legend(loc="upper left", ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _few_shot(table: Table):
    """A line over shots for each method; what saw no labels is a level line."""
    rows = _rows(table)
    shots = [int(column) for column in table.columns]
    figure, axes = _axes(6.5)
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
    axes.spines[["top", "right"]].set_visible(False)
    return figure


DRAWN = {BASE_TO_NEW: _base_to_new, FEW_SHOT: _few_shot}  # by setting, which others have no figure
FILES = {BASE_TO_NEW: "results.png", FEW_SHOT: "few_shot.png"}


def draw(setting: str, table: Table):
    """The figure of a table of a setting that is in DRAWN."""
    return DRAWN[setting](table)


def save(setting: str, table: Table, path: Path) -> None:
    """Draw it as a PNG file."""
    figure = draw(setting, table)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def svg(setting: str, table: Table, theme: str) -> tuple[bytes, int]:
    """Draw it as SVG for a page of a theme of INKS, and give its width in pixels: the same table gives the same bytes."""
    import matplotlib

    ink = INKS[theme]
    colors = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "lines.color")
    with matplotlib.rc_context({"svg.hashsalt": setting} | dict.fromkeys(colors, ink)):
        figure, file = draw(setting, table), io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue(), round(96 * figure.get_figwidth())
