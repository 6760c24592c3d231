"""Tables that are in a bundle beside those that its runs give: which number is another one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

from ...ground.texts import shown
from ..reading.run import Run
from ..render import markdown, runs_csv
from ..tables import Table
from .reading import TABLES

Cells = dict[tuple[str, ...], str]  # text of a cell by where it stands


def texts_of(tables: Sequence[Table], runs: Sequence[Run]) -> dict[str, str]:
    """The text of each file of tables, by its name."""
    return dict(zip(TABLES, (runs_csv(runs), markdown(tables)), strict=True))


def differences(name: str, recorded: str, recomputed: str, *, same_program: bool) -> Iterator[str]:
    """What `recorded`, a file of tables, says that the runs do not, a phrase each.

    Of another program's the cells are compared that both have; what this one does not know can't be.
    """
    if recorded == recomputed:
        return
    read = csv_cells if name.endswith(".csv") else markdown_cells
    try:
        ours, theirs = read(recomputed), read(recorded)
    except ValueError as error:
        yield f"it is no such table ({error})"
        return
    count = 0
    for place in dict.fromkeys([*theirs, *ours]):
        found = _difference(place, theirs.get(place), ours.get(place), same_program)
        count += bool(found)
        if found:
            yield found
    if not count and same_program:
        line = next(n for n, (a, b) in enumerate(_lines(recorded, recomputed), 1) if a != b)
        yield f"line {line} is not what its runs give, though every number is"


def _difference(place: tuple[str, ...], recorded: str | None, recomputed: str | None, same_program: bool) -> str:
    where = ", ".join(shown(part, 200).strip('"') for part in place)
    if recorded is None:
        return f"it lacks {where}, which is {shown(recomputed)}" if same_program else ""
    if recomputed is None:
        return f"it has {where} ({shown(recorded)}), which nothing in the bundle gives"
    return f"{where}: recorded {shown(recorded)}, recomputed {shown(recomputed)}" if recorded != recomputed else ""


def _lines(one: str, other: str) -> Iterator[tuple[str, str]]:
    a, b = one.split("\n"), other.split("\n")
    length = max(len(a), len(b))
    yield from zip([*a, *[""] * (length - len(a))], [*b, *[""] * (length - len(b))], strict=True)


def csv_cells(text: str) -> Cells:
    """By path of the run and column. Raises ValueError for what is no table with a column `path`."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if any("path" not in row or None in row or None in row.values() for row in rows):
        raise ValueError("a row has other columns than the first line")
    cells: Cells = {}
    for row in rows:
        for column, cell in row.items():
            _add(cells, (row["path"], column), cell)
    return cells


def markdown_cells(text: str) -> Cells:
    """By heading, the texts that a line begins with, and column. Lines that are no table are cells, too."""
    cells: Cells = {}
    title, headers = "", []
    for line in text.split("\n"):
        if line.startswith("#"):
            title, headers = line.lstrip("# "), []
        elif line.startswith("|"):
            parts = [part.strip() for part in line.strip("|").split(" | ")]
            if not headers:
                headers = parts
            elif not set(line) <= set("|-: "):
                _add_row(cells, title, headers, parts)
        elif line.strip():
            _add(cells, (title, "note", line.strip()), "said")
    return cells


class _Page(HTMLParser):
    """The texts of a page's cells, in order, and whether each may be a number."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th"):
            self._inside += 1
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside -= 1

    def handle_data(self, data: str) -> None:
        if self._inside > 0 and self.cells:
            self.cells[-1] += data


def page_differences(recorded: str, recomputed: str) -> Iterator[str]:
    """The cells of the tables on a page that are others than those of the page that its runs give, a phrase each."""
    theirs, ours = ([" ".join(cell.split()) for cell in page_cells(text)] for text in (recorded, recomputed))
    if len(theirs) != len(ours):
        yield f"its tables have {len(theirs):,} cells, recomputed {len(ours):,}"
        return
    for number, (a, b) in enumerate(zip(theirs, ours, strict=True), 1):
        if a != b:
            yield f"cell {number:,} of its tables: recorded {shown(a)}, recomputed {shown(b)}"


def page_cells(text: str) -> list[str]:
    page = _Page()
    page.feed(text)
    return page.cells


def _add_row(cells: Cells, title: str, headers: Sequence[str], parts: Sequence[str]) -> None:
    if len(parts) != len(headers):
        raise ValueError(f"a line of {shown(title)} has {len(parts)} cells, and its first one {len(headers)}")
    names = headers.index("seeds") if "seeds" in headers else 1
    for column, part in list(zip(headers, parts, strict=True))[names:]:
        _add(cells, (title, *parts[:names], column), part)


def _add(cells: Cells, place: tuple[str, ...], text: str) -> None:
    while place in cells:  # the same line again
        place = (*place, "again")
    cells[place] = text
