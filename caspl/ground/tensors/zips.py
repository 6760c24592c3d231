"""What is asked of a zip archive before Python's reader makes an object for each entry of its directory. Needs no PyTorch."""

from __future__ import annotations

import os
from typing import BinaryIO


def check_directory(file: BinaryIO, most: int) -> None:
    """Raise ValueError, with a phrase, where a zip archive's directory is longer than `most` bytes, or is not at its end.

    It stands in the last 22 bytes, and for archives of the larger kind 98 bytes before the end.
    """
    start = file.seek(-min(98, file.seek(0, os.SEEK_END)), os.SEEK_END)
    tail = file.read().rjust(98, b"\0")
    if tail[76:80] != b"PK\5\6":
        raise ValueError(f"a zip archive that does not end as one, behind byte {start}")
    lengths = [int.from_bytes(tail[88:92], "little")]
    if tail[56:60] == b"PK\6\7":
        lengths = [int.from_bytes(tail[40:48], "little")]
    if max(lengths) > most:
        raise ValueError(f"a zip archive whose directory is longer than {most:,} bytes")
