"""One file of rows: names of 16 bytes and as many numbers for each, with an index to find them by.

    header   64 bytes: mark, version, width, number format, rows, digest of the facts, checksum of these and of the index
    records  rows x (name: 16 bytes, checksum: 4 bytes, values: width x 1, 2 or 4 bytes)
    index    rows x 8 bytes: the first half of each name as a number, ascending, as the records are

A record's checksum is CRC-32 over the digest of the facts, the name and the values: neither a changed bit nor a file in another
store's folder gives the row of another. Records are read one by one and not mapped: of a mapped file that another machine
removes, or a disk that fails, the system ends the process; a read is refused with an error.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import FileIO
from pathlib import Path

import numpy as np

from ..files import regular

ENDING = ".rows"
MARK, VERSION = b"casplrow", 1
NAME_BYTES, CHECK_BYTES = 16, 4
FORMATS = {"float16": b"f2\0\0", "float32": b"f4\0\0", "uint8": b"u1\0\0"}
MOST_WIDTH = 2**26  # the pixels of an image of 4,096 x 4,096
_HEADER = struct.Struct("<8sIIQ4s4x16s16s")
_SUMMED = _HEADER.size - 16  # bytes of the header in front of its checksum


class DamagedError(ValueError):
    """What a file holds is not what was written; the message is a phrase about "it"."""


class ForeignError(ValueError):
    """A file is none of these, or of a later version of this program; the message is a phrase about "it"."""


@dataclass(frozen=True)
class Shape:
    """What the rows of a store have in common: the digest of their facts (16 bytes), values a row, a name of FORMATS."""

    digest: bytes
    width: int
    format: str

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.format).newbyteorder("<")

    @property
    def record_bytes(self) -> int:
        return NAME_BYTES + CHECK_BYTES + self.width * self.dtype.itemsize

    def record(self, name: bytes, values: bytes) -> bytes:
        return name + self._check(name, values) + values

    def values(self, record: bytes) -> bytes:
        """Those of a record. Raises DamagedError where they are not what was written under its name."""
        name, check, values = record[:NAME_BYTES], record[NAME_BYTES:][:CHECK_BYTES], record[NAME_BYTES + CHECK_BYTES :]
        if self._check(name, values) != check:
            raise DamagedError("a row is not what was written, as its checksum says")
        return values

    def _check(self, name: bytes, values: bytes) -> bytes:
        return zlib.crc32(values, zlib.crc32(self.digest + name)).to_bytes(CHECK_BYTES, "little")


@dataclass(frozen=True)
class Header:
    """What stands at the beginning of a file. `bytes` is the size of all of it, `content` the header itself."""

    shape: Shape
    rows: int
    bytes: int
    content: bytes

    @property
    def index(self) -> int:
        """Where the index begins."""
        return _HEADER.size + self.rows * self.shape.record_bytes


def order(name: bytes) -> int:
    """The first half of a name, or of that of a record, as the number by which records stand in order."""
    return int.from_bytes(name[:8], "little")


def write(path: Path, shape: Shape, records: Iterable[bytes]) -> int:
    """Write a file of records, which come in their `order`; gives their number."""
    halves: list[int] = []
    with open(path, "wb") as file:
        file.write(bytes(_HEADER.size))
        for record in records:
            halves.append(order(record))
            file.write(record)
        index = np.array(halves, "<u8").tobytes()
        file.write(index)
        head = _HEADER.pack(MARK, VERSION, shape.width, len(halves), FORMATS[shape.format], shape.digest, bytes(16))
        file.seek(0)
        file.write(head[:_SUMMED] + _checksum(head, index))
    return len(halves)


def _checksum(head: bytes, index: bytes) -> bytes:
    return blake2b(head[:_SUMMED] + index, digest_size=16).digest()


def header_of(path: str | Path) -> Header:
    """The header of a file. Raises ForeignError, DamagedError, OSError."""
    with FileIO(regular(path)) as file:
        return _header(file)


def _header(file: FileIO) -> Header:
    size = file.seek(0, 2)
    head = _read(file, min(_HEADER.size, size), 0)
    if not head.startswith(MARK):
        raise ForeignError("it does not begin as a file of rows does")
    if len(head) < _HEADER.size:
        raise DamagedError(f"it has {size} bytes, expected a header of {_HEADER.size}")
    _, version, width, rows, code, digest, _ = _HEADER.unpack(head)
    if version != VERSION:
        raise ForeignError(f"it is of version {version}, expected {VERSION}; a newer program may have written it")
    formats = [name for name, known in FORMATS.items() if known == code]
    if not formats or not rows or not 1 <= width <= MOST_WIDTH:
        raise DamagedError(f"its header says {rows:,} rows of {width:,} values of the format {code!r}")
    shape = Shape(digest, width, formats[0])
    expected = _HEADER.size + rows * (shape.record_bytes + 8)
    if expected != size:
        raise DamagedError(f"it has {size:,} bytes, expected {expected:,} for its {rows:,} rows")
    return Header(shape, rows, size, head)


def _read(file: FileIO, count: int, offset: int) -> bytes:
    file.seek(offset)
    content = file.read(count)
    if len(content) != count:
        raise DamagedError("it has become shorter")
    return content


class Segment:
    """A file of rows to read from. It is opened when a row is read, and stays open until `close`.

    Attributes:
        path, header: of the file.
        sound: whether its header and index are what was written; where not, only the records help.
    """

    def __init__(self, path: str | Path):
        """Raises ForeignError, DamagedError (nothing of it can be used), OSError."""
        self.path = Path(path)
        self._file: FileIO | None = None
        try:
            self.header = _header(self._opened())
            index = _read(self._opened(), 8 * self.header.rows, self.header.index)
        finally:
            self.close()
        self.sound = self.header.content[_SUMMED:] == _checksum(self.header.content, index)
        self._index = np.frombuffer(index, "<u8")

    def _opened(self) -> FileIO:
        if self._file is None:
            self._file = FileIO(regular(self.path))
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def record(self, place: int) -> bytes:
        """The record at a place. Raises DamagedError, OSError."""
        size = self.header.shape.record_bytes
        record = _read(self._opened(), size, _HEADER.size + place * size)
        self.header.shape.values(record)
        return record

    def halves(self) -> np.ndarray:
        """The first half of the name of each record, as `order`; out of the records where the index is damaged."""
        if self.sound:
            return self._index
        size = self.header.shape.record_bytes
        names = (_read(self._opened(), 8, _HEADER.size + place * size) for place in range(self.header.rows))
        return np.fromiter(map(order, names), "<u8", self.header.rows)

    def has(self, names: Sequence[bytes]) -> np.ndarray:
        """Which of the names are there, by their first halves: booleans. No record is read."""
        return np.isin(np.array([order(name) for name in names], "<u8"), self._index)

    def find(self, names: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values of those of the names that are there. Raises DamagedError, OSError."""
        found: dict[bytes, bytes] = {}
        wanted = np.array([order(name) for name in names], "<u8")
        places = np.searchsorted(self._index, wanted)
        for number in np.flatnonzero(self._index[np.minimum(places, self.header.rows - 1)] == wanted):
            name, place = names[number], int(places[number])
            while place < self.header.rows and self._index[place] == wanted[number]:  # two may have the same first half
                record = self.record(place)
                if record.startswith(name):
                    found[name] = record[NAME_BYTES + CHECK_BYTES :]
                    break
                place += 1
        return found

    def check(self) -> int:
        """Read all of it. Gives how many records are damaged. Raises DamagedError where header or index are, OSError."""
        if not self.sound:
            raise DamagedError("its header or index is not what was written, as their checksum says")
        return sum(1 for _ in self.damaged())

    def damaged(self) -> Iterator[int]:
        """The places of the records that are not what was written."""
        for place in range(self.header.rows):
            try:
                self.record(place)
            except DamagedError:
                yield place
