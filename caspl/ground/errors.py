"""The exceptions for mistakes in what the user gave: a path, a name, a key, a shape, a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class InputError(ValueError):
    """A sentence that names the file or key, what was found, what was expected, and what to do.

    `train.py` and the other commands print it alone, without a stack trace.
    """


class QuantityError(InputError):
    """Quantities that cannot be as they are: pairs of a name ("temperature") and what is wrong ("is 0, expected above 0").

    Code that knows no configuration raises it; whoever has read the quantities from one puts the keys in place with `naming`.
    """

    def __init__(self, *problems: tuple[str, str]):
        self.problems: Sequence[tuple[str, str]] = problems
        super().__init__("; ".join(f"{quantity} {wrong}" for quantity, wrong in problems))


@contextmanager
def naming(names: Mapping[str, str]) -> Iterator[None]:
    """Inside, a QuantityError calls its quantities by `names`, {quantity: configuration key or flag}, where they have one."""
    try:
        yield
    except QuantityError as error:
        renamed = [(names.get(quantity, quantity), wrong) for quantity, wrong in error.problems]
        raise type(error)(*renamed).with_traceback(error.__traceback__) from None
