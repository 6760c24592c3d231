"""The entries of a file of class names: its lines, or what a JSON object or list (or a dictionary of Python's) holds."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..files import load_json, read_text
from ..texts import letters, nfc, odd_name

HEADER = {"id", "index", "idx", "number", "label", "labelid", "class", "classes", "classid", "classname", "name", "names"} | {
    "folder", "directory", "dir", "wnid", "wordnetid", "synset", "synsets", "words", "category", "title", "target"
}  # fmt: skip
LISTS = {"names", "classes", "labels", "categories", "classnames", "class_names"}  # {"names": ["tench", ...]}


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
    if all(entry.text.startswith("- ") for entry in entries):  # a list in YAML or Markdown
        entries = [entry._replace(text=entry.text[2:].strip()) for entry in entries]
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
    words = [letters(word) for word in text.split()]
    return len(words) > 1 and set(words) <= HEADER


def _of_object(text: str, path: str | Path, what: str) -> list[Entry] | None:
    """The entries of a JSON object or list, or of an object a line; None where the text is neither, and not called .json."""
    content = _value(text)
    if content is None:
        values = [_value(line) for line in text.splitlines() if line.strip()]
        content = values if all(isinstance(value, dict) for value in values) else None
    if content is None:
        if Path(path).suffix.lower() == ".json":
            raise InputError(f"{what} {path} is not JSON, expected names as an object or a list; correct it")
        return None
    while isinstance(content, dict):  # {"id2label": {"0": "tench", ...}, ...}
        inner = content.get("id2label", next(iter(content.values())) if len(content) == 1 else None)
        if not isinstance(inner, dict) and not (isinstance(inner, list) and set(content) <= LISTS):
            break
        content = inner
    entries = []
    for number, (key, value) in enumerate(
        content.items() if isinstance(content, dict) else ((None, each) for each in content)
    ):
        if isinstance(value, dict) and key is None:  # {"folder": "n01440764", "name": "tench"}
            value = list(value.values())
        fields = [*([] if key is None else [key]), *(value if isinstance(value, list | tuple) else [value])]
        if not fields or not all(isinstance(field, str | int) and str(field).strip() for field in fields):
            raise InputError(
                f"entry {number} of {what} {path} is {str(value)[:80]!r}, expected a name, or a folder or number and a name; "
                f"correct it"
            )
        texts = tuple(nfc(str(field)).strip() for field in fields)
        entries.append(Entry(f"entry {number}", ", ".join(texts), texts))
    return entries


def _value(text: str) -> dict | list | None:
    """The object or list that a text is in JSON or in Python; None where it is none."""
    try:
        value = load_json(text)
    except ValueError:
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return None
    return value if isinstance(value, dict | list) else None
