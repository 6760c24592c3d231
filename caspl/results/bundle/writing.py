"""Making a bundle. The same folder gives the same bytes: members in order, with a fixed time, packed alike."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...ground.errors import InputError
from ...ground.files import replacing
from ..certainty.tables import every_table
from . import manifest as manifests
from .archive import LARGEST_MEMBER, LARGEST_WHOLE, MOST_MEMBERS, MOST_RATIO, SMALL
from .comparing import texts_of
from .manifest import Left, Manifest, Member
from .reading import PAGE
from .taking import Taken, content_of

MOST_BYTES = LARGEST_WHOLE // 2  # of all members
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows
PACKING = 6  # of 9
PACKED = (".gz", ".zip", ".png")  # gain nothing


@dataclass
class Written:
    """What became of it."""

    members: list[Member] = field(default_factory=list)
    absent: list[Left] = field(default_factory=list)  # files that are not in it, and why
    bytes: int = 0  # of the bundle
    sha256: str = ""


def write(path: Path, folder: Path, taken: Taken, page: str) -> Written:
    """Write what was `taken` of `folder`, its tables and its page, in one step.

    Raises InputError for more than a bundle holds, and OSError where the file can't be written.
    """
    written = Written(absent=list(taken.absent))
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w", allowZip64=False) as archive:
            whole = 0
            for name, content in _contents(taken, page, written.absent):
                whole += len(content)
                if len(written.members) > MOST_MEMBERS - 2 or whole > MOST_BYTES:
                    raise InputError(
                        f"{folder} has more files than a bundle holds ({MOST_MEMBERS - 1:,}, and {MOST_BYTES:,} bytes); "
                        f"bundle folders inside it"
                    )
                put(archive, name, content)
                written.members.append(Member(name, len(content), hashlib.sha256(content).hexdigest()))
            put(archive, manifests.NAME, manifests.encoded(_manifest(folder, taken, written)))
        content = temporary.read_bytes()
        written.bytes, written.sha256 = len(content), hashlib.sha256(content).hexdigest()
    return written


def _contents(taken: Taken, page: str, absent: list[Left]) -> Iterator[tuple[str, bytes]]:
    """All members but the manifest, by name; files that are not what their records say are added to `absent`."""
    runs = taken.found.runs
    whole = {name: text.encode("utf-8") for name, text in texts_of(every_table(runs), runs).items()}
    texts = taken.contents | whole | {PAGE: page.encode("utf-8")}
    for name in sorted(texts.keys() | taken.files.keys()):
        try:
            content = texts[name] if name in texts else content_of(taken.files[name])
        except ValueError as error:
            absent.append(Left(name, str(error)))
            continue
        if len(content) > LARGEST_MEMBER:
            raise InputError(f"{name} has {len(content):,} bytes, a bundle holds files of {LARGEST_MEMBER:,}")
        yield name, content


def put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A member as every bundle has it: of no time and no user."""
    info = zipfile.ZipInfo(name, TIME)
    info.create_system = 3  # Unix, on every system
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
    if len(content) > SMALL and len(content) > MOST_RATIO // 2 * len(zlib.compress(content, PACKING)):
        info.compress_type = zipfile.ZIP_STORED  # else it would be taken for a trap
    archive.writestr(info, content, compresslevel=PACKING)


def _manifest(folder: Path, taken: Taken, written: Written) -> Manifest:
    return Manifest(
        folder=Path(os.path.abspath(folder)).name,
        program=manifests.this_program(),
        python=manifests.python(),
        packages=manifests.packages(),
        machines=manifests.machines(record for record in taken.records.values() if record.finished),
        members=written.members,
        paths=dict(sorted(taken.paths.items())),
        left_out=taken.left_out,
        elsewhere=taken.found.elsewhere,
        absent=written.absent,
    )
