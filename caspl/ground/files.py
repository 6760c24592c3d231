"""Writing files so that nobody ever reads half of one, and reading what is a file and nothing else."""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError
from .texts import odd_name

STALE_SECONDS = 24 * 60 * 60
# What a write says without a name of its own when the disk refuses it
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------
@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; when the block succeeds it takes the place of `path` in one step.

    A process killed at any moment leaves the old file or the new one, never half of one. Folders are made as needed, and the
    file gets the mode that the umask gives. Temporary files that killed processes left behind for this `path` are removed.

    Raises OSError, naming `path`, where it is a folder or can't be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f"{_prefix(path)}{_node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        temporary.touch(exist_ok=False)
    except FileExistsError:  # one of the folders is a file
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())  # else a power cut could leave the new name with no content
        temporary.replace(path)
    except OSError as error:
        if error.filename in (str(temporary), temporary) or error.filename is None and error.errno in OF_THE_DISK:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."  # a temporary name must not be too long where `path` is not


def _node() -> str:
    return "".join(c for c in platform.node() if c.isalnum())[:16] or "local"


def _remove_leftovers(path: Path) -> None:
    """Delete temporary files of `path` whose writer is gone.

    A writer of this machine is gone when its process is; one of another machine, on a shared disk, when the file has
    not changed for a day.
    """
    prefix = _prefix(path)
    for entry in os.scandir(path.parent):
        if not (entry.name.startswith(prefix) and entry.name.endswith(".tmp")):
            continue
        parts = entry.name[len(prefix) :].split(".")
        if len(parts) != 4 or not parts[1].isdecimal():
            continue
        with suppress(OSError):  # another process may be removing the same file
            dead = parts[0] == _node() and not _is_running(int(parts[1]))
            if dead or time.time() - entry.stat().st_mtime > STALE_SECONDS:
                os.unlink(entry.path)


def _is_running(process_id: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 asks on POSIX only; elsewhere it would end the process
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # it runs, but is someone else's
    return True


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
TEXT_BYTES = 2**30  # far above the largest split file, and what fits into memory several times


def regular(path: str | Path, most: int | None = None) -> Path:
    """`path`, for whoever opens it next: a file, or a link to one, of at most `most` bytes.

    A pipe, a socket or a device can keep whoever opens it waiting for ever.

    Raises OSError, with the path and words that end "cannot be read (...)", for everything else.
    """
    try:
        status = os.stat(path)
    except ValueError:
        raise OSError(errno.EINVAL, "a path has no null characters", str(path)) from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise OSError(errno.EINVAL, f"it is {kind}, expected a file", str(path))
    if most is not None and status.st_size > most:
        raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, expected at most {most:,}", str(path))
    return Path(path)


def load_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError, in a short phrase, where it is none or names something twice in one object."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # ValueError also of no text, and of numbers of many digits
        raise ValueError(f"it is not JSON ({str(error)[:80]})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{json.dumps(twice)[:60]} stands there twice")
    return values


def read_lines(path: str | Path, what: str, hint: str = "") -> list[str]:
    """The lines of a text file (UTF-8) that are not blank, without the spaces around them.

    Raises:
        InputError: it cannot be read, is not text, is blank, or has a line that is no name; the sentence calls the file `what`,
            and `hint` says more of where it is looked for.
    """
    try:
        with open(regular(Path(path).expanduser(), TEXT_BYTES), encoding="utf-8-sig") as file:
            lines = {number: line.strip(" \r\n") for number, line in enumerate(file, 1) if line.strip()}
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); correct the path{hint}") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} {path} is not text in UTF-8; save it in this encoding") from None
    if not lines:
        raise InputError(f"{what} {path} is empty, expected one name per line; fill it")
    for number, line in lines.items():
        if problem := odd_name(line.replace("\t", " ")):
            raise InputError(f"line {number} of {what} {path} {problem}, expected a name; correct it")
    return list(lines.values())
