"""Checksums of values, by which a file with a changed bit is not taken for what was written.

torch.load does not compare those of its zip archives, and the family's code reads no other: so the sum is an entry beside the
others, `checksum`, and a file without it is as good as one of that code.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

NAME = "checksum"


def with_checksum(entries: Mapping[str, Any]) -> dict[str, Any]:
    """`entries` and their checksum."""
    return {**entries, NAME: checksum(entries)}


def without_checksum(entries: Mapping[str, Any]) -> dict[str, Any]:
    """`entries` without their checksum. Raises ValueError where it is that of others."""
    rest = {name: value for name, value in entries.items() if name != NAME}
    if NAME in entries and entries[NAME] != checksum(rest):
        raise ValueError("its content is not what was written, as its checksum says")
    return rest


def checksum(value: Any) -> str:
    """64 hexadecimal digits of SHA-256 over tensors, numbers, texts, and dictionaries, lists and tuples of them.

    Types, shapes, the order of dictionaries and every bit of a number count; devices, the layout in memory and the class of a
    dictionary do not. What stands in several places is looked at once.
    """
    return _sum(value, {}).hex()


def _sum(value: Any, known: dict[int, bytes]) -> bytes:
    if id(value) not in known:
        whole = hashlib.sha256()
        for part in _parts(value, known):
            whole.update(part)
        known[id(value)] = whole.digest()
    return known[id(value)]


def _parts(value: Any, known: dict[int, bytes]) -> Iterator[Any]:
    """Bytes that say what `value` is: the first ones its type, which also says how the rest is to be read."""
    kind = "dict" if isinstance(value, Mapping) else type(value).__name__
    if isinstance(value, Tensor):
        yield f"tensor {value.dtype} {tuple(value.shape)} ".encode()
        yield from _bytes_of(value)
    elif kind == "dict":
        yield b"dict "
        yield from (_sum(part, known) for item in value.items() for part in item)
    elif isinstance(value, (list, tuple)):
        yield f"{kind} ".encode()
        yield from (_sum(item, known) for item in value)
    elif isinstance(value, bytes):
        yield b"bytes " + value
    elif isinstance(value, float):
        yield b"float " + struct.pack("<d", value)
    else:  # texts, whole numbers, True, None, and PyTorch's types and devices
        shown = f"{value:x}" if isinstance(value, int) else str(value)
        yield f"{kind} {shown}".encode("utf-8", "surrogatepass")


def _bytes_of(value: Tensor) -> Iterator[memoryview]:
    flat = value.detach().cpu().contiguous().reshape(-1)
    if flat.numel():
        yield memoryview(flat.view(torch.uint8).numpy())
