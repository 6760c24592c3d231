"""Writing files so that nobody ever reads half of one, and reading lists of names."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; when the block succeeds it takes the place of `path` in one step.

    A process killed at any moment leaves the old file or the new one. Folders are made as needed. Raises OSError, naming
    `path`, where it is a folder or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_lines(path: str | Path, what: str, hint: str = "") -> list[str]:
    """The lines of a text file (UTF-8) that are not blank, without the spaces around them.

    Raises:
        InputError: it cannot be read, is not text, or is blank; the sentence calls the file `what`, and `hint` says more of
            where it is looked for.
    """
    try:
        with open(Path(path).expanduser(), encoding="utf-8-sig") as file:
            lines = [line.strip(" \r\n") for line in file if line.strip()]
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); correct the path{hint}") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} {path} is not text in UTF-8; save it in this encoding") from None
    if not lines:
        raise InputError(f"{what} {path} is empty, expected one name per line; fill it")
    return lines
