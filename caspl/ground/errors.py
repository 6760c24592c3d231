"""The exceptions for mistakes in what the user gave, and what their sentences share: the nearest name, another's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher


class InputError(ValueError):
    """A sentence that names the file or key, what was found, what was expected, and what to do.

    Every command prints it alone, without a stack trace (caspl/ground/door.py).
    """


class QuantityError(InputError):
    """Quantities that cannot be as they are: pairs of a name ("temperature") and what is wrong ("is 0, expected above 0").

    Code that knows no configuration raises it; whoever has read the quantities from one puts the keys in place with `naming`.
    """

    def __init__(self, *problems: tuple[str, str]):
        self.problems: Sequence[tuple[str, str]] = problems
        super().__init__("; ".join(f"{quantity} {wrong}" for quantity, wrong in problems))

    def __reduce__(self) -> tuple:  # how another process gets it
        return type(self), tuple(self.problems)


class ElsewhereError(Exception):
    """Another process of the same job has ended, for a reason that is not in what the user gave; the sentence says it."""


@contextmanager
def naming(names: Mapping[str, str]) -> Iterator[None]:
    """Inside, a QuantityError calls its quantities by `names`, {quantity: configuration key or flag}, where they have one."""
    try:
        yield
    except QuantityError as error:
        renamed = [(names.get(quantity, quantity), wrong) for quantity, wrong in error.problems]
        raise type(error)(*renamed).with_traceback(error.__traceback__) from None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that resembles `name` most, the last among equals; None where there is none."""
    best, found = 0.0, None
    for candidate in known:
        similarity = SequenceMatcher(None, name, candidate).ratio()
        if similarity >= best:
            best, found = similarity, candidate
    return found


def unknown_name(name: str, known: Iterable[str], what: str = "name") -> str:
    """The sentence about a `name` that is not among those `known`: the nearest one, and all."""
    known = list(known)
    if not known:
        return f'Unknown {what} "{name}": none is available.'
    return f'Unknown {what} "{name}" (do you mean "{nearest(str(name), known)}"?); available: {", ".join(known)}.'


def listed(phrases: Sequence[str], most: int = 3) -> str:
    """Phrases as one: the first `most` of them, and how many more there are."""
    more = f" and {len(phrases) - most} more" if len(phrases) > most else ""
    return "; ".join(phrases[:most]) + more


def first_line(message: object, most: int = 160) -> str:
    """The first line of an exception or text of another library, at most `most` characters; else its type."""
    lines = (" ".join(line.split()) for line in str(message).splitlines())
    return next((line[:most] for line in lines if line), type(message).__name__)


def cause(error: BaseException) -> str:
    """Why something went wrong, for the brackets of a sentence: the system's words, else the first line of the message."""
    return getattr(error, "strerror", None) or first_line(error)


# ---------------------------------------------------------------------------------------------------------------------
# What the system refuses
# ---------------------------------------------------------------------------------------------------------------------
_ROOM, _PLACE, _FILES = (
    "make room, or choose another place",
    "choose another place",
    "raise the limit of open files (ulimit -n)",
)
_WAYS_OUT = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose another place",
    errno.EIO: "check the disk, or choose another place",
    errno.EROFS: _PLACE,
    errno.EACCES: "correct the permissions, or choose another place",
    errno.EPERM: "correct the permissions, or choose another place",
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "name a file",
    errno.ENOENT: "check the path",
    errno.ELOOP: "correct the links, or choose another place",
    errno.EAGAIN: "end other processes, or use fewer workers",
}
_SAID_BY_OTHERS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EMFILE,
    errno.ENFILE,
)


def way_out(number: int) -> str:
    """What to do about an error of the operating system, by its number (module errno)."""
    return _WAYS_OUT.get(number, _PLACE)


def refusal(error: BaseException) -> int | None:
    """The number of the operating system's error that an exception of another library tells of in words, None: of none.

    Libraries in Rust and C++ have exceptions of their own for a full disk, say, with the system's words in the message.
    """
    if isinstance(error, InputError):
        return None
    return next((number for number in _SAID_BY_OTHERS if os.strerror(number) in str(error)), None)
