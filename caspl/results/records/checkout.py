"""Which code a program is: its revision, as git keeps it in a checkout, and a checksum of its modules. No program is started.

Only git's own files are read: `HEAD`, references and the index (gitformat-index), whose entries say what each file was when git
saw it last.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...ground.files import regular

REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
LARGEST = 2**26  # bytes of one of git's files, and of a module
MOST_LINKS = 5  # from one reference to the next
BUNDLED = "_bundled"  # a package that has one beside it counts for itself


def revision(checkout: Path) -> str:
    """The commit that is checked out in a folder, 40 or 64 hexadecimal digits; "" where that is none, or not to be found."""
    with suppress(OSError, ValueError):
        own, shared = _folders(checkout)
        name = _text(own / "HEAD")
        for _ in range(MOST_LINKS):
            if not name.startswith("ref: "):
                return name if REVISION.fullmatch(name) else ""
            name = _reference(name.removeprefix("ref: "), own, shared)
    return ""


def modified(checkout: Path) -> bool | None:
    """Whether a file of the checkout is another than git has seen; None where that can't be told.

    What was added to git's index, but not committed, does not show.
    """
    try:
        if len(revision(checkout)) != 40:  # no checkout, or one with other checksums
            return None
        own, _ = _folders(checkout)
        index = regular(own / "index", LARGEST).read_bytes()
        return any(_differs(checkout / os.fsdecode(name), entry) for name, entry in _entries(index))
    except (OSError, ValueError, struct.error):
        return None


def checksum(*packages: Path) -> str:
    """SHA-256 over the names and contents of all modules of packages, by their folders.

    Links are followed, so that a checkout has the same sum as what is installed from it.
    """
    whole = hashlib.sha256()
    for package in packages:
        for path in sorted(_modules(package)):
            content = regular(package / path, LARGEST).read_bytes()
            whole.update(f"{package.name}/{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            whole.update(content)
    return whole.hexdigest()


def _modules(package: Path) -> Iterator[str]:
    for place, folders, files in os.walk(package, followlinks=True):
        folders[:] = [name for name in folders if name not in ("__pycache__", BUNDLED)]
        yield from (Path(place, name).relative_to(package).as_posix() for name in files if name.endswith(".py"))


def _folders(checkout: Path) -> tuple[Path, Path]:
    """Where git keeps what is of this checkout, and what all work trees of the repository share."""
    own = checkout / ".git"
    if own.is_file():  # a work tree beside the first one
        own = checkout / _text(own).removeprefix("gitdir: ")
    common = own / "commondir"
    return own, own / _text(common) if common.is_file() else own


def _reference(name: str, own: Path, shared: Path) -> str:
    for folder in (own, shared):
        if (folder / name).is_file():
            return _text(folder / name)
    packed = _text(shared / "packed-refs").splitlines()
    return next((line.split(" ")[0] for line in packed if line.endswith(f" {name}")), "")


def _text(path: Path) -> str:
    return regular(path, LARGEST).read_text(encoding="utf-8", errors="surrogateescape").strip()


def _entries(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and the 62 bytes of facts of each entry. Raises ValueError for an index of a kind that is not read here."""
    mark, version, count = struct.unpack(">4sII", index[:12])
    if mark != b"DIRC" or version not in (2, 3):
        raise ValueError("an index of another version")
    place = 12
    for _ in range(count):
        start, facts = place, index[place : place + 62]
        (flags,) = struct.unpack(">H", facts[60:])
        place += 64 if flags & 0x4000 else 62
        end = index.index(b"\0", place)
        yield index[place:end], facts
        place = start + (end - start + 8) // 8 * 8


def _differs(path: Path, facts: bytes) -> bool:
    """Whether a file has other content than an entry of the index says; its time and size are asked first."""
    (seconds, nanoseconds), (mode,), (size,) = (
        struct.unpack(form, facts[first:last]) for form, first, last in ((">II", 8, 16), (">I", 24, 28), (">I", 36, 40))
    )
    if mode >> 12 != 0o10:  # a link, or another repository
        return False
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return True
    if status.st_size & 0xFFFFFFFF != size:
        return True
    if (int(status.st_mtime) & 0xFFFFFFFF, status.st_mtime_ns % 10**9) == (seconds, nanoseconds):
        return False
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).digest() != facts[40:60]
