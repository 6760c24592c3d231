"""Small files that ask for gigabytes, or for hours: refused at once. What is pickled is not run: see test_family.py."""

import pickle
import resource
import struct
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from caspl.ground.errors import InputError
from caspl.ground.tensors import archives
from caspl.ground.tensors.torch_files import read_entries

HEAD = b"\x80\x02"


@contextmanager
def little(seconds=5, gigabytes=1):
    """Fail where the block takes longer, or more memory than the process has and so much more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = pages * resource.getpagesize()
    limits, start = resource.getrlimit(resource.RLIMIT_AS), time.time()
    resource.setrlimit(resource.RLIMIT_AS, (now + gigabytes * 2**30, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.time() - start < seconds


def zip_of(path, pickled, compression=zipfile.ZIP_STORED, **storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled, zipfile.ZIP_DEFLATED)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content, compression)


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def tensor(key, size, stride=b"K\x00\x85"):
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\x04tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + size + stride + b"\x89NtR"


def long(number):
    return b"\x8a\x08" + struct.pack("<q", number)


def doubled(opcode):
    """A container of a container of ..., each twice in the next: 2^60 in sum."""
    return b"Nq\x00" + b"".join(
        b"h" + bytes([i]) + b"h" + bytes([i]) + opcode + b"q" + bytes([i + 1]) for i in range(60)
    )


BOMBS = {
    "bytes of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
    "a text of 2^60": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b".",
    "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b".",
    "a number of 2^31 bytes": HEAD + b"\x8b\xff\xff\xff\x7f.",
    "a number of many digits": HEAD + b"I" + b"9" * 10**6 + b"\n.",
    "a long pickle": HEAD + b"N0" * 2**16 + b"N.",
    "a tensor of 2^62 numbers, stride 0": HEAD + b"}" + text("x") + tensor("k", long(2**62) + b"\x85") + b"s.",
    "a tensor whose size overflows": HEAD + tensor("k", long(2**62) + long(2**62) + b"\x86", b"K\x00K\x00\x86") + b".",
    "keys of keys of keys": HEAD + b"}" + doubled(b"\x86") + b"Ns.",
    "sets of sets": HEAD + b"(" + doubled(b"\x86") + b"\x91.",
    "a dictionary by DICT": HEAD + b"(" + doubled(b"\x86") + b"Nd.",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_bombs(bomb, form, tmp_path, monkeypatch):
    if bomb == "a long pickle":
        monkeypatch.setattr(archives, "LARGEST_PICKLE", 2**16)
    path = tmp_path / "bomb.pth"
    if form == "zip":
        zip_of(path, BOMBS[bomb], k=b"\0" * 64)
    else:
        marks = b"".join(pickle.dumps(mark, 2) for mark in archives.LEGACY_MARKS)
        path.write_bytes(marks + pickle.dumps({"little_endian": True}, 2) + BOMBS[bomb] + pickle.dumps([], 2))
    with little(), pytest.raises(InputError, match="bomb.pth is cut short, damaged or no file of torch.save"):
        read_entries(path, "copy it again")


def test_a_memo_of_two_billion_places_takes_none(tmp_path):
    zip_of(tmp_path / "x", HEAD + b"Nr\xff\xff\xff\x7f.")
    with little():
        assert read_entries(tmp_path / "x", "") == (None, [])


def test_compressed_storages(tmp_path):
    content = HEAD + b"}" + text("x") + tensor("k", long(2**20) + b"\x85", b"K\x01\x85") + b"s."
    zip_of(tmp_path / "good", content, k=bytes(2**22))
    assert read_entries(tmp_path / "good", "")[0]["x"].shape == (2**20,)
    zip_of(tmp_path / "bomb", content, zipfile.ZIP_DEFLATED, k=bytes(2**22))
    with pytest.raises(InputError, match="bomb is cut short, .*data/k is compressed"):
        read_entries(tmp_path / "bomb", "")


def test_a_thousand_views_of_one_storage(tmp_path):
    whole = torch.zeros(2**20)
    torch.save({f"x{i}": whole for i in range(1000)}, tmp_path / "x")
    with pytest.raises(InputError, match="more than 16 times as large as what they are stored in"):
        read_entries(tmp_path / "x", "")
    torch.save({"prefix": whole[:5], "suffix": whole[5:], "all": whole, "again": whole}, tmp_path / "x")
    assert len(read_entries(tmp_path / "x", "")[0]) == 4


def test_a_million_entries(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("archive/data.pkl", HEAD + b"}.")
    small = (tmp_path / "x").read_bytes()
    assert read_entries(tmp_path / "x", "")[0] == {}
    end = bytearray(small)
    end[-10:-6] = struct.pack("<I", 2**24)  # of its directory, as the last bytes say
    (tmp_path / "x").write_bytes(end)
    with pytest.raises(InputError, match="a zip archive whose directory is longer than 4,194,304 bytes"):
        read_entries(tmp_path / "x", "")
    (tmp_path / "x").write_bytes(small + b"more")
    with pytest.raises(InputError, match="a zip archive that does not end as one"):
        read_entries(tmp_path / "x", "")
