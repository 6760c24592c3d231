"""Stores: what is expensive to compute and does not change, kept on disk under a digest of what decides it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "CASPL_CACHE"


def usual_place() -> Path:
    """The folder of stores whose place nobody names: $CASPL_CACHE, else ~/.cache/caspl."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/caspl").expanduser()


def mark_used(path: str | Path) -> None:
    """Note that a file was of use just now: `caspl store prune` takes first what was of use longest ago."""
    with suppress(OSError):  # a store may be read-only
        os.utime(path)
