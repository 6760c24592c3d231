"""Reading annotations: the benchmarks' lists in text files, MATLAB files and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from caspl.ground.errors import InputError, cause
from caspl.ground.files import TEXT_BYTES, load_json, regular

MOST_CLASSES = 10**6
MAT_BYTES = 2**27  # the annotations of Cars and Flowers have a few hundred thousand


def annotation_lines(path: str | Path) -> list[str]:
    """The lines of a text file without surrounding white space; empty ones at the end are left out.

    Raises:
        InputError: it cannot be read, is no text, is empty, or a web page.
    """
    try:
        text = regular(path, TEXT_BYTES).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({cause(error)}); extract or download it again") from None
    if not text.strip() or text.lstrip().startswith("<"):
        found = "a web page was saved in its place" if text.strip() else "it is empty"
        raise InputError(f"{path} is no list ({found}); extract or download it again")
    return [line.strip() for line in text.rstrip().splitlines()]


def wrong_line(path: str | Path, number: int, line: str, expected: str) -> InputError:
    """The error about a line, counted from 1, that is not as expected."""
    return InputError(f"line {number} of {path} is {line[:120]!r}, expected {expected}; extract or download it again")


def natural(text: str) -> int | None:
    """The number of a class that `text` is, from 0 to a million; None where it is something else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MOST_CLASSES else None


def read_mat(path: str | Path, key: str, *fields: str) -> np.ndarray:
    """The row that a MATLAB file holds as variable `key`, dimensions of length one removed from what is in it.

    Raises:
        InputError: it is no MATLAB file, or has no such variable with these fields.
    """
    from scipy.io import loadmat  # slow to import, and needed only where there is no split file

    try:
        with regular(path, MAT_BYTES).open("rb") as file:
            web = file.read(64).lstrip().startswith(b"<")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); extract or download it again") from None
    try:
        content = loadmat(path, squeeze_me=True)
    except Exception as error:  # bytes that are no MATLAB file can raise anything
        hint = "a web page was saved in its place" if web else " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as a MATLAB file ({hint}); extract or download it again") from None
    row = np.atleast_1d(content.get(key, np.empty(0)))
    if not row.size or not set(fields) <= set(row.dtype.names or ()):
        names = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        of = f" with the fields {', '.join(fields)}" if fields else ""
        raise InputError(f"{path} holds {names}, expected the variable {key}{of}; extract or download it again")
    return row


def mat_numbers(values: Iterable[Any], path: str | Path, most: int = MOST_CLASSES) -> list[int]:
    """Class numbers out of a MATLAB file, which counts from 1.

    Raises:
        InputError: one is no whole number from 1 to `most`.
    """
    numbers = []
    for value in values:
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, int | float) or not 1 <= plain <= most or plain % 1:
            raise InputError(
                f"{path} gives an image the class {str(value)[:60]}, expected one of 1 to {most:,}; download it again"
            )
        numbers.append(int(plain))
    return numbers


def read_json_names(path: str | Path) -> dict[str, str]:
    """The texts that a JSON object holds.

    Raises:
        InputError: the file is not such a JSON object.
    """
    try:
        content: Any = load_json(regular(path, TEXT_BYTES).read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); download it again") from None
    except ValueError as error:
        raise InputError(f"{path} has no class names: {error}; download it again") from None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise InputError(f"{path} is not an object of texts, expected class names by their numbers; download it again")
    return content
