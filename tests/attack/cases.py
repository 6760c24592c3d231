"""What a bad input is, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSED = 2


def nothing(folder: Path) -> None:
    """A case that needs no files of its own."""


@dataclass(frozen=True)
class Case:
    """One command with one mistake in what it is given.

    Attributes:
        kind: of mistake, such as "key"; a row of the table.
        door: the command, a name in `doors.DOORS`.
        what: the mistake in a few words.
        argv: the command's arguments; relative paths begin in the case's own folder.
        names: of files, keys and flags, one of which has to be in the sentence.
        prepare: writes files into that folder.
        status: the exit status that is right.
        why: the reason for another status than 2, and for what is left.
        leaves: patterns of paths that may be left behind: those of a run that had begun when it met the mistake.
        same: a path that it leaves and a sound file: where the two are equal, the mistake had no effect and may pass.
        fresh: whether it is started as a shell does in any case.
        said: where the status is another one, a text that has to be in what is printed.
    """

    kind: str
    door: str
    what: str
    argv: tuple[str, ...]
    names: tuple[str, ...] = ()
    prepare: Callable[[Path], None] = nothing
    status: int = REFUSED
    why: str = ""
    leaves: tuple[str, ...] = ()
    same: tuple[str, Path] | None = None
    fresh: bool = False
    said: str = ""

    def __str__(self) -> str:
        return f"{self.kind} | {self.door} | {self.what}"
