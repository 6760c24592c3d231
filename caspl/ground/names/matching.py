"""Which class a name in a file belongs to: one a line in order, or beside the folder, number or WordNet id of its class.

    tench                       0 tench                       n01440764 tench, Tinca tinca
    n01440764<TAB>tench         1: goldfish                   tench,n01440764
    {"0": ["n01440764", "tench"]}                             {"tench": 0}

What stands beside the names is recognised where every entry has it. What only some have is refused: no id gets into a name.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..texts import WNID, letters, nfc, odd_name, repeated, without_wnid
from .reading import Entry, is_header, read_entries

logger = logging.getLogger(__name__)

SEPARATORS = ("\t", "->", "=>", ",", ";", "|", ":", "=", " - ", " ")
AFTER_NUMBERS = (*SEPARATORS, ".", ")")


class Column(NamedTuple):
    """What stands beside the names: of its kind ("class", "wnid" or "number") one value for each entry."""

    kind: str
    values: list[str]


class NamesFile:
    """A file of class names. `what` is what messages call it, `hint` says where it is looked for."""

    def __init__(self, path: str | Path, what: str, hint: str = "") -> None:
        """Raises InputError where it can't be read, or has a line that is no name."""
        self.place = f"{what} {path}"
        self.entries = read_entries(path, what, hint)

    def names(self, folders: Sequence[str] = ()) -> list[str]:
        """The names, in the order of the numbers beside them, else of the file. `folders` may stand beside them, too.

        Raises:
            InputError: some have an id beside them and others not.
        """
        entries, columns, names = self._divided(folders if self.names_each(folders) else ())
        if not columns and all("\t" in name for name in names):
            names = [name.split("\t", 1)[1] for name in names]  # folder, tab, name, of folders that are not here
        if not any(names):
            names = columns[-1].values
        numbers = next((column.values for column in columns if column.kind == "number"), None)
        names = self._chosen(entries, columns, names)
        return [name for _, name in sorted(zip(map(int, numbers), names, strict=True))] if numbers else names

    def names_each(self, classes: Sequence[str]) -> bool:
        """Whether the file has an entry with the class and a name for each of `classes`."""
        if not classes:
            return False
        try:
            columns = self._divided(classes)[1]
        except InputError:
            return False
        return any(column.kind == "class" for column in columns)

    def for_classes(self, classes: Sequence[str]) -> list[str]:
        """A name for each of `classes`: folders, labels or names, in the order of their labels.

        Raises:
            InputError: the file does not give each class one name.
        """
        entries, columns, names = self._divided(classes)
        kinds = {column.kind: column.values for column in columns}
        if "class" in kinds:
            names = self._chosen(entries, columns, names, classes) if any(names) else kinds["class"]
            found: dict[str, str] = {}
            for entry, key, name in zip(entries, kinds["class"], names, strict=True):
                if found.setdefault(key, name) != name:
                    raise InputError(
                        f"{entry.where} of {self.place} calls the class {key!r} {name!r}, which another line calls "
                        f"{found[key]!r}, expected one name per class; remove one"
                    )
            self._tell("beside them", classes[0], found[classes[0]])
            return [found[key] for key in classes]
        if missing := [key for key in classes if WNID.fullmatch(key) and key not in kinds.get("wnid", classes)]:
            raise InputError(
                f"{self.place} has no line for the class {missing[0]!r}, expected one for each of the {len(classes)} classes; "
                f"add it"
            )
        if len(entries) != len(classes):
            raise InputError(
                f"{self.place} holds {len(entries)} names, expected {len(classes)}, one for each class from {classes[0]!r} to "
                f"{classes[-1]!r}; add or remove lines"
            )
        names = self._chosen(entries, columns, names, classes)
        if "wnid" in kinds and (kinds["wnid"] != sorted(kinds["wnid"]) or not all(map(str.isdigit, classes))):
            raise InputError(
                f"{entries[0].where} of {self.place} has the WordNet id {kinds['wnid'][0]!r}, which is none of the classes "
                f"{classes[0]!r} to {classes[-1]!r}; expected these in its place"
            )
        if all(map(_is_number, classes)) and list(map(int, classes)) != sorted(map(int, classes)):
            raise InputError(
                f"{self.place} has names in an order, and that of the classes is {', '.join(classes[:4])} ..., as texts are "
                f"sorted; expected the class in front of each name: write lines of class, tab, name"
            )
        if "number" in kinds:
            ordered = sorted(zip(map(int, kinds["number"]), entries, names, strict=True))
            entries, names = [entry for _, entry, _ in ordered], [name for *_, name in ordered]
            numbers = set(map(int, classes)) if all(map(_is_number, classes)) else set()
            if numbers & {number for number, *_ in ordered}:  # of other classes: one of the two counts from 1
                raise InputError(
                    f"{self.place} has the numbers {ordered[0][0]} to {ordered[-1][0]} beside its names, expected those of the "
                    f"classes, {classes[0]} to {classes[-1]}; correct them, or leave them out where the names are in order"
                )
        of = {_bare(key): key for key in classes}
        for entry, key, name in zip(entries, classes, names, strict=True):
            other = of.get(_bare(name), key)
            if _bare(other) != _bare(key):
                raise InputError(
                    f"{entry.where} of {self.place} calls the class {key!r} {name!r}, which is another class, expected names "
                    f"in the order of the classes; write a line of class, tab, name for each"
                )
        self._tell("by number" if "number" in kinds else "in order", classes[0], names[0])
        return names

    def _tell(self, how: str, key: str, name: str) -> None:
        logger.info("%s names the classes %s: %r is called %r", self.place, how, key, name)

    def _divided(self, classes: Sequence[str]) -> tuple[list[Entry], list[Column], list[str]]:
        """The entries without a header, the columns of ids, and what is left of each entry, which may be nothing."""
        known = _Known(classes)
        headless = [self.entries[1:]] if is_header(self.entries[0]) and self.entries[1:] else []
        for entries in [*headless, self.entries]:
            columns, names = self._columns(entries, known)
            if columns:
                break
        else:
            self._check_near(entries, known)
        return entries, columns, names

    def _columns(self, entries: list[Entry], known: _Known) -> tuple[list[Column], list[str]]:
        if any(entry.fields for entry in entries):
            return self._fields(entries, known)
        columns: list[Column] = []
        texts = [entry.text for entry in entries]
        while all(texts):
            whole = _column(texts, known, divided=False, extras=True)
            if whole and whole.kind != "number":
                return [*columns, whole], [""] * len(texts)
            found = next(_beside(texts, known), None)
            if not found or columns and found[0].kind in {column.kind for column in columns}:
                break
            columns.append(found[0])
            texts = found[1]
        return columns, texts

    def _fields(self, entries: list[Entry], known: _Known) -> tuple[list[Column], list[str]]:
        """As `_columns`, of a file that has divided its entries itself."""
        for entry in entries:
            if len(entry.fields) != len(entries[0].fields):
                raise InputError(
                    f"{entry.where} of {self.place} has {len(entry.fields)} values, expected {len(entries[0].fields)} as in "
                    f"the first; correct it"
                )
        columns, names = [], [""] * len(entries)
        for values in map(list, zip(*(entry.fields for entry in entries), strict=True)):
            column = _column(values, known, divided=True, extras=True)
            if column and (len(entries[0].fields) > 1 or column.kind != "number"):
                columns.append(column)
            elif any(names):
                raise InputError(
                    f"{entries[0].where} of {self.place} is {entries[0].text[:80]!r}, expected a name, and a class, number or "
                    f"WordNet id that all have; correct it"
                )
            else:
                names = values
        return columns, names

    def _check_near(self, entries: list[Entry], known: _Known) -> None:
        """Make sure that no more than a few entries look as if they had an id beside the name. Raises InputError."""
        for separator in AFTER_NUMBERS:
            holding = sum(map(_with(separator), (entry.text for entry in entries)))
            if separator != "\t" and holding * 2 < len(entries):
                continue
            pairs = [_partition(entry.text, separator, known) for entry in entries]
            heads = [head if rest else "" for head, rest in pairs]
            between = {"\t": "tab", " ": "blank"}.get(separator, repr(separator))
            for kind, fits in _near(heads, separator, known):
                if not all(fits):
                    entry = entries[fits.index(False)]
                    raise InputError(
                        f"{entry.where} of {self.place} is {entry.text[:80]!r}, expected {kind}, {between}, name as in "
                        f"{'the first line' if fits[0] else 'the others'}; correct it"
                    )
                if kind == "class":
                    missing = next(key for key in known.classes if key not in map(known.find, heads))
                    raise InputError(
                        f"{self.place} has no line for the class {missing!r}, expected one for each of the "
                        f"{len(known.classes)} classes; add it"
                    )
                raise InputError(
                    f"{self.place} has the numbers {', '.join(heads[:3])} ... {heads[-1]} beside its {len(heads)} names, "
                    f"expected each from 0 or 1 on once; correct them"
                )

    def _chosen(
        self, entries: list[Entry], columns: list[Column], names: list[str], classes: Sequence[str] = ()
    ) -> list[str]:
        """The names as prompts take them; of the synonyms beside WordNet's ids the first, unless two classes share it."""
        values = [*classes, *(value for column in columns for value in column.values)]
        names = [without_wnid(name.strip().rstrip(",;").strip("\"' ")) for name in names]
        more = next((at for at, name in enumerate(names) if "\t" in name), 0)
        if columns and ("\t" in names[more] or all(re.search(r"[,;|]\s*\d+$", name) for name in names)):
            raise InputError(
                f"{entries[more].where} of {self.place} has more than a name, {names[more]!r}, expected nothing behind it; "
                f"remove the other columns"
            )
        if any(map(WNID.fullmatch, values)):
            first = [name.split(",")[0].strip() for name in names]
            if first != names:
                logger.info(
                    "%s has synonyms, the first of which are taken: %r of %r", self.place, *_differing(first, names)
                )
            shared = set(repeated(first))
            names = [name if short in shared else short for short, name in zip(first, names, strict=True)]
        for entry, name in zip(entries, names, strict=True):
            if problem := odd_name(name):
                raise InputError(f"{entry.where} of {self.place}: the name {problem}, expected one; correct it")
        return names


def _near(heads: list[str], separator: str, known: _Known) -> Iterator[tuple[str, list[bool]]]:
    """Each kind of id that most of `heads` could be, and which of them fit: what is no column, and hardly names either."""
    wnids = [bool(WNID.fullmatch(head)) for head in heads]
    classes = [bool(known.find(head)) for head in heads]
    numbers = [_is_number(head) for head in heads]
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


class _Known:
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


def _bare(text: str) -> str:
    """What classes are compared by: without the number or WordNet id in front that folders have (001.Albatross)."""
    return letters(re.sub(r"^[nN]?\d+[\W_]+(?=.*[^\W\d_])", "", text))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _column(values: list[str], known: _Known, divided: bool, extras: bool) -> Column | None:
    """The column of ids that `values` are; with `extras` there may be classes among them that are not known."""
    found = [known.find(value) for value in values]
    of_all = all(found) or extras and (divided or all(map(WNID.fullmatch, values)))
    if known.classes and set(known.classes) <= set(found) and of_all:
        return Column("class", [key or value for key, value in zip(found, values, strict=True)])
    if all(map(WNID.fullmatch, values)):
        return Column("wnid", values)
    if all(map(_is_number, values)):
        numbers = sorted(map(int, values))
        if numbers in (list(range(len(values))), list(range(1, len(values) + 1))):
            return Column("number", values)
    return None


def _beside(texts: list[str], known: _Known) -> Iterator[tuple[Column, list[str]]]:
    """The columns that stand before or behind something else in all texts, and that, the likeliest first."""
    for part, separators in ((_partition, AFTER_NUMBERS), (_rpartition, SEPARATORS)):
        for separator in separators:
            if not all(map(_with(separator), texts)):
                continue
            pairs = [part(text, separator, known) for text in texts]
            heads, rests = [head for head, _ in pairs], [rest for _, rest in pairs]
            if not all(heads) or not all(rests):
                continue
            column = _column(heads, known, divided=separator == "\t", extras=True)
            if column and (column.kind == "number" or separator in SEPARATORS):
                yield column, rests


def _partition(text: str, separator: str, known: _Known) -> tuple[str, str]:
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


def _rpartition(text: str, separator: str, known: _Known) -> tuple[str, str]:
    """What stands behind the last separator, and before it, as in `_partition`."""
    for place in _places(text, separator)[:-1]:
        if known.has(text[place + len(separator) :].strip()):
            return text[place + len(separator) :].strip(), text[:place].strip()
    rest, _, head = text.rpartition(separator)
    return head.strip().strip("\"'"), rest.strip()


def _with(separator: str) -> Callable[[str], bool]:
    """Whether a text holds the separator; a blank may be a tab."""
    return lambda text: separator in text or separator == " " and "\t" in text


def _places(text: str, separator: str) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(separator), text)]


def _differing(first: list[str], second: list[str]) -> tuple[str, str]:
    return next((a, b) for a, b in zip(first, second, strict=True) if a != b)
