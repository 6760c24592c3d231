"""Points of several classes in the plane, a panel for each way in which they were placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ground.texts import in_figure
from .style import MARKERS, MORE_COLORS, axes

MOST_IN_LEGEND = 12  # classes; of more, colours and shapes only tell one from another


@dataclass(frozen=True)
class Panel:
    """Points [N, 2] of classes with the labels [N]."""

    points: np.ndarray
    labels: np.ndarray
    below: str  # what is said of it


@dataclass(frozen=True)
class Line:
    """Panels side by side of the same classes; a None has nothing to show."""

    name: str
    classes: Sequence[str]  # by label
    panels: Sequence[Panel | None]


def clouds(lines: Sequence[Line], titles: Sequence[str]) -> Any:
    """A row of panels for each line, a column for each title. Where points lie has no unit, and so the axes have no numbers."""
    legends = any(len(line.classes) <= MOST_IN_LEGEND for line in lines)
    width, height = 2.5 * len(titles) + (1.5 if legends else 0.4), 2.75 * len(lines) + 0.2
    figure, plots = axes(width, height, nrows=len(lines), ncols=len(titles), squeeze=False)
    for line, row in zip(lines, plots, strict=True):
        for plot, panel in zip(row, line.panels, strict=True):
            plot.set_xticks([])
            plot.set_yticks([])
            if panel is None:
                plot.text(0.5, 0.5, "-", transform=plot.transAxes, ha="center", va="center")
                continue
            _points(plot, panel, line.classes)
            plot.set_xlabel(panel.below, fontsize=8.5)
        row[0].set_ylabel(line.name, fontsize=10)
        _legend(row, line.classes)
    for plot, text in zip(plots[0], titles, strict=True):
        plot.set_title(in_figure(text), fontsize=10)
    return figure


def _points(plot: Any, panel: Panel, classes: Sequence[str]) -> None:
    for label in np.unique(panel.labels).tolist():
        own = panel.points[panel.labels == label]
        color, marker = MORE_COLORS[label % len(MORE_COLORS)], MARKERS[label // len(MORE_COLORS) % len(MARKERS)]
        name = in_figure(classes[label]) if label < len(classes) else str(label)
        plot.scatter(own[:, 0], own[:, 1], s=11, c=color, marker=marker, linewidths=0, label=name)
    plot.margins(0.06)


def _legend(row: Sequence[Any], classes: Sequence[str]) -> None:
    """Beside the last panel, of the first one that shows something."""
    shown = [plot.get_legend_handles_labels() for plot in row]
    handles, names = next((found for found in shown if found[0]), ([], []))
    if handles and len(classes) <= MOST_IN_LEGEND:
        row[-1].legend(
            handles,
            names,
            loc="center left",
            bbox_to_anchor=(1.02, 0.5),
            frameon=False,
            fontsize=8.5,
            markerscale=1.8,
            handletextpad=0.2,
        )
