"""Tables as the page shows them: each number with the place on the page where its runs are."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..certainty.deviations import BEYOND
from ..figures import DRAWN, INKS, svg
from ..reading.run import Run
from ..render import Line, grid, labels, notes
from ..tables import Cell, Table
from . import facts
from .evidence import Evidences, method_of

MOST_DRAWN = 60  # rows of a table that has a figure
MOST_COMMANDS = 100  # of one source


@dataclass(frozen=True)
class Picture:
    """A figure: its address by theme, which holds the picture itself, and its width in pixels."""

    anchor: str
    addresses: dict[str, str]
    width: int
    about: str


@dataclass(frozen=True)
class ShownCell:
    text: str
    anchor: str = ""  # of its runs; "": it has none
    beyond: bool = False  # it deviates from the published number by more than its tolerance


@dataclass(frozen=True)
class ShownLine:
    cells: list[ShownCell]
    published: bool  # numbers that belong to the line above
    average: bool


@dataclass(frozen=True)
class ShownTable:
    """A table of results, as text."""

    anchor: str
    title: str
    headers: list[str]
    names: int  # how many columns in front are names, and no numbers
    texts: list[int]  # which other columns are no numbers
    lines: list[ShownLine]
    notes: list[str]
    picture: Picture | None


@dataclass(frozen=True)
class SourceRun:
    what: str
    anchor: str
    command: str


@dataclass(frozen=True)
class Source:
    """The runs of a number that is made of several methods' or datasets' runs."""

    anchor: str
    title: str
    runs: list[SourceRun]
    more: int  # that are not listed


@dataclass
class Sources:
    """Finds the place of a number's runs: with their method, where they are of one, else in a list of their own."""

    evidences: Evidences
    lists: list[Source] = field(default_factory=list)
    _known: dict[frozenset[str], str] = field(default_factory=dict)

    def anchor(self, runs: Sequence[Run], more: Sequence[Run], title: str) -> str:
        """ "" where there are no runs, or none of this page. A list is one of `more`: what other numbers come from, too."""
        places = {self.evidences.anchors[run.path] for run in runs if run.path in self.evidences.anchors}
        if len(places) <= 1:
            return next(iter(places), "")
        own = {run.path for run in more if run.path in self.evidences.anchors}
        key = frozenset(own)
        if key not in self._known:
            self._known[key] = f"from-{len(self.lists) + 1}"
            self.lists.append(
                self._list(self._known[key], title, [run for run in self.evidences.runs if run.path in own])
            )
        return self._known[key]

    def _list(self, anchor: str, title: str, runs: Sequence[Run]) -> Source:
        shown = [
            SourceRun(
                ", ".join(
                    filter(
                        None,
                        (
                            method_of(run),
                            run.dataset,
                            "" if run.seed is None else f"seed {run.seed}",
                            f"{run.classes} classes: {run.accuracy:.2f} %",
                        ),
                    )
                ),
                self.evidences.run_anchor(run),
                facts.command(run.record) if run.record is not None else "",
            )
            for run in runs[:MOST_COMMANDS]
        ]
        return Source(anchor, title, shown, len(runs) - len(shown))


def shown_table(anchor: str, table: Table, sources: Sources, picture: Picture | None = None) -> ShownTable:
    names = labels(table)
    headers, lines = grid(table, table.rows, names)
    first = len(names) + 1
    shown = [_line(line, table, first, sources) for line in lines]
    of_text = [any(isinstance(row.cells[place], str) for row in table.rows) for place in range(len(table.columns))]
    texts = [first + place for place, is_text in enumerate(of_text) if is_text]
    return ShownTable(anchor, table.title, headers, len(names), texts, shown, notes(table), picture)


def _line(line: Line, table: Table, first: int, sources: Sources) -> ShownLine:
    """`first`: the column of the first number. Numbers that come from runs of several rows share a list, that of their line."""
    row, cells = line.row, []
    of_line = [run for cell in row.cells if isinstance(cell, Cell) for run in cell.runs]
    title = ", ".join(filter(None, (table.title, row.dataset, row.method)))
    for place, text in enumerate(line.cells):
        cell = row.cells[place - first] if 0 <= place - first < len(row.cells) and not line.published else None
        anchor = sources.anchor(cell.runs, of_line, title) if isinstance(cell, Cell) else ""
        cells.append(ShownCell(text, anchor, place >= first and f"){BEYOND}" in text))
    return ShownLine(cells, line.published, row.average)


def picture_of(anchor: str, setting: str, table: Table) -> Picture | None:
    """The figure of a setting's table; None for settings without one, and for more rows than anyone looks at."""
    if setting not in DRAWN or len([row for row in table.rows if row.average] or table.rows) > MOST_DRAWN:
        return None
    drawn = {theme: svg(setting, table, theme) for theme in INKS}
    about = f"{table.title}: the numbers of the table above, drawn"
    return Picture(anchor, {theme: address(content) for theme, (content, _) in drawn.items()}, drawn["light"][1], about)


def address(svg: bytes) -> str:
    """A drawing as an image's address, which holds it: as an image it can run and fetch nothing."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
