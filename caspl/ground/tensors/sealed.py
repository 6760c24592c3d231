"""Safetensors files with a checksum over all of their bytes: `sha256` among the metadata. Needs no PyTorch.

Such a file is the length of its table (8 bytes), the table (JSON), and the tensors' bytes. The sum is taken while zeros stand
in its place. A file without one is as good as another program's.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

NAME = "sha256"
MARK, BLANK = f'"{NAME}":"'.encode(), b"0" * 64  # a text in the table can't hold MARK: its quotes are written \"
LARGEST_TABLE = 2**24  # bytes; a library asks for many times as much memory
CHUNK = 2**20


def in_order(content: bytes, **more: str) -> bytes:
    """The same file with `more` metadata, all in alphabetical order, which safetensors leaves to chance."""
    begin = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:begin])
    table["__metadata__"] = dict(sorted((table["__metadata__"] | more).items()))
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[begin:]


def sealed(content: bytes) -> bytes:
    """The same file, in order, with its checksum."""
    blank = in_order(content, **{NAME: BLANK.decode()})
    return blank.replace(MARK + BLANK, MARK + hashlib.sha256(blank).hexdigest().encode(), 1)


def check_table(path: str | Path) -> None:
    """Raise ValueError where a file's table is larger than any that is written here. To be called before a library reads it."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > LARGEST_TABLE:
        raise ValueError(f"its table is {size:,} bytes long, expected {LARGEST_TABLE:,} or fewer")


def check_seal(path: str | Path) -> None:
    """Raise ValueError where a file's content is not what was written. `check_table` comes first."""
    with open(path, "rb") as file:
        length = file.read(8)
        table = file.read(int.from_bytes(length, "little"))
        before, mark, after = table.partition(MARK)
        if not mark:
            return
        whole = hashlib.sha256(length + before + mark + BLANK + after[len(BLANK) :])
        while chunk := file.read(CHUNK):
            whole.update(chunk)
    if whole.hexdigest().encode() != after[: len(BLANK)]:
        raise ValueError("its content is not what was written, as its checksum says")
