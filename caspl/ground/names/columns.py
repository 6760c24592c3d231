"""What stands beside names in the entries of a file: columns of classes, WordNet ids or numbers.

A column is one where every entry has it; what only most of them have is told by `near`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..texts import WNID, letters, nfc

SEPARATORS = ("\t", "->", "=>", ",", ";", "|", ":", "=", " - ", " ")
AFTER_NUMBERS = (*SEPARATORS, ".", ")")


class Column(NamedTuple):
    """What stands beside the names: of its kind ("class", "wnid" or "number") one value for each entry."""

    kind: str
    values: list[str]


class Known:
    """Classes that names may stand beside, found in whatever case and with whatever separators where that is enough."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self._exact = set(classes)
        self._plain = {letters(key): key for key in classes}
        if len(self._plain) < len(self._exact) or "" in self._plain:
            self._plain = {}
        self._wnids = {found[0]: key for key in classes if (found := WNID.match(key))}  # n02085620-Chihuahua

    def find(self, text: str) -> str | None:
        """The class that a text means; None where it means none."""
        if not self._exact:
            return None
        text = nfc(text).strip().strip("\"'").removeprefix("./").rstrip("/")
        return text if text in self._exact else self._plain.get(letters(text)) or self._wnids.get(text)

    def in_order(self, heads: list[str]) -> bool:
        """Whether no head is a class other than that of its own place."""
        places = zip(map(self.find, heads), self.classes, strict=False)
        return len(heads) == len(self.classes) and all(found in (None, key) for found, key in places)

    def has(self, text: str) -> bool:
        """Whether a class is called just so."""
        return text in self._exact


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def column_of(values: list[str], known: Known, divided: bool) -> Column | None:
    """The column of ids that `values` are; ids, and what is `divided` from the names, may be of other classes, too."""
    found = [known.find(value) for value in values]
    of_all = divided or all(found) or all(map(WNID.fullmatch, values))
    if known.classes and set(known.classes) <= set(found) and of_all:
        return Column("class", [key or value for key, value in zip(found, values, strict=True)])
    if all(map(WNID.fullmatch, values)):
        return Column("wnid", values)
    if all(map(is_number, values)):
        numbers = sorted(map(int, values))
        if numbers in (list(range(len(values))), list(range(1, len(values) + 1))):
            return Column("number", values)
    return None


def beside(texts: list[str], known: Known) -> Iterator[tuple[Column, list[str]]]:
    """The columns that stand before or behind something else in all texts, and that, the likeliest first."""
    for part, separators in ((partition, AFTER_NUMBERS), (_rpartition, SEPARATORS)):
        for separator in separators:
            if not all(map(holds(separator), texts)):
                continue
            pairs = [part(text, separator, known) for text in texts]
            heads, rests = [head for head, _ in pairs], [rest for _, rest in pairs]
            if not all(heads) or not all(rests):
                continue
            column = column_of(heads, known, divided=separator == "\t")
            if column and (column.kind == "number" or separator in SEPARATORS):
                yield column, rests


def near(heads: list[str], separator: str, known: Known) -> Iterator[tuple[str, list[bool]]]:
    """Each kind of id that most of `heads` could be, and which of them fit: what is no column, and hardly names either."""
    wnids = [bool(WNID.fullmatch(head)) for head in heads]
    classes = [bool(known.find(head)) for head in heads]
    numbers = [is_number(head) for head in heads]
    if separator in SEPARATORS:
        if sum(wnids) * 2 > len(heads) and not all(wnids):
            yield "WordNet id", wnids
        if (sum(classes) * 2 > len(heads) or separator == "\t" and classes[0]) and (
            separator != " " or not known.in_order(heads)
        ):
            yield "class", classes
    for first in (0, 1):
        if sum(head == str(place) for place, head in enumerate(heads, first)) * 2 > len(heads) > 1:
            yield "number", numbers


def partition(text: str, separator: str, known: Known) -> tuple[str, str]:
    """What stands before a separator, and behind it: a class that holds it itself is whole."""
    for place in reversed(_places(text, separator)[1:]):
        if known.has(text[:place].strip()):
            return text[:place].strip(), text[place + len(separator) :].strip()
    if separator == " ":
        head, rest = [*text.split(None, 1), "", ""][:2]
    elif separator == "," and '"' in text:
        fields = next(csv.reader([text]), [])
        head, rest = (fields[0], ",".join(fields[1:])) if fields else ("", "")
    else:
        head, _, rest = text.partition(separator)
    return head.strip().strip("\"'"), rest.strip()


def _rpartition(text: str, separator: str, known: Known) -> tuple[str, str]:
    """What stands behind the last separator, and before it, as in `partition`."""
    for place in _places(text, separator)[:-1]:
        if known.has(text[place + len(separator) :].strip()):
            return text[place + len(separator) :].strip(), text[:place].strip()
    rest, _, head = text.rpartition(separator)
    return head.strip().strip("\"'"), rest.strip()


def holds(separator: str) -> Callable[[str], bool]:
    """Whether a text holds the separator; a blank may be a tab."""
    return lambda text: separator in text or separator == " " and "\t" in text


def _places(text: str, separator: str) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(separator), text)]
