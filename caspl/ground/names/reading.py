"""The entries of a file of class names: its lines, or what a JSON object or list (or a dictionary of Python's) holds."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..files import load_json, read_text
from ..texts import nfc, odd_name

HEADER = {"id", "index", "idx", "number", "label", "labelid", "class", "classes", "classid", "classname", "name", "names"} | {
    "folder", "directory", "dir", "wnid", "wordnetid", "synset", "synsets", "words", "category", "title", "target"
}  # fmt: skip


class Entry(NamedTuple):
    """One entry: where it stands, for messages, and its text, or its fields where the file has divided it already."""

    where: str
    text: str
    fields: tuple[str, ...] = ()


def read_entries(path: str | Path, what: str, hint: str = "") -> list[Entry]:
    """The entries of a file in UTF-8, without blank lines and comments (# ...); names in NFC.

    Raises:
        InputError: it cannot be read, is not text, is blank, or has a line that is no name; the sentence calls the file `what`,
            and `hint` says more of where it is looked for.
    """
    text = read_text(path, what, hint)
    entries = _of_object(text, path, what) if text.lstrip()[:1] in ("{", "[") else None
    if entries is None:
        lines = {number: nfc(line).strip(" \r\n") for number, line in enumerate(text.split("\n"), 1)}
        entries = [Entry(f"line {number}", line) for number, line in lines.items() if line.strip()]
    if not all(entry.text.startswith("#") for entry in entries):
        entries = [entry for entry in entries if not entry.text.startswith("# ")]
    if not entries:
        raise InputError(f"{what} {path} is empty, expected one name per line; fill it")
    for entry in entries:
        if problem := odd_name(entry.text.replace("\t", " ")):
            raise InputError(f"{entry.where} of {what} {path} {problem}, expected a name; correct it")
    return entries


def is_header(entry: Entry) -> bool:
    """Whether an entry holds nothing but words such as "folder" and "name"."""
    text = entry.text.casefold()
    for mark in "\t,;:|":
        text = text.replace(mark, " ")
    words = ["".join(c for c in word if c.isalnum()) for word in text.split()]
    return len(words) > 1 and set(words) <= HEADER


def _of_object(text: str, path: str | Path, what: str) -> list[Entry] | None:
    """The entries of a JSON object or list; None where the text is neither, and not called .json."""
    try:
        content = load_json(text)
    except ValueError as error:
        try:
            content = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            if Path(path).suffix.lower() == ".json":
                raise InputError(
                    f"{what} {path} {str(error).removeprefix('it ')}, expected names as an object or a list; correct it"
                ) from None
            return None
    pairs = content.items() if isinstance(content, dict) else [(None, value) for value in content]
    entries = []
    for number, (key, value) in enumerate(pairs):
        values = list(value) if isinstance(value, list | tuple) else [value]
        fields = values if key is None else [key, *values]
        if not all(isinstance(field, str | int) and str(field).strip() for field in fields):
            raise InputError(
                f"entry {number} of {what} {path} is {str(value)[:80]!r}, expected a name, or a folder or number and a name; "
                f"correct it"
            )
        texts = tuple(nfc(str(field)).strip() for field in fields)
        entries.append(Entry(f"entry {number}", texts[-1] if len(texts) == 1 else ", ".join(texts), texts))
    return entries
