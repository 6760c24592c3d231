"""Writing files so that nobody ever reads half of one, and reading what is a file and nothing else."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import stat
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from .errors import InputError, refusal, way_out
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
    Of a link the file that it leads to is replaced.

    Raises OSError, naming `path`, where it is no file or can't be written, also where another library says so in its own words.
    """
    asked = Path(path)
    _check_replaceable(asked)
    path = Path(os.path.realpath(asked)) if asked.is_symlink() else asked
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, _prefix(path))
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)
    except FileExistsError:  # one of the folders is a file
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(asked)) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(asked)) from None
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())  # else a power cut could leave the new name with no content
        temporary.chmod(mode)  # some libraries put a private file of theirs in its place
        temporary.replace(path)
    except Exception as error:
        if number := _refused(error, temporary):
            raise OSError(number, os.strerror(number), str(asked)) from None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; when the block succeeds it takes the place of `path`, and of all that is in it.

    A process killed at any moment leaves a whole folder or none. Raises OSError as `replacing`.
    """
    place = Path(os.path.realpath(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(place.parent, _prefix(place))
    temporary, old = (_temporary(place) for _ in range(2))
    temporary.mkdir()
    try:
        yield temporary
        for written in temporary.iterdir():
            with written.open("rb+") as file:
                os.fsync(file.fileno())
        if place.exists():
            place.replace(old)
        temporary.replace(place)
    except OSError as error:
        if error.errno and (error.filename is None or str(error.filename).startswith(str(temporary))):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        if old.exists() and not place.exists():
            old.replace(place)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def check_writable(path: str | Path, name: str, *, folder: bool = False) -> None:
    """Make sure, before long work, that a file can be written at `path` or, with `folder`, files in it. Leaves nothing behind.

    Raises InputError, which calls the place by `name`, the flag or key that the user knows it by.
    """
    place = Path(path).expanduser()
    try:
        if not folder:
            _check_replaceable(place)
        parent = place if folder else place.parent
        while not os.path.lexists(parent):
            parent = parent.parent
        _check_names(parent, place)
        with tempfile.TemporaryFile(dir=parent) as file:
            file.write(bytes(4096))  # a full disk still makes empty files
    except OSError as error:
        raise InputError(f"{name} {place} cannot be written ({error.strerror}); {way_out(error.errno)}") from None


def allow_open_files(workers: int, name: str) -> None:
    """Let this process open as many files as it needs to get tensors from `workers` processes.

    Raises InputError, which calls their number by `name`, a flag or key, where the system does not allow it.
    """
    if resource is None or not workers:
        return
    needed = 20 + 12 * workers  # each batch under way is a few, and each process some pipes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise InputError(
            f"{name} is {workers}, but this process may open {hard:,} files only, expected {needed:,} or more; raise the limit "
            f"(ulimit -n), or use fewer workers"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _check_replaceable(path: Path) -> None:
    """Raise OSError where `path` is something else than a file, or than nothing at all."""
    with suppress(FileNotFoundError, NotADirectoryError):
        regular(path)


def _check_names(folder: Path, place: Path) -> None:
    """Raise OSError where `place`, which may not exist yet, has a name that the disk of `folder` does not take."""
    if "\0" in str(place):
        raise OSError(errno.EINVAL, "a path has no null characters")
    if hasattr(os, "pathconf"):
        lengths = [len(os.fsencode(name)) for name in place.parts]
        longest, whole = (os.pathconf(folder, f"PC_{kind}_MAX") for kind in ("NAME", "PATH"))
        if max(lengths, default=0) > longest or len(os.fsencode(place.absolute())) >= whole:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def _refused(error: Exception, temporary: Path) -> int | None:
    """The number of what the disk refused, where that is the reason of an error while `temporary` was written."""
    if isinstance(error, OSError) and error.errno:
        of_ours = error.filename in (str(temporary), temporary) or error.filename is None and error.errno in OF_THE_DISK
        return error.errno if of_ours else None
    return refusal(error)


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."  # a temporary name must not be too long where `path` is not


def _temporary(path: Path) -> Path:
    """A new name beside `path`, by which `remove_leftovers` knows it."""
    return path.with_name(f"{_prefix(path)}{_node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")


def _node() -> str:
    return "".join(c for c in platform.node() if c.isalnum())[:16] or "local"


def remove_leftovers(folder: str | Path, prefix: str = ".") -> None:
    """Delete the temporary files of `replacing` in a folder whose writer is gone; of all files, unless `prefix` says of which.

    A writer of this machine is gone when its process is; one of another machine, on a shared disk, when the file has
    not changed for a day.
    """
    for entry in os.scandir(folder):
        begin, *parts = entry.name.rsplit(".", 4)
        if len(parts) != 4 or parts[3] != "tmp" or not parts[1].isdecimal():
            continue
        if not entry.name.startswith(prefix) or prefix not in (".", f"{begin}."):
            continue
        with suppress(OSError):  # another process may be removing the same file
            dead = parts[0] == _node() and not _is_running(int(parts[1]))
            if dead or time.time() - entry.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


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


def as_json(value: Any, most: int = 60) -> str:
    """A value as JSON writes it, cut to `most` characters, for the sentence about a file that holds it."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in lists in lists
        return "a value too large to be shown"
    return text if len(text) <= most else f"{text[:most]}..."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{json.dumps(twice)[:60]} stands there twice")
    return values


def read_text(path: str | Path, what: str, hint: str = "") -> str:
    """The content of a text file (UTF-8).

    Raises:
        InputError: it cannot be read, or is not text; the sentence calls the file `what`, and `hint` says more of where it is
            looked for.
    """
    try:
        with open(regular(Path(path).expanduser(), TEXT_BYTES), encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); correct the path{hint}") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} {path} is not text in UTF-8; save it in this encoding") from None


def read_lines(path: str | Path, what: str, hint: str = "") -> list[str]:
    """The lines of a text file (UTF-8) that are not blank, without the spaces around them.

    Raises:
        InputError: it cannot be read, is not text, is blank, or has a line that is no name; the sentence calls the file `what`,
            and `hint` says more of where it is looked for.
    """
    text = read_text(path, what, hint)
    lines = {number: line.strip(" \r\n") for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    if not lines:
        raise InputError(f"{what} {path} is empty, expected one name per line; fill it")
    for number, line in lines.items():
        if problem := odd_name(line.replace("\t", " ")):
            raise InputError(f"line {number} of {what} {path} {problem}, expected a name; correct it")
    return list(lines.values())
