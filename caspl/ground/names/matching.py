"""Which class a name in a file belongs to: one a line in order, or beside the folder, number or WordNet id of its class.

    tench                       0 tench                       n01440764 tench, Tinca tinca
    n01440764<TAB>tench         1: goldfish                   tench,n01440764
    {"0": ["n01440764", "tench"]}                             {"tench": 0}

What stands beside the names is recognised where every entry has it. What only some have is refused: no id gets into a name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..texts import WNID, letters, odd_name, repeated, without_wnid
from .columns import AFTER_NUMBERS, Column, Known, beside, column_of, holds, is_number, near, partition
from .reading import Entry, is_header, read_entries

logger = logging.getLogger(__name__)


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
        if all(map(is_number, classes)) and list(map(int, classes)) != sorted(map(int, classes)):
            raise InputError(
                f"{self.place} has names in an order, and that of the classes is {', '.join(classes[:4])} ..., as texts are "
                f"sorted; expected the class in front of each name: write lines of class, tab, name"
            )
        if "number" in kinds:
            ordered = sorted(zip(map(int, kinds["number"]), entries, names, strict=True))
            entries, names = [entry for _, entry, _ in ordered], [name for *_, name in ordered]
            numbers = set(map(int, classes)) if all(map(is_number, classes)) else set()
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
        known = Known(classes)
        headless = [self.entries[1:]] if is_header(self.entries[0]) and self.entries[1:] else []
        for entries in [*headless, self.entries]:
            columns, names = self._columns(entries, known)
            if columns:
                break
        else:
            self._check_near(entries, known)
        return entries, columns, names

    def _columns(self, entries: list[Entry], known: Known) -> tuple[list[Column], list[str]]:
        if any(entry.fields for entry in entries):
            return self._fields(entries, known)
        columns: list[Column] = []
        texts = [entry.text for entry in entries]
        while all(texts):
            whole = column_of(texts, known, divided=False)
            if whole and whole.kind != "number":
                return [*columns, whole], [""] * len(texts)
            found = next(beside(texts, known), None)
            if not found or columns and found[0].kind in {column.kind for column in columns}:
                break
            columns.append(found[0])
            texts = found[1]
        return columns, texts

    def _fields(self, entries: list[Entry], known: Known) -> tuple[list[Column], list[str]]:
        """As `_columns`, of a file that has divided its entries itself."""
        for entry in entries:
            if len(entry.fields) != len(entries[0].fields):
                raise InputError(
                    f"{entry.where} of {self.place} has {len(entry.fields)} values, expected {len(entries[0].fields)} as in "
                    f"the first; correct it"
                )
        columns, names = [], [""] * len(entries)
        for values in map(list, zip(*(entry.fields for entry in entries), strict=True)):
            column = column_of(values, known, divided=True)
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

    def _check_near(self, entries: list[Entry], known: Known) -> None:
        """Make sure that no more than a few entries look as if they had an id beside the name. Raises InputError."""
        for separator in AFTER_NUMBERS:
            holding = sum(map(holds(separator), (entry.text for entry in entries)))
            if separator != "\t" and holding * 2 < len(entries):
                continue
            pairs = [partition(entry.text, separator, known) for entry in entries]
            heads = [head if rest else "" for head, rest in pairs]
            between = {"\t": "tab", " ": "blank"}.get(separator, repr(separator))
            for kind, fits in near(heads, separator, known):
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


def _bare(text: str) -> str:
    """What classes are compared by: without the number or WordNet id in front that folders have (001.Albatross)."""
    return letters(re.sub(r"^[nN]?\d+[\W_]+(?=.*[^\W\d_])", "", text))


def _differing(first: list[str], second: list[str]) -> tuple[str, str]:
    return next((a, b) for a, b in zip(first, second, strict=True) if a != b)
