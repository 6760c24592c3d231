"""Stores: what is expensive to compute and does not change, kept on disk under a digest of what decides it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "CASPL_CACHE"


def usual_place() -> Path:
    """The folder of stores whose place nobody names: $CASPL_CACHE, else ~/.cache/caspl, where $XDG_CACHE_HOME may stand for
    ~/.cache. Where there is no home it is one that can't be made, so that nothing is kept.
    """
    if own := os.environ.get(VARIABLE):
        return Path(os.path.expanduser(own))
    places = os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache"), os.devnull
    return Path(next(filter(os.path.isabs, places)), "caspl")


def mark_used(path: str | Path) -> None:
    """Note that a file was of use just now: `caspl store prune` takes first what was of use longest ago."""
    with suppress(OSError):  # a store may be read-only
        os.utime(path)
