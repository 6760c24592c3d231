"""Folders and JSON files, under the names of Dassl 0.6.3."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from caspl.ground.errors import InputError
from caspl.ground.files import load_json, regular, replacing


def mkdir_if_missing(dirname: str | Path) -> None:
    """Make the folder `dirname` and those above it; fine if it exists, and for "" (the present folder)."""
    if dirname:
        os.makedirs(dirname, exist_ok=True)


def listdir_nohidden(path: str | Path, sort: bool = False) -> list[str]:
    """Return the names in folder `path` that do not start with a dot, in the disk's order or sorted."""
    names = [name for name in os.listdir(path) if not name.startswith(".")]
    return sorted(names) if sort else names


def check_isfile(fpath: str | Path) -> bool:
    """Return whether `fpath` is a file, and warn if it is not."""
    found = os.path.isfile(fpath)
    if not found:
        warnings.warn(f'No file found at "{fpath}"', stacklevel=2)
    return found


def read_json(fpath: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: the file is not JSON; the sentence gives the line.
    """
    content = regular(fpath).read_bytes()
    try:
        return load_json(content)
    except ValueError as error:
        raise InputError(f"{fpath}: {error}.") from None


def write_json(obj: Any, fpath: str | Path) -> None:
    """Write `obj` to a JSON file in one step, with the same text as Dassl 0.6.3; folders are made as needed."""
    with replacing(fpath) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(obj, file, indent=4, separators=(",", ": "))
