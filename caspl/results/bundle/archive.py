"""A zip file from outside: nothing in it is believed, and nothing of it is written but what its reader asks for.

Refused as a whole is what no bundle of ours is: names that lead out of a folder, links, members of one name, encrypted ones, a
directory or members of an absurd size, other packings than zip's own. A member that is damaged is known when it is read.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ...ground.errors import InputError, cause, first_line
from ...ground.files import regular
from ...ground.tensors.kinds import LONGEST_MARK, other_kind
from ...ground.tensors.zips import check_directory
from ...ground.texts import shown, visible

MOST_MEMBERS = 65_535  # and all sizes below 4 GiB: what zip's first kind holds, so that there is no need of zip64
LARGEST_DIRECTORY = 2**24  # bytes
LARGEST_MEMBER = 2**28  # bytes, unpacked
LARGEST_WHOLE = 2**32 - 1  # bytes of all members, unpacked
MOST_RATIO = 200  # times that a member of more than SMALL bytes is longer than it lies there
SMALL = 2**20
LONGEST_NAME, LONGEST_PART, MOST_PARTS = 1_000, 255, 40  # bytes of a member's name, and of a folder's in it; folders
ENCRYPTED = 0x1
HEAD = 30  # bytes in front of a member, beside its name
CHUNK = 2**20
REMEDY = "take an unaltered file, or make it anew (caspl report FOLDER --bundle FILE.zip)"


class Damaged(ValueError):
    """A member can't be read; the message is a phrase."""


def odd(name: str) -> str:
    """What keeps a text from being the name of a member, as a phrase; "" where nothing does."""
    parts = name.split("/")
    try:
        longest = max(len(part.encode("utf-8")) for part in parts)
    except UnicodeEncodeError:
        return "is no Unicode"
    if visible(name) != name or "\\" in name:
        return "holds hidden characters or backslashes"
    if not name or name.startswith("/") or ":" in parts[0] or set(parts) & {"", ".", ".."}:
        return "is no path inside a folder"
    if longest > LONGEST_PART or len(name.encode("utf-8")) > LONGEST_NAME or len(parts) > MOST_PARTS:
        return "is too long"
    return ""


class Archive:
    """An open bundle. Made by `opened`."""

    def __init__(self, path: Path, members: zipfile.ZipFile) -> None:
        self.path, self._zip = path, members
        self._infos = {info.filename: info for info in members.infolist() if not info.is_dir()}

    @property
    def names(self) -> Collection[str]:
        return self._infos.keys()

    def size(self, name: str) -> int:
        return self._infos[name].file_size

    def content(self, name: str) -> bytes:
        """Raises Damaged."""
        return b"".join(self._chunks(name))

    def sha256(self, name: str) -> str:
        """Of a member, which is never whole in memory. Raises Damaged."""
        whole = hashlib.sha256()
        for chunk in self._chunks(name):
            whole.update(chunk)
        return whole.hexdigest()

    def _chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(self._infos[name]) as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise Damaged(f"it is damaged ({first_line(error)})") from None

    def unpack(self, names: Iterable[str], folder: Path) -> None:
        """Write members below an empty folder of ours. Raises Damaged."""
        for name in names:
            target = folder.joinpath(*PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for chunk in self._chunks(name):
                    file.write(chunk)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A bundle, readable inside the `with` block. Raises InputError, in one sentence, for what is none, or is refused."""
    try:
        with regular(path).open("rb") as file, _read(file) as members:
            _check(members)
            archive = Archive(path, members)
            yield archive
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); check the path") from None
    except _Refused as error:
        raise refused(path, str(error)) from None


def refused(path: Path, why: str) -> InputError:
    return InputError(f"{path} is no bundle of results: {why}; {REMEDY}")


class _Refused(Exception):
    """The message is a phrase."""


def _read(file: IO[bytes]) -> zipfile.ZipFile:
    head = file.read(LONGEST_MARK)
    if not head.startswith((b"PK\3\4", b"PK\5\6")):
        raise _Refused(f"it is {other_kind(head) or 'no zip file'}")
    try:
        check_directory(file, LARGEST_DIRECTORY)
        return zipfile.ZipFile(file)
    except Exception as error:  # bytes that are no valid directory can raise anything
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _Refused(f"it is damaged or cut short ({first_line(error)})") from None


def _check(members: zipfile.ZipFile) -> None:
    """Raise _Refused for what no bundle holds. Folders, which other programs write into archives, are passed over."""
    infos = members.infolist()
    if len(infos) > MOST_MEMBERS:
        raise _Refused(f"it has {len(infos):,} members, expected at most {MOST_MEMBERS:,}")
    for info in infos:
        if problem := _problem(info):
            raise _Refused(f"its member {shown(info.orig_filename)} {problem}")
    if (whole := sum(info.file_size for info in infos)) > LARGEST_WHOLE:
        raise _Refused(f"its members have {whole:,} bytes, expected at most {LARGEST_WHOLE:,}")
    names = Counter(info.filename.rstrip("/") for info in infos)
    if twice := next((name for name, count in names.items() if count > 1), ""):
        raise _Refused(f"it has two members {shown(twice)}")
    files = {info.filename for info in infos if not info.is_dir()}
    above = {parent.as_posix() for name in files for parent in PurePosixPath(name).parents}
    if both := sorted(files & above):
        raise _Refused(f"its member {shown(both[0])} is a file and a folder")
    _check_places(infos, members.start_dir)


def _problem(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.orig_filename != info.filename:
        return "has a null character in its name"
    if problem := odd(info.filename.removesuffix("/")):
        return f"has a name that {problem}"
    if kind and kind != (stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return f"is {'a link' if kind == stat.S_IFLNK else 'no file'}, expected files only"
    if info.flag_bits & ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that no bundle is"
    if info.file_size > (0 if info.is_dir() else LARGEST_MEMBER):
        return f"has {info.file_size:,} bytes, expected at most {0 if info.is_dir() else LARGEST_MEMBER:,}"
    if info.file_size > SMALL and info.file_size > MOST_RATIO * info.compress_size:
        return f"has {info.file_size:,} bytes out of {info.compress_size:,}, as only a trap has"
    return ""


def _check_places(infos: Iterable[zipfile.ZipInfo], end: int) -> None:
    """No two members share bytes, by which a small file could be a huge one."""
    behind = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < behind:
            raise _Refused(f"its member {shown(info.filename)} lies in another one")
        behind = info.header_offset + HEAD + info.compress_size
    if behind > end:
        raise _Refused("a member is longer than the file")
