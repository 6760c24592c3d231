"""Rows of numbers by 16-byte names, on disk, for whichever process wants them next.

A store is a folder named by the digest of the facts that decide its rows, beside others in one place. Whoever adds to it writes
files of its own (`segments`), a whole one at a time: any number of processes can read and add, on one machine or on a shared
disk, and of one that is killed those rows are lost that it had not published. Small files are joined to larger ones. What is
damaged is found, told and left out, so that it is computed again; a disk that refuses ends nothing but the adding.
"""

from __future__ import annotations

import heapq
import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import cause
from ..files import remove_leftovers, replacing
from ..locks import HeldError, locked
from . import mark_used, no_room
from .facts import Facts
from .segments import ENDING, NAME_BYTES, DamagedError, ForeignError, Segment, Shape, order, write

log = logging.getLogger(__name__)

PUBLISH_BYTES, PUBLISH_SECONDS = 32 * 2**20, 60.0  # rows in memory are written when they are so many, or wait so long
LOOK_SECONDS = 10.0  # how long rows that others publish may go unseen
JOINED, SMALL = 16, 64 * 2**20  # so many files of a size are joined, while they are smaller than SMALL bytes
OPEN = 64  # files that are open at a time: a process may have a thousand or so, and its loader wants some
GB = 1e9


class Rows:
    """The rows of one store, for one process.

    Attributes:
        folder: of the store.
        shape: of its rows.
        asked, found: how many rows were asked for, and how many were there.
    """

    def __init__(self, place: str | Path, facts: Facts, *, width: int, format: str = "float32", most: float = np.inf):
        """`place` holds the folders of such stores. Rows have `width` values in `format`; where all stores in that place
        have `most` GB nothing is added any more."""
        self.place, self.facts, self.most = Path(place).expanduser(), facts, most
        self.folder = self.place / facts.digest.hex()
        self.shape = Shape(facts.digest, width, format)
        self.asked = self.found = 0
        self._segments: list[Segment] = []  # the one that was of use last comes first
        self._used: set[Path] = set()
        self._useless: set[str] = set()  # files that cannot be read
        self._pending: dict[bytes, bytes] = {}
        self._adds = True
        self._published = time.monotonic()
        self._look_around()

    # ------------------------------------------------------------ reading
    def get(self, names: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Rows [N, width] for N names, and which of them are there: booleans [N]. Where one is not, the row is zeros."""
        known = self._known(names)
        if len(known) < len(set(names)) and time.monotonic() - self._looked > LOOK_SECONDS:
            self._look_around()
            known |= self._known([name for name in names if name not in known])
        there = np.array([name in known for name in names], bool)
        empty = bytes(self.shape.width * self.shape.dtype.itemsize)
        rows = np.frombuffer(b"".join(known.get(name, empty) for name in names), self.shape.dtype)
        self.asked, self.found = self.asked + len(names), self.found + int(there.sum())
        return rows.reshape(len(names), self.shape.width).copy(), there

    def _known(self, names: Sequence[bytes]) -> dict[bytes, bytes]:
        known = {name: self._pending[name] for name in names if name in self._pending}
        wanted = [name for name in dict.fromkeys(names) if name not in known]
        for segment in [*self._segments]:
            if not wanted:
                break
            if found := self._found(segment, wanted):
                known |= found
                wanted = [name for name in wanted if name not in found]
        return known

    def _found(self, segment: Segment, names: Sequence[bytes]) -> dict[bytes, bytes]:
        try:
            found = segment.find(names)
        except (DamagedError, OSError) as error:
            mended = self._without_damage(segment, error)
            with suppress(DamagedError, OSError):
                return mended.find(names) if mended else {}
            return {}
        if found:
            self._segments.remove(segment)
            self._segments.insert(0, segment)
            if len(self._segments) > OPEN:
                self._segments[OPEN].close()
            if segment.path not in self._used:  # once in a process
                self._used.add(segment.path)
                mark_used(segment.path)
        return found

    def _look_around(self) -> None:
        """Open what others have published, and let go of what they have joined or removed."""
        self._looked = time.monotonic()
        try:
            there = {entry.path for entry in os.scandir(self.folder) if entry.name.endswith(ENDING)}
        except OSError:
            there = set()
        for segment in [each for each in self._segments if str(each.path) not in there]:
            self._let_go(segment)
        for path in sorted(there - {str(segment.path) for segment in self._segments} - self._useless):
            self._open(path)

    def _open(self, path: str | Path) -> Segment | None:
        try:
            segment = Segment(path)
        except (ForeignError, DamagedError, OSError) as error:
            self._useless.add(str(path))
            if not isinstance(error, FileNotFoundError):  # somebody has joined or removed it
                log.warning("%s is not used (%s); its rows are computed again", path, cause(error))
            if isinstance(error, DamagedError):
                _remove(path)
            return None
        if not segment.sound:  # what its header says may be what is damaged; the rows have checksums of their own
            segment.header = replace(segment.header, shape=self.shape)
        elif segment.header.shape != self.shape:
            self._useless.add(str(path))
            log.warning("%s is not used (it is of another store); move it back", path)
            segment.close()
            return None
        self._segments.insert(0, segment)
        return segment if segment.sound else self._without_damage(segment, DamagedError("its index has changed"))

    def _let_go(self, segment: Segment) -> None:
        self._segments.remove(segment)
        segment.close()

    def _without_damage(self, segment: Segment, error: Exception) -> Segment | None:
        """What is sound of a file, in a new one in its place; None: nothing is, or it can't be read or replaced."""
        mended = None
        if isinstance(error, DamagedError):
            log.warning(
                "%s is damaged (%s); what is sound of it is kept, the rest is computed again", segment.path, error
            )
            with suppress(DamagedError, OSError):
                mended = self._join([segment])
        elif segment.path.exists():
            log.warning("%s cannot be read (%s); its rows are computed again", segment.path, cause(error))
        if segment in self._segments:
            self._useless.add(str(segment.path))
            self._let_go(segment)
        return mended

    def missing(self, names: Sequence[bytes]) -> np.ndarray:
        """Which of the names are not there now, neither here nor published by others: their places. No row is read."""
        self._look_around()
        there = np.array([name in self._pending for name in names], bool)
        for segment in self._segments:
            there |= segment.has(names)
        return np.flatnonzero(~there)

    # ------------------------------------------------------------ adding
    @property
    def adds(self) -> bool:
        """Whether what is given to `add` is kept; not where the disk has refused, or all stores are as large as they may be."""
        return self._adds

    def has_room(self, rows: int) -> bool:
        """Whether so many rows can be added. Where not, that is told once, and nothing is added any more."""
        if self._adds and (full := self._full(rows * self.shape.record_bytes)):
            self._stop_adding(full)
        return self._adds

    def add(self, names: Sequence[bytes], rows: np.ndarray) -> None:
        """Keep rows [N, width] under N names, from now on in this process, for others once they are published.

        Rows that are not finite are not kept: whoever has computed them is to find out.
        """
        finite = np.isfinite(rows).all(axis=1)
        for name, row, is_finite in zip(names, rows.astype(self.shape.dtype, copy=False), finite, strict=True):
            if self._adds and is_finite:
                self._pending[bytes(name)] = row.tobytes()
        waited = time.monotonic() - self._published
        if len(self._pending) * self.shape.record_bytes >= PUBLISH_BYTES or waited >= PUBLISH_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Write what was added since the last time, for all to see. A disk that refuses is told once; then nothing is added."""
        self._published = time.monotonic()
        if not self._pending:
            return
        records = (self.shape.record(name, self._pending[name]) for name in sorted(self._pending, key=order))
        try:
            if full := self._full(len(self._pending) * self.shape.record_bytes):
                self._stop_adding(full)
                return
            self.facts.write(self.folder)
            self._open(self._write(records))
        except OSError as error:
            self._stop_adding(f"it cannot be written ({cause(error)})")
            return
        self._pending = {}
        self._join_small()

    def _write(self, records: Iterator[bytes]) -> Path:
        path = self.folder / f"{uuid.uuid4().hex}{ENDING}"
        with replacing(path) as temporary:
            write(temporary, self.shape, records)
        return path

    def _full(self, more: int) -> str:
        """Why so many bytes are not to be added; "": they may."""
        files = self.place.glob(f"*/*{ENDING}")
        held = sum(_size(path) for path in files)
        if held + more > self.most * GB:
            return f"it holds {held / GB:.1f} GB, its limit is {self.most:g}"
        return no_room(self.folder, more)

    def _stop_adding(self, why: str) -> None:
        log.warning(
            "Nothing more is kept in %s: %s; what is there is used. caspl store prune makes room", self.place, why
        )
        self._adds, self._pending = False, {}

    # ------------------------------------------------------------ joining
    def _join_small(self) -> None:
        """Join files of about one size where there are many, so that a row is looked for in few; one process at a time."""
        if not self._many():
            return
        with suppress(HeldError, DamagedError, OSError), locked(self.folder / ".joining") as alone:
            if alone:
                remove_leftovers(self.folder)
                self._look_around()
                many = self._many()
                if many and not no_room(self.folder, sum(segment.header.bytes for segment in many)):
                    self._join(many)

    def _many(self) -> list[Segment]:
        """Files of about one size; none where they are few."""
        sizes: dict[int, list[Segment]] = {}
        for segment in self._segments:
            if segment.header.bytes < SMALL:
                sizes.setdefault(max(segment.header.bytes.bit_length(), 20) // 4, []).append(
                    segment
                )  # by factors of 16
        return next((alike[:JOINED] for alike in sizes.values() if len(alike) >= JOINED), [])

    def _join(self, segments: Sequence[Segment]) -> Segment | None:
        """Write what is sound of some files into one and remove them; None: nothing is sound.

        Raises OSError, DamagedError; the files stay.
        """
        try:
            joined = Segment(self._write(_merged(segments)))
        except _NothingError:
            joined = None
        if joined and not joined.sound:
            raise DamagedError("it is another as soon as it is written")
        for segment in segments:
            self._let_go(segment)
            _remove(segment.path)
        self._segments[:0] = [joined] if joined else []
        return joined


class _NothingError(Exception):
    """There is no sound record."""


def _merged(segments: Sequence[Segment]) -> Iterator[bytes]:
    """All sound records in order, each name once. Raises _NothingError where there are none."""

    def places(segment: Segment) -> Iterator[tuple[int, Segment, int]]:
        halves = segment.halves()
        for place in np.argsort(halves, kind="stable"):
            yield int(halves[place]), segment, int(place)

    last = b""
    for _, segment, place in heapq.merge(*map(places, segments), key=lambda each: each[0]):
        with suppress(DamagedError):
            record = segment.record(place)
            if not last or record[:NAME_BYTES] != last[:NAME_BYTES]:
                yield record
            last = record
    if not last:
        raise _NothingError


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _remove(path: str | Path) -> None:
    with suppress(OSError):
        Path(path).unlink(missing_ok=True)
