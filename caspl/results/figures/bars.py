"""Bars: base, new and harmonic mean of each method, and one number of each method without and with something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...ground.texts import in_figure
from ..tables import Table
from .style import COLORS, LABELS, axes, deviation, drawn, ink, label, mean, shown_rows, title


def base_to_new(table: Table) -> Any:
    """Bars of base, new and HM for each method, with deviations over seeds where one dataset is shown."""
    rows = shown_rows(table)
    places = [label(row, rows).replace(" (", "\n(").replace(", ", ",\n") for row in rows]
    figure, plot = axes(max(6.0, 1.0 + 1.6 * len(rows)))
    _groups(plot, [row.cells[:3] for row in rows], places, LABELS, COLORS)
    plot.set_ylim(0, 112)  # room for the legend
    plot.set_title(title(rows), loc="right", fontsize=9)
    return figure


def side_by_side(table: Table, heading: str) -> Any:
    """Bars of the first two columns of each row, the numbers from 0 to 100; `heading` stands at the right."""
    names = [in_figure(row.method) for row in table.rows]
    figure, plot = axes(max(4.5, 1.0 + 1.3 * len(names)))
    _groups(plot, [row.cells[:2] for row in table.rows], names, table.columns[:2], COLORS[:2])
    plot.set_ylabel("harmonic mean of base and new accuracy (%)")
    plot.set_ylim(0, 112)
    plot.set_title(in_figure(heading), loc="right", fontsize=9)
    return figure


def _groups(
    plot: Any, cells: Sequence[Sequence[Any]], places: Sequence[str], names: Sequence[str], colors: Sequence[str]
) -> None:
    """A group of bars for each place, with the names of bars in the legend."""
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        own = [group[index] for group in cells]
        means, deviations = [*map(mean, own)], [*map(deviation, own)]
        left = [i + (index - (len(names) - 1) / 2) * 0.27 for i in range(len(cells))]
        bars = plot.bar(left, means, 0.25, yerr=drawn(deviations), label=name, color=color, capsize=3, ecolor=ink())
        plot.bar_label(bars, labels=["" if math.isnan(m) else f"{m:.1f}" for m in means], fontsize=8, padding=1)
    plot.set_xticks(range(len(cells)), places)
    plot.set_ylabel("accuracy on test images (%)")
    plot.legend(loc="upper left", ncols=3, frameon=False)
    plot.spines[["top", "right"]].set_visible(False)
