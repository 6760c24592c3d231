"""Bytes of files, cut and flipped, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path


def flipped(content: bytes, bit: int) -> bytes:
    """`content` with one bit changed, of 8 * len(content)."""
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def bytewise(source: Path, seed: int, flips: int = 10) -> Iterator[tuple[str, bytes]]:
    """What was done, and the content of a file: empty, cut at every tenth, with single bits flipped, with more at its end."""
    content, draw = source.read_bytes(), random.Random(f"{source.name} {seed}")
    yield "empty", b""
    for tenth in range(1, 10):
        yield f"cut at {tenth} tenths", content[: len(content) * tenth // 10]
    yield "cut by a byte", content[:-1]
    yield "with a byte more", content + b"x"
    yield "zeros", bytes(len(content))
    for _ in range(flips):
        bit = draw.randrange(8 * len(content))
        yield f"bit {bit} of {8 * len(content)} flipped", flipped(content, bit)
