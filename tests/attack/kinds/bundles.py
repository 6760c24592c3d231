"""Bundles of results that somebody has made to do harm, or that are damaged."""

from __future__ import annotations

import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import Sound

BUNDLE = "case.zip"
CLAIM = {"format": "caspl bundle", "version": 1}
MANIFEST = {
    **CLAIM,
    "folder": "output",
    "program": {"version": "0", "sha256": ""},
    "python": "3",
    "packages": {},
    "machines": [],
    "members": [],
    "paths": {},
    "left_out": [],
    "elsewhere": [],
    "absent": [],
}
NAMES = (
    *("../outside", "a/../../outside", "/tmp/outside", "..\\outside", "C:/outside", "./a", "a//b", "a/./b", "a/"),
    *("a\x1b[2J", "a\nb", "a\u202eb", "a" * 300, "a/" * 400 + "b", "con:aux", "~/.bashrc", "run.json/..", ".."),
)
HARMLESS = ("a/", "~/.bashrc")  # a folder; a name that only a shell would act upon
ALTERED = "a bundle that was altered is told line by line, with status 1"


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for options in ((), ("--verify",)):
        for what, make in hostile():
            yield _case(what, options, make)
        for what, content in (
            ("empty", b""),
            ("text", b"results"),
            ("a web page", b"<!doctype html>"),
            ("its beginning alone", b"PK\3\4" + bytes(500)),
            ("its end alone", b"PK\5\6" + b"\xff" * 18),
            ("gzip", b"\x1f\x8b" + bytes(500)),
        ):
            yield _case(what, options, partial(_written, content=content))
    sound_one = _bytes({"bundle.json": json.dumps(MANIFEST).encode()})
    for number in range(1, 10):
        cut = sound_one[: len(sound_one) * number // 10]
        yield _case(f"cut at {number} tenths", ("--verify",), partial(_written, content=cut))
    yield _case("with a byte more", ("--verify",), partial(_written, content=sound_one + b"x"))
    yield _case(
        "no tables",
        ("--verify",),
        partial(_written, content=sound_one),
        status=1,
        why=ALTERED,
        said="results.csv is missing",
    )
    for what, options in (
        ("--verify and --bundle", ("--verify", "--bundle", "x.zip")),
        ("--verify and --output", ("--verify", "--output", "x.html")),
        ("--bundle of a file", ("--bundle", "x.zip")),
        ("--bundle that is no zip", ("--bundle", "x.tar")),
        ("--bundle at a folder", ("--bundle", "tmp")),
    ):
        yield _case(what, options, partial(_written, content=sound_one), names=("--bundle", "--output"))


def _case(what: str, options: tuple[str, ...], make: Callable[[Path], None], **more: object) -> Case:
    names = more.pop("names", (BUNDLE,))
    return Case("bundle", "report", f"{what} {' '.join(options)}".strip(), (BUNDLE, *options), names, make, **more)


def hostile() -> Iterator[tuple[str, Callable[[Path], None]]]:
    for name in NAMES:
        if name not in HARMLESS:
            yield f"a member called {name[:30]!r}", partial(_zipped, entries=[(name, b"x", {})])
    for what, kind in (("a link", stat.S_IFLNK), ("a pipe", stat.S_IFIFO), ("a device", stat.S_IFBLK)):
        yield f"a member that is {what}", partial(_zipped, entries=[("run.json", b"/etc/passwd", {"kind": kind})])
    yield "two members of one name", partial(_zipped, entries=[("a", b"1", {}), ("a", b"2", {})])
    yield "a file that is a folder", partial(_zipped, entries=[("a", b"1", {}), ("a/b", b"2", {})])
    yield "a bomb", partial(_zipped, entries=[("run.json", bytes(2**26), {"packing": zipfile.ZIP_DEFLATED})])
    yield "another packing", partial(_zipped, entries=[("run.json", b"1", {"packing": zipfile.ZIP_LZMA})])
    yield "no manifest", partial(_zipped, entries=[("run.json", b"{}", {})])
    yield "an encrypted member", partial(_patched, place=(6, 8), value=b"\1\0")
    yield "a size of 4 GB", partial(_patched, place=(22, 24), value=b"\xfe\xff\xff\xff")
    yield "a directory of 4 GB", _long_directory
    for what, content in (
        ("no JSON", b"\0\xff"),
        ("a list", b"[1]"),
        ("brackets without end", b"[" * 200_000),
        ("nothing but its kind", json.dumps(CLAIM).encode()),
        ("a later version", json.dumps(MANIFEST | {"version": 9}).encode()),
        ("a list of members that is a number", json.dumps(MANIFEST | {"members": 7}).encode()),
        ("a number without end", b'{"format": "caspl bundle", "version": 1' + b"0" * 10_000 + b"}"),
        ("a run called by another folder", json.dumps(MANIFEST | {"paths": {"a/run.json": "../log.txt"}}).encode()),
    ):
        yield f"a manifest with {what}", partial(_zipped, entries=[("bundle.json", content, {})])


def _zipped(folder: Path, entries: list[tuple[str, bytes, dict]]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(folder / BUNDLE, "w") as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, content, more in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (more.get("kind", stat.S_IFREG) | 0o644) << 16
            info.compress_type = more.get("packing", zipfile.ZIP_STORED)
            archive.writestr(info, content)


def _bytes(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def _written(folder: Path, content: bytes) -> None:
    (folder / BUNDLE).write_bytes(content)


def _patched(folder: Path, place: tuple[int, int], value: bytes) -> None:
    """The same change in front of a member and in the directory."""
    content = bytearray(_bytes({"bundle.json": json.dumps(MANIFEST).encode()}))
    entry = content.rindex(b"PK\1\2")
    for start in (place[0], entry + place[1]):
        content[start : start + len(value)] = value
    _written(folder, bytes(content))


def _long_directory(folder: Path) -> None:
    content = bytearray(_bytes({"bundle.json": json.dumps(MANIFEST).encode()}))
    content[-10:-6] = struct.pack("<L", 2**32 - 2)
    _written(folder, bytes(content))
