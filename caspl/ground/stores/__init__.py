"""Stores: what is expensive to compute and does not change, kept on disk under a digest of what decides it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from ..errors import InputError
from ..files import check_writable

VARIABLE = "CASPL_CACHE"
SPARED_BYTES = 2**30  # of a disk, for what is worth more than a store


def usual_place() -> Path:
    """The folder of stores whose place nobody names: $CASPL_CACHE, else ~/.cache/caspl, where $XDG_CACHE_HOME may stand for
    ~/.cache. Where there is no home it is one that can't be made, so that nothing is kept.
    """
    if own := os.environ.get(VARIABLE):
        return Path(os.path.expanduser(own))
    places = os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache"), os.devnull
    return Path(next(filter(os.path.isabs, places)), "caspl")


def check_place(folder: str | Path, name: str, pattern: str) -> None:
    """Raise InputError where a store can be neither written nor read; `name` calls it, its files match `pattern`.

    One that somebody else has filled, and that is read-only here, is of use, too.
    """
    try:
        check_writable(folder, name, folder=True)
    except InputError:
        with suppress(OSError):
            if any(Path(folder).expanduser().glob(pattern)):
                return
        raise


def no_room(folder: str | Path, more: int) -> str:
    """Why so many bytes are not to be added to a folder, which may be yet to make; "": its disk has room for them."""
    parent = next(parent for parent in (Path(folder), *Path(folder).absolute().parents) if parent.exists())
    free = shutil.disk_usage(parent).free
    return f"its disk has {max(free, 0) / 1e9:.1f} GB left" if free < more + SPARED_BYTES else ""


def mark_used(path: str | Path) -> None:
    """Note that a file was of use just now: `caspl store prune` takes first what was of use longest ago."""
    with suppress(OSError):  # a store may be read-only
        os.utime(path)
