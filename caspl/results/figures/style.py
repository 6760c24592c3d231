"""What the figures share: colours that the colour-blind can tell apart, light and dark ink, files with the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...ground.files import replacing
from ...ground.texts import in_figure
from ..tables import Cell, Row, Table

COLORS = ("#4477aa", "#ee6677", "#228833")  # Paul Tol's bright scheme, which the colour-blind can tell apart
MORE_COLORS = (*COLORS, "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")  # all of it
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LABELS = ("base classes", "new classes", "harmonic mean")

# Of a drawing that is put into a page: no background, and lines and letters that are seen on the page's
INKS = {"light": "#1d2430", "dark": "#e4e7ec"}
INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "lines.color")

Drawing = Callable[[], Any]  # gives a figure of matplotlib's


def axes(width: float, height: float = 4.2, **grid: Any) -> tuple[Any, Any]:
    """An empty figure, `width` and `height` inches large, and its axes: one, or as many as `subplots` makes of `grid`."""
    from matplotlib.figure import Figure  # takes a while, and most of what is asked for needs no figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**grid)


def ink() -> str:
    """Of letters; bars' deviations are black on every page otherwise."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def save(drawing: Drawing, path: Path) -> None:
    """Draw it as a PNG file."""
    figure = drawing()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def svg(drawing: Drawing, theme: str, name: str) -> tuple[bytes, int]:
    """Draw it as SVG for a page of a theme of INKS, and give its width in pixels: the same drawing gives the same bytes.

    `name` tells the inner names of one drawing of a page from another's.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": name} | dict.fromkeys(INKED, INKS[theme])):
        figure, file = drawing(), io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue(), round(96 * figure.get_figwidth())


# ---------------------------------------------------------------------------------------------------------------------
# Of tables
# ---------------------------------------------------------------------------------------------------------------------
def shown_rows(table: Table) -> list[Row]:
    """Averages where there are several datasets, the rows of the only one otherwise."""
    return [row for row in table.rows if row.average] or table.rows


def title(rows: Sequence[Row]) -> str:
    return " and ".join(dict.fromkeys(in_figure(row.dataset) for row in rows)) + (
        " datasets" if rows[0].average else ""
    )


def label(row: Row, rows: Sequence[Row]) -> str:
    """The method; with the dataset where several are shown that no method has in common."""
    several = not row.average and len({other.dataset for other in rows}) > 1
    return in_figure(f"{row.method}, {row.dataset}" if several else row.method)


def mean(cell: Cell | str | None) -> float:
    """NaN, which is not drawn, where there is none."""
    return cell.mean if isinstance(cell, Cell) else math.nan


def deviation(cell: Cell | str | None) -> float:
    """As `mean`."""
    return math.nan if not isinstance(cell, Cell) or cell.deviation is None else cell.deviation


def drawn(deviations: Sequence[float]) -> Sequence[float] | None:
    return None if all(map(math.isnan, deviations)) else deviations
