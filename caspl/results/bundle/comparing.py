"""Tables that are in a bundle beside those that its runs give: which number is another one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from html.parser import HTMLParser

from ...ground.texts import shown
from ..reading.run import Run
from ..render import markdown, runs_csv
from ..tables import Table
from .reading import TABLES

OF_PLACE = (
    "data-of-place"  # attribute of what a page says only where files, images of datasets or records, lie beside it
)
PICTURE = re.compile(r"data:image/[^\"'<>\s]*")
MOST_OF_IMAGES = 2**19  # characters of those parts; html.parser takes time with the square of a page that is no HTML
Cells = dict[tuple[str, ...], str]  # text of a cell by where it stands


def texts_of(tables: Sequence[Table], runs: Sequence[Run]) -> dict[str, str]:
    """The text of each file of tables, by its name."""
    return dict(zip(TABLES, (runs_csv(runs), markdown(tables)), strict=True))


def differences(name: str, recorded: str, recomputed: str, *, same_program: bool) -> Iterator[str]:
    """What `recorded`, a file of tables, says that the runs do not, a phrase each.

    Of another program's the cells are compared that both have, and which runs it has; what this one does not know can't be.
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
    alone = {path for path, *_ in theirs} ^ {path for path, *_ in ours} if name.endswith(".csv") else set()
    for path in sorted(alone):
        has = "has a line" if any(path == other for other, *_ in theirs) else "lacks the line"
        count += 1
        yield f"it {has} of {shown(path, 1_000)}"
    for place in dict.fromkeys([*theirs, *ours]):
        if place[0] in alone:
            continue
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
    """The texts of a page in order, and its scripts and styles; not what depends on which files lie beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts, self.code = [""], [""]
        self._skipped, self._depth = "", 0  # an element that is passed over, and how many of its kind are open

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.texts.append("")
        if not self._depth and OF_PLACE in dict(attrs):
            self._skipped = tag
        self._depth += tag == self._skipped

    def handle_endtag(self, tag: str) -> None:
        self.texts.append("")
        self._depth -= tag == self._skipped
        self._skipped = self._skipped if self._depth else ""

    def handle_data(self, data: str) -> None:
        if not self._depth:
            (self.code if self.cdata_elem else self.texts)[-1] += data


def page_differences(recorded: str, recomputed: str) -> Iterator[str]:
    """The texts of a page that are others than those of the page that its runs give, a phrase each."""
    recorded, recomputed = (PICTURE.sub("", text) for text in (recorded, recomputed))
    if len(recorded) > 2 * len(recomputed) + MOST_OF_IMAGES:
        yield f"it has {len(recorded):,} characters beside its pictures, recomputed {len(recomputed):,}"
        return
    theirs, ours = (page_texts(text) for text in (recorded, recomputed))
    for number, (a, b) in enumerate(zip(theirs, ours, strict=False), 1):
        if a != b:
            yield f"text {number:,} of {len(theirs):,}: recorded {shown(a)}, recomputed {shown(b)}"
            if len(theirs) != len(ours):  # the others would only be shifted
                break
    if len(theirs) != len(ours):
        yield f"it has {len(theirs):,} texts, recomputed {len(ours):,}"


def page_texts(text: str) -> list[str]:
    page = _Page()
    page.feed(text)
    page.close()
    return [words for each in [*page.texts, *page.code] if (words := " ".join(each.split()))]


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
