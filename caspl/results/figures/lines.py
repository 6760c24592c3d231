"""Lines over the number of labelled images: one drawing of a table, or a panel for each dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ...ground.texts import in_figure
from ..tables import Row, Table
from .style import MARKERS, MORE_COLORS, axes, deviation, drawn, ink, label, shown_rows, title

COLUMNS = 4  # of panels
BEHIND = " + CasPL"  # in the names of methods behind boosting prompts


def few_shot(table: Table) -> Any:
    """A line over shots for each method; what saw no labels is a level line."""
    rows = shown_rows(table)
    shots = [int(column) for column in table.columns]
    figure, plot = axes(6.5)
    for index, row in enumerate(rows):
        color = f"C{index % 10}"
        style = {"color": color, "marker": "o", "markersize": 4, "capsize": 3}
        _line(plot, row, shots, label(row, rows), style, {"color": color, "linestyle": "--", "linewidth": 1})
    _shots(plot, shots)
    plot.set_xlabel("labelled images for each class")
    plot.set_ylabel("accuracy on test images (%)")
    plot.set_title(title(rows), loc="right", fontsize=9)
    plot.legend(frameon=False, fontsize=8)
    plot.spines[["top", "right"]].set_visible(False)
    return figure


def panels(table: Table) -> Any:
    """A panel for the averages and each dataset, with one legend below; a method has its line in all of them.

    A method and the same behind boosting prompts share a colour: dashed without, solid with them.
    """
    rows = [*(row for row in table.rows if row.average), *(row for row in table.rows if not row.average)]
    parts = [[*own] for _, own in groupby(rows, key=lambda row: "average" if row.average else row.dataset)]
    shots = [int(column) for column in table.columns]
    names = list(dict.fromkeys(row.method for row in rows))
    across = min(COLUMNS, len(parts))
    down = math.ceil(len(parts) / across)
    of_legend = 2 if across < 3 else 4  # columns
    below = math.ceil(len(names) / of_legend)  # lines
    width, height = max(5.5, 2.9 * across), (3.6 if across == 1 else 2.6) * down + 0.3 * below
    figure, plots = axes(width, height, nrows=down, ncols=across, squeeze=False)
    for place, (plot, own) in enumerate(zip(plots.flat, parts, strict=False)):
        for row in own:
            style = _style(row.method, names)
            _line(plot, row, shots, in_figure(row.method), style, {"color": ink(), "linestyle": ":", "linewidth": 1.2})
        _shots(plot, shots)
        if place + across >= len(parts):  # no panel is below
            plot.set_xlabel("labelled images for each class", fontsize=8)
        plot.set_title(title(own[:1]) if len({row.dataset for row in own}) == 1 else "averages", fontsize=9)
        plot.tick_params(labelsize=8)
        plot.spines[["top", "right"]].set_visible(False)
    for plot in plots.flat[len(parts) :]:
        plot.set_visible(False)
    figure.supylabel("accuracy on test images (%)", fontsize=9)
    _legend(figure, plots.flat, names, of_legend)
    return figure


def _style(method: str, names: Sequence[str]) -> dict[str, Any]:
    plain = list(dict.fromkeys(name.partition(BEHIND)[0] for name in names if not name.startswith("CLIP")))
    place = plain.index(method.partition(BEHIND)[0]) if method.partition(BEHIND)[0] in plain else 0
    boosted = BEHIND in method
    color = MORE_COLORS[place % len(MORE_COLORS)]
    return {
        "color": color,
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4.5,
        "markerfacecolor": color if boosted else "none",
        "linestyle": "-" if boosted else "--",
        "linewidth": 1.4,
        "capsize": 2,
    }


def _legend(figure: Any, plots: Sequence[Any], names: Sequence[str], columns: int) -> None:
    """Of all that is drawn anywhere, each once, in the order of the table."""
    handles = {text: handle for plot in plots for handle, text in zip(*plot.get_legend_handles_labels(), strict=True)}
    shown = [in_figure(name) for name in names if in_figure(name) in handles]
    handles = [handles[name] for name in shown]
    figure.legend(handles, shown, loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5)


def _line(
    plot: Any, row: Row, shots: Sequence[int], name: str, style: dict[str, Any], level_style: dict[str, Any]
) -> None:
    points = [(k, cell) for k, cell in zip(shots, row.cells, strict=True) if cell is not None]
    level = [cell.mean for k, cell in points if k == 0]
    trained = [(k, cell.mean, deviation(cell)) for k, cell in points if k > 0]
    if level:
        plot.axhline(level[0], label=None if trained else name, **level_style)
    if trained:
        x, means, deviations = zip(*trained, strict=True)
        plot.errorbar(x, means, yerr=drawn(deviations), label=name, **style)


def _shots(plot: Any, shots: Sequence[int]) -> None:
    if any(shots):
        plot.set_xscale("log", base=2)
        plot.set_xticks([k for k in shots if k], [str(k) for k in shots if k])
