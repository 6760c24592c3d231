"""The class of each row of a table: a number from 0, or a name, and always one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from caspl.ground.errors import InputError
from caspl.ground.texts import LONGEST_NAME, shown

from ..splits.annotations import natural
from .cells import Table

TRUTH = {"true": 1, "false": 0}
MISSING = {"", "nan", "<na>", "nat"}  # also what pandas writes for a cell without a value
NUMBERS = re.compile(r"[0-9]+(?:[\s,;|]+[0-9]+)*")
SEPARATORS = ("|", ";", ",", "/", "&", "+", " ")
MOST_WORDS = 30  # beyond which nothing is looked for, which takes the longer the more there are
SURE = ("|", ";")  # which hardly a name has


def number(text: str) -> int | None:
    """The number of a class that a cell is: 3, 3.0 as pandas writes it, or True; None where it is none."""
    whole = re.sub(r"\.0*$", "", text)
    return TRUTH.get(text.lower(), natural(whole))


def is_number(text: str) -> bool:
    """Whether a cell is any number, also one that no class has."""
    try:
        return text.lower() in TRUTH or text.isnumeric() or "_" not in text and float(text) is not None
    except ValueError:
        return False


def has_numbers(column: Iterable[str]) -> bool:
    """Whether a column is one of class numbers: where it holds some, names beside them are a mistake, or said to be none."""
    return any(is_number(cell) for cell in set(column) if cell.lower() not in MISSING)


def one_to_one(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two columns say the same: each value of one goes with one of the other."""
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


def read_numbers(table: Table, name: str, instead: str) -> list[int]:
    """The column of class numbers. `instead` is what to write where they are names after all.

    Raises:
        InputError: a cell is empty or no whole number from 0.
    """
    known: dict[str, int] = {}
    for row, cell in enumerate(table.columns[name]):
        if cell not in known:
            check_cell(table, name, row)
            value = number(cell)
            if value is None:
                raise InputError(
                    f"{table.where(row)} has the {table.written[name]} {cell[:80]!r}, expected a whole number from 0; "
                    f"correct it, or, where names of classes are meant, write {instead}"
                )
            known[cell] = value
    return [known[cell] for cell in table.columns[name]]


def read_names(table: Table, name: str) -> list[str]:
    """The column of class names. Raises InputError where a cell is empty."""
    for row, cell in enumerate(table.columns[name]):
        if cell.lower() in MISSING:
            check_cell(table, name, row)
    return table.columns[name]


def check_cell(table: Table, name: str, row: int) -> None:
    """Make sure that a cell has a value. Raises InputError."""
    cell = table.columns[name][row]
    if cell.lower() in MISSING:
        found = f" ({cell})" if cell else ""
        raise InputError(
            f"{table.where(row)} has no {table.written[name]}{found}, expected one; fill it in or remove the line"
        )


# ---------------------------------------------------------------------------------------------------------------------
# Several labels
# ---------------------------------------------------------------------------------------------------------------------
def check_single(table: Table, name: str) -> None:
    """Make sure that no cell of a class column holds several labels: lists, numbers or names with something between them.

    A name may be of several words. That words are labels shows where each of them is one by itself in the column, or where
    there are twice as many values as words, most of which are other values with one word more; parts between bars or
    semicolons, where one of them recurs.

    Raises:
        InputError: there is such a cell.
    """
    values = [value for value in dict.fromkeys(table.columns[name]) if 0 < len(value) <= LONGEST_NAME]
    value = next((value for value in values if value[0] == "[" and value[-1] == "]"), None)
    if value is None and all(map(NUMBERS.fullmatch, values)):
        value = next((value for value in values if not is_number(value)), None)
    for separator in SEPARATORS:
        value = value or _joined({tuple(map(str.strip, cell.split(separator))): cell for cell in values}, separator)
    if value:
        row = next(row for row, cell in enumerate(table.columns[name]) if cell == value)
        raise InputError(
            f"{table.where(row)} has several labels in {shown(table.written[name])}, {shown(value)}: such images have several "
            f"labels (multi-label), which no method here takes, expected one class for each image; keep the lines with one "
            f"(a name that only looks like several: write it with _ here, and as it is in the file of DATASET.CLASSNAMES)"
        )


def _joined(values: dict[tuple[str, ...], str], separator: str) -> str | None:
    """A value that is several labels, of those taken apart at the separator; None where none is."""
    several = [labels for labels in values if len(labels) > 1 and all(labels)]
    counts = Counter(label for labels in values for label in set(labels))
    one_more = [
        labels
        for labels in several
        if len(labels) < MOST_WORDS and any((*labels[:at], *labels[at + 1 :]) in values for at in range(len(labels)))
    ]
    if several and len(several) >= 2 * len(counts) and len(one_more) * 2 > len(several):
        return values[several[0]]
    for labels in several:
        if all((label,) in values for label in labels) or separator in SURE and any(counts[one] > 1 for one in labels):
            return values[labels]
    return None
