"""Tables of own images: which image, class and part each row of a .csv or .jsonl names."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from typing import Any

from caspl.ground.errors import InputError
from caspl.ground.files import TEXT_BYTES, load_json, regular
from caspl.ground.texts import repeated

from ..splits.annotations import natural
from ..splits.split_file import wrong_path
from .rows import PART_NAMES, ImageRow

TABLES = (".csv", ".jsonl")


def read_table(path: str) -> Iterator[ImageRow]:
    """The images of a table; see ImageFolder."""
    folder, given, count = os.path.dirname(path), None, 0
    for number, values in _records(path):
        where, count = f"line {number} of {path}", count + 1
        columns = {name for name in ("path", "label", "classname", "split") if name in values}
        if given is None:
            given = columns
        if columns != given or "path" not in given or not given & {"label", "classname"}:
            raise InputError(
                f"{where} has the columns {', '.join(sorted(values))[:120] or '(none)'}, expected path, and label or "
                f"classname or both, and split or not, the same in every line; correct it"
            )
        text = {name: "" if values[name] is None else str(values[name]).strip() for name in given}
        empty = [name for name in sorted(given) if not text[name]]
        if empty:
            raise InputError(f"{where} has no {empty[0]}, expected one; fill it in or remove the line")
        label, part = text.get("label", ""), text.get("split", "").lower()
        if label and natural(label) is None:
            raise InputError(
                f"{where} has the label {label[:80]!r}, expected a whole number from 0; use the column classname "
                f"for names"
            )
        if part and part not in PART_NAMES:
            raise InputError(f"{where} has the split {part[:80]!r}, expected train, val or test; correct it")
        impath = text["path"]
        if os.path.isabs(impath):
            impath = os.path.relpath(impath.replace("\0", "?"), folder)
        if problem := wrong_path(impath):
            raise InputError(
                f"{where} has {problem} {text['path']}, expected one in the folder of the table; move it there"
            )
        name = text.get("classname", "")
        yield ImageRow(impath.replace(os.sep, "/"), int(label) if label else name, name, PART_NAMES.get(part, ""))
    if not count:
        raise InputError(f"{path} lists no images, expected a line for each; fill it")


def _records(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and values of each line; names of columns in lower case, without spaces and underscores."""
    try:
        with open(regular(path, TEXT_BYTES), encoding="utf-8-sig", newline="") as file:
            if path.lower().endswith(".csv"):
                reader = csv.DictReader(file, strict=True)
                if twice := repeated(map(_plain, reader.fieldnames or ())):
                    raise InputError(f"{path} has the column {twice[0]!r} twice, expected one; remove the other")
                for values in reader:
                    if None in values:
                        raise InputError(
                            f"line {reader.line_num} of {path} has more values than there are columns; put "
                            f"values that hold a comma in quotes"
                        )
                    yield reader.line_num, {_plain(name): value for name, value in values.items()}
                return
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                values = load_json(line)
                if not isinstance(values, dict):
                    raise InputError(
                        f"line {number} of {path} is {line.strip()[:80]!r}, expected an object with path, label "
                        f"and classname; correct it"
                    )
                yield number, {_plain(name): value for name, value in values.items()}
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save it in this encoding") from None
    except ValueError as error:
        reason = str(error).removeprefix("it ")
        raise InputError(f"line {number} of {path} {reason}, expected an object; correct it") from None
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of {path} is not CSV ({error}); correct it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace(" ", "")
