"""All stores in one folder tree: what is there, what goes to make room, what is damaged."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..files import remove_leftovers
from . import facts as facts_files
from .kinds import KINDS, Content, Kind

DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Kept:
    """A file of a store; `used`: when it was of use last, in seconds since 1970."""

    kind: Kind
    path: Path
    content: Content
    bytes: int
    used: float


def kept(folder: Path, kind: str = "") -> Iterator[Kept]:
    """The files of all stores below a folder, or of one kind; links to folders are not followed."""
    kinds = [KINDS[kind]] if kind else [*KINDS.values()]
    for top, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(top, name)
            for each in kinds:
                if not name.endswith(each.ending) or path.is_symlink():
                    continue
                with suppress(OSError):  # another process may have removed it meanwhile
                    status, content = path.stat(), each.look(path)
                    if content is not None:
                        yield Kept(each, path, content, status.st_size, status.st_mtime)
                        break


def in_excess(files: Iterable[Kept], *, most: float | None = None, days: float | None = None) -> list[Kept]:
    """Which files go: those of no use for so many days, then, the longest unused first, until `most` bytes are left.

    Where neither is given, all.
    """
    files = sorted(files, key=lambda each: each.used)
    if most is None and days is None:
        return files
    going = [each for each in files if days is not None and each.used < time.time() - days * DAY]
    staying = files[len(going) :]
    held = sum(each.bytes for each in staying)
    for each in staying if most is not None else ():
        if held <= most:
            break
        going.append(each)
        held -= each.bytes
    return going


def remove(files: Iterable[Kept]) -> Iterator[Kept]:
    """Remove files, giving each that is gone; what processes have open they can read on. Folders without rows go, too.

    Raises OSError where one can't be removed.
    """
    folders = set()
    for each in files:
        each.path.unlink(missing_ok=True)
        folders.add(each.path.parent)
        yield each
    for folder in folders:
        with suppress(OSError, ValueError):
            facts = facts_files.read(folder)
            remove_leftovers(folder)
            if [entry.name for entry in os.scandir(folder)] == [facts_files.NAME]:
                (folder / facts_files.NAME).unlink()
                try:
                    folder.rmdir()
                except OSError:  # somebody has begun to write there
                    facts.write(folder)


def damage(files: Iterable[Kept]) -> Iterator[tuple[Kept, str]]:
    """Read all of each file: what is wrong with it, as a phrase about "it"; "" where nothing is."""
    for each in files:
        try:
            each.kind.check(each.path)
        except FileNotFoundError:  # another process has removed it
            continue
        except OSError as error:
            yield each, f"it cannot be read ({error.strerror})"
        except ValueError as error:
            yield each, str(error)
        else:
            yield each, ""
