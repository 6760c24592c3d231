"""Heat maps: a number for each pair of values of two quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...ground.texts import in_figure
from .style import INKS, axes, ink

COLORS = "cividis"  # as bright as the number is large, and the same to the colour-blind
FRAME = "#ee6677"
MIDDLE = 0.2  # luminance at which dark and white letters are as good to read


@dataclass(frozen=True)
class Heat:
    """One map: numbers by row and column, NaN where there is none."""

    title: str
    numbers: Sequence[Sequence[float]]


def maps(heats: Sequence[Heat], rows: Sequence[str], columns: Sequence[str], row: str, column: str, bar: str) -> Any:
    """Maps side by side in one scale of colours; the best of all has a frame.

    `rows` and `columns` are the values of the two quantities; `row`, `column` and `bar` say what axes and colours are.
    """
    numbers = [value for heat in heats for line in heat.numbers for value in line if not math.isnan(value)]
    low, high = min(numbers), max(numbers)
    width, height = 0.85 + 0.72 * len(columns), 1.25 + 0.5 * len(rows)
    figure, plots = axes(max(4.2, width * len(heats) + 1.0), max(2.8, height), ncols=len(heats), squeeze=False)
    for plot, heat in zip(plots.flat, heats, strict=True):
        image = plot.imshow(heat.numbers, cmap=COLORS, vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
        plot.set_xticks(range(len(columns)), columns)
        plot.set_yticks(range(len(rows)), rows)
        plot.set_xlabel(column)
        plot.set_title(in_figure(heat.title), fontsize=10)
        plot.spines[:].set_visible(False)
        plot.tick_params(length=0)
        _write(plot, image, heat, high)
    plots.flat[0].set_ylabel(row)
    colors = figure.colorbar(image, ax=plots, label=bar, shrink=0.9)
    colors.outline.set_visible(False)
    return figure


def _write(plot: Any, image: Any, heat: Heat, best: float) -> None:
    """The numbers into their places, dark on light and light on dark; the best gets a frame."""
    from matplotlib.patches import Rectangle

    for y, line in enumerate(heat.numbers):
        for x, value in enumerate(line):
            if math.isnan(value):
                plot.text(x, y, "-", ha="center", va="center", color=ink(), fontsize=9)
                continue
            color = INKS["light"] if _luminance(image.to_rgba(value)) > MIDDLE else "white"
            plot.text(x, y, f"{value:.2f}", ha="center", va="center", color=color, fontsize=9)
            if value == best:
                plot.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, fill=False, edgecolor=FRAME, linewidth=2))


def _luminance(color: Sequence[float]) -> float:
    """Relative luminance of a colour (WCAG 2), 0 to 1."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
