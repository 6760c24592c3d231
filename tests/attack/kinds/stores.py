"""What lies in a store and is damaged, foreign, or made to do harm: named, and never removed by mistake."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from caspl.ground.stores.facts import Facts
from caspl.ground.stores.rows import Rows

from ..cases import Case
from ..sound import Sound

DAMAGED, UNKNOWN = "damage is told line by line, with status 1", "what is nobody's is left alone, with status 0"
FEATURES = f"{'0' * 32}.safetensors"


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    words = ("check", "stores")
    for what, change in damages(seed):
        yield Case("store", "store", what, words, (), partial(rows, change), 1, DAMAGED, said="is damaged: ")
    for what, change in foreign():
        yield Case("store", "store", what, words, (), partial(rows, change), 0, UNKNOWN, said="0 files read, 0 damaged")
        gone = ("prune", "stores", "--to", "0")
        yield Case(
            "store", "store", f"{what}, to be pruned", gone, (), partial(rows, change), 0, UNKNOWN, said="0 files left"
        )


def rows(change: Callable[[Path], None], folder: Path) -> None:
    """A store with a file of three rows in it, to which `change` does something."""
    store = Rows(folder / "stores", Facts("teacher", {"network": "a"}, {}), width=4)
    store.add([bytes([number]) * 16 for number in range(3)], np.ones((3, 4), "f4"))
    store.publish()
    (path,) = store.folder.glob("*.rows")
    change(path)


def damages(seed: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    for part in range(1, 5):
        yield f"rows cut at {part} fifths", lambda path, part=part: os.truncate(path, path.stat().st_size * part // 5)
    yield "rows with a byte more", lambda path: path.write_bytes(path.read_bytes() + b"x")
    for place in np.random.default_rng(seed).integers(12, 64 + 3 * 44, 5).tolist():
        yield f"a bit of rows changed in byte {place}", partial(flip, place=place)
    for what, count, width in (("2^64 rows", 2**64 - 1, 4), ("wide rows", 3, 2**32 - 1), ("no rows", 0, 4)):
        yield what, lambda path, count=count, width=width: header(path, count, width)


def foreign() -> Iterator[tuple[str, Callable[[Path], None]]]:
    def alone(content: bytes, name: str = "x.rows") -> Callable[[Path], None]:
        """A file beside facts, in the place of the rows."""

        def change(path: Path) -> None:
            path.unlink()
            (path.parent / name).write_bytes(content)

        return change

    def facts(text: str) -> Callable[[Path], None]:
        return lambda path: (path.parent / "facts.json").write_text(text)

    def pipe(path: Path) -> None:
        path.unlink()
        os.mkfifo(path)

    def loop(path: Path) -> None:
        path.unlink()
        path.symlink_to(path.name)
        (path.parent / "again").symlink_to("..")

    def link(path: Path) -> None:
        path.rename(path.parents[2] / "elsewhere.rows")
        path.symlink_to(path.parents[2] / "elsewhere.rows")

    for what, content in (
        ("an empty file of rows", b""),
        ("a text called rows", b"a,b\n1,2\n"),
        ("zeros", bytes(4096)),
    ):
        yield what, alone(content)
    yield "a pipe called rows", pipe
    yield "links that lead back", loop
    yield "rows that are a link to another place", link
    for what, text in (
        ("facts that are no JSON", "{"),
        ("facts in facts in facts", "[" * 100_000),
        ("facts said twice", '{"kind": "teacher", "kind": "x", "facts": {}, "about": {}}'),
        ("facts that are numbers", '{"kind": 1, "facts": 2, "about": 3}'),
        ("facts of another folder", '{"kind": "teacher", "facts": {}, "about": {}}'),
        ("a megabyte of facts", json.dumps({"kind": "teacher", "facts": {"a": "b" * 2**20}, "about": {}})),
    ):
        yield what, facts(text)
    for what, content in (
        ("features with a table of 2^63 bytes", struct.pack("<Q", 2**63)),
        ("features without facts", struct.pack("<Q", 2) + b"{}"),
        ("features with facts that are none", table({"facts": "[1]"}, [1, 1])),
        ("features of an impossible shape", table({"facts": '{"vision prompts": ""}'}, ["many"])),
    ):
        yield what, alone(content, FEATURES)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def header(path: Path, count: int, width: int) -> None:
    content = bytearray(path.read_bytes())
    content[12:24] = struct.pack("<IQ", width, count)
    path.write_bytes(content)


def table(metadata: dict, shape: list) -> bytes:
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}
    text = json.dumps({"__metadata__": metadata, "features": entry}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)
