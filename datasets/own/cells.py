"""Files of tables as people have them, read into columns of texts: .csv, .tsv, .jsonl and .json."""

from __future__ import annotations

import codecs
import csv
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO

from caspl.ground.errors import InputError
from caspl.ground.files import TEXT_BYTES, as_json, load_json, regular
from caspl.ground.images import is_clutter, is_image
from caspl.ground.keys import LONGEST
from caspl.ground.texts import quoted, repeated, shown

from .parts import named

ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
PANDAS = {  # what other programs keep tables in: the function of pandas that reads it
    ".parquet": "read_parquet",
    ".feather": "read_feather",
    ".xlsx": "read_excel",
    ".xls": "read_excel",
    ".ods": "read_excel",
    ".pkl": "read_pickle",
}
MOST_COLUMNS = 1_000
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Table:
    """A table by its columns, which are called in lower case without spaces and underscores; the cells are texts.

    Attributes:
        path: where it lies.
        lines: the line, counted from 1, of each row.
        written: the header of each column as the file has it.
        columns: the cells of each column, one for each row; "" where there is none.
    """

    path: str
    lines: list[int]
    written: dict[str, str]
    columns: dict[str, list[str]]

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def where(self, row: int) -> str:
        return f"{'entry' if self.path.lower().endswith('.json') else 'line'} {self.lines[row]} of {self.path}"

    def headers(self) -> str:
        """The columns as the file calls them, for a sentence."""
        written = [shown(name, 40) for name in self.written.values()]
        return ", ".join(written[:12]) + (f" and {len(written) - 12:,} more" if written[12:] else "")


@lru_cache
def plain(name: str) -> str:
    """What columns are called and compared by."""
    return name.strip().lower().replace("_", "").replace(" ", "")


def is_table(path: str) -> bool:
    """Whether a file of that name would be one that `read_cells` reads."""
    return path.lower().endswith(ENDINGS)


def conversion(path: str) -> str:
    """How to make a .csv of a table that another program keeps, as a clause; "" where it is none."""
    stem, ending = os.path.splitext(path)
    if ending.lower() not in PANDAS:
        return ""
    old, new = as_json(path, LONGEST), as_json(f"{stem}.csv", LONGEST)
    code = f"import pandas; pandas.{PANDAS[ending.lower()]}({old}).to_csv({new}, index=False)"
    return f"convert it: python -c {shlex.quote(code)}"


def beside(folder: str, root: str) -> str:
    """How to read the table that lies in a folder, as a clause; "" where none does. Paths are relative to the root."""
    if not os.path.isdir(folder):
        return ""
    names = sorted(name for name in os.listdir(folder) if is_table(name) and not name.lower().endswith(".json"))
    names = [name for name in names if not is_clutter(name)]
    said = {name: named(os.path.splitext(name)[0]) for name in names}
    train = [name for name in names if said[name] and said[name].part == "train"]
    others = [name for name in names if not said[name] and "submission" not in name.lower()]
    if not train and not others:
        return ""
    table = (train or others)[0]
    path = os.path.relpath(os.path.join(folder, table), root)
    return f"the table {table} beside them is not read: to read it, write {key_of('DATASET.PATHS', [path])}"


def key_of(name: str, value: Sequence[str]) -> str:
    """A key and its list of texts as a command line takes them."""
    return f"{name} {quoted(repr(list(value)))}"


def read_cells(path: str) -> Table:
    """The table in a file, blank rows left out.

    Raises:
        InputError: it cannot be read, is no table, or has no rows; the sentence names file and line.
    """
    lines: list[int] = []
    written: dict[str, str] = {}
    columns: dict[str, list[str]] = {}
    try:
        for number, record in _records(path):
            for name in record:
                if plain(name) not in written:
                    if len(written) == MOST_COLUMNS:
                        raise InputError(f"{path} has more than {MOST_COLUMNS:,} columns, expected few; take some out")
                    written[plain(name)] = name.strip()
                    columns[plain(name)] = [""] * len(lines)
            cells = {plain(name): _text(value) for name, value in record.items()}
            if any(cells.values()):
                lines.append(number)
                for name, column in columns.items():
                    column.append(cells.get(name, ""))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    except UnicodeError:
        raise InputError(f"{path} is not text in UTF-8; save it in this encoding (in Excel: CSV UTF-8)") from None
    if not lines:
        raise InputError(f"{path} lists no images, expected a line for each; fill it")
    return Table(path, lines, written, columns)


def _text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return "" if value is None else str(value).strip()


def _records(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and values by header of each row."""
    regular(path, TEXT_BYTES)
    with open(path, "rb") as file:
        encoding = "utf-16" if file.read(2) in UTF_16 else "utf-8-sig"
    with open(path, encoding=encoding, newline="") as file:
        if path.lower().endswith((".csv", ".tsv")):
            yield from _rows(file, path)
        elif path.lower().endswith(".jsonl"):
            yield from _objects(enumerate(file, 1), path)
        else:
            yield from _entries(file, path)


# ---------------------------------------------------------------------------------------------------------------------
# Separated values
# ---------------------------------------------------------------------------------------------------------------------
def _rows(file: TextIO, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    delimiter = _delimiter(file, path)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        header = next(filter(None, reader), [])
        _check_header(header, path)
        places = {
            name: len(header) - at for at, name in enumerate(reversed(header), 1)
        }  # the first, where several are unnamed
        places = dict(sorted(places.items(), key=lambda place: place[1]))
        for row in filter(None, reader):
            if any(cell.strip() for cell in row[len(header) :]):
                raise InputError(
                    f"line {reader.line_num} of {path} has more values than there are columns; put values that hold "
                    f"{DELIMITERS[delimiter]} in quotes, or, where the rows begin with their numbers, name that column, too"
                )
            yield reader.line_num, {name: row[at] if at < len(row) else "" for name, at in places.items()}
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of {path} is not CSV ({error}); correct it") from None


def _delimiter(file: TextIO, path: str) -> str:
    """Tabs in a .tsv, commas in a .csv; where the header of a .csv has none, what it has most of among the others."""
    if path.lower().endswith(".tsv"):
        return "\t"
    header = next((line for line in iter(file.readline, "") if line.strip()), "")
    file.seek(0)
    return "," if "," in header else max(DELIMITERS, key=header.count)


def _check_header(header: list[str], path: str) -> None:
    if any("\0" in name for name in header):
        raise UnicodeError  # UTF-16 without the mark that says so
    named = [name for name in map(plain, header) if name]
    if twice := repeated(named):
        raise InputError(f"{path} has the column {twice[0]!r} twice, expected one; remove the other")
    if image := next((name for name in header if is_image(name.strip())), ""):
        raise InputError(
            f"the first line of {path} has {image.strip()[:120]!r}, expected the names of the columns; add a line "
            f"such as path,classname above it"
        )


# ---------------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------------
def _objects(lines: Iterator[tuple[int, str]], path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines:
        if line.strip():
            try:
                record = load_json(line)
            except ValueError as error:
                reason = str(error).removeprefix("it ")
                raise InputError(f"line {number} of {path} {reason}, expected an object; correct it") from None
            yield number, _object(record, f"line {number} of {path}")


def _entries(file: TextIO, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        content = load_json(file.read())
    except ValueError as error:
        raise InputError(f"{path} {str(error).removeprefix('it ')}, expected a list of objects; correct it") from None
    if not isinstance(content, list):
        found = f"an object with {', '.join(content)[:80]}" if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{path} is {found}, expected a list of objects with path, label and classname; write such a list, or a .csv"
        )
    for number, record in enumerate(content, 1):
        yield number, _object(record, f"entry {number} of {path}")


def _object(record: Any, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise InputError(
            f"{where} is {as_json(record, 80)!r}, expected an object with path, label and classname; correct it"
        )
    return record
