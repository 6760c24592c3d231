"""A file of rows: what was written is found, and no changed bit is."""

import os
import struct
from contextlib import suppress

import numpy as np
import pytest

from caspl.ground.stores.segments import DamagedError, ForeignError, Segment, Shape, header_of, order, write

from .conftest import names, values

SHAPE = Shape(b"d" * 16, 5, "float32")


def written(path, numbers, shape=SHAPE):
    rows = {
        name: row.astype(shape.dtype).tobytes() for name, row in zip(names(*numbers), values(*numbers), strict=True)
    }
    write(path, shape, (shape.record(name, rows[name]) for name in sorted(rows, key=order)))
    return rows


@pytest.mark.parametrize("format", ["float32", "float16"])
def test_every_row_is_found_and_no_other(format, tmp_path):
    rows = written(tmp_path / "x.rows", range(300), Shape(b"d" * 16, 5, format))
    segment = Segment(tmp_path / "x.rows")
    assert segment.find(names(*range(300, 400))) == {}
    assert segment.find([*names(*range(250, 350))]) == {name: rows[name] for name in names(*range(250, 300))}
    assert segment.sound and segment.check() == 0 and segment.header.rows == 300


def test_names_with_the_same_first_half_are_told_apart(tmp_path):
    alike = [b"samehalf" + bytes([number]) * 8 for number in range(4)]
    records = [SHAPE.record(name, row.tobytes()) for name, row in zip(alike[:3], values(0, 1, 2), strict=True)]
    write(tmp_path / "x.rows", SHAPE, records)
    found = Segment(tmp_path / "x.rows").find(alike)
    assert [np.frombuffer(found[name], "f4").tolist() for name in alike[:3]] == values(0, 1, 2).tolist()
    assert alike[3] not in found


def test_no_changed_bit_gives_a_wrong_row(tmp_path):
    """Every bit of the file: a row is what was written, or is missing, and who reads all of it finds out."""
    path = tmp_path / "x.rows"
    rows = written(path, range(3))
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            segment = Segment(path)
        except (DamagedError, ForeignError):
            continue
        found = {}
        for name in rows:
            with suppress(DamagedError):
                found |= segment.find([name])
        assert found.items() <= rows.items()
        with pytest.raises(DamagedError):
            if segment.check():
                raise DamagedError
        segment.close()


def header(**fields):
    values = {"mark": b"casplrow", "version": 1, "width": 5, "rows": 3, "format": b"f4\0\0"} | fields
    return struct.pack("<8sIIQ4s4x16s16s", *values.values(), b"d" * 16, bytes(16))


@pytest.mark.parametrize(
    "content, error, said",
    [
        (b"", ForeignError, "does not begin as a file of rows"),
        (b"{}" * 99, ForeignError, "does not begin as a file of rows"),
        (b"casplrow", DamagedError, "has 8 bytes, expected a header of 64"),
        (header(version=2), ForeignError, "of version 2, expected 1; a newer program"),
        (header(format=b"O\0\0\0"), DamagedError, "values of the format b'O"),
        (header(width=2**32 - 1, rows=2**63), DamagedError, "rows of 4,294,967,295 values"),
        (header(rows=2**64 - 1), DamagedError, "has 64 bytes, expected"),
        (header(rows=0), DamagedError, "0 rows of 5 values"),
        (header(rows=1, width=1) + bytes(31), DamagedError, "has 95 bytes, expected 96 for its 1 rows"),
    ],
)
def test_sizes_are_compared_before_anything_is_read(content, error, said, tmp_path):
    (tmp_path / "x.rows").write_bytes(content)
    for opened in (Segment, header_of):
        with pytest.raises(error, match=said):
            opened(tmp_path / "x.rows")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.rows")
    with pytest.raises(OSError, match="a named pipe"):
        Segment(tmp_path / "x.rows")


def test_a_file_that_becomes_shorter_while_it_is_read_is_damaged(tmp_path):
    rows = written(tmp_path / "x.rows", range(30))
    segment = Segment(tmp_path / "x.rows")
    os.truncate(tmp_path / "x.rows", 100)
    with pytest.raises(DamagedError, match="become shorter"):
        segment.find([*rows])
