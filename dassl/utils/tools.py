"""Names and lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from caspl.ground.errors import InputError, nearest, unknown_name


def get_most_similar_str_to_a_from_b(a: str, b: Iterable[str]) -> str | None:
    """Return the string of `b` that resembles `a` most, the last one among equals; None when `b` is empty."""
    return nearest(a, b)


def check_availability(requested: str, available: Iterable[str]) -> None:
    """Make sure that `requested` is one of the names `available`.

    Raises:
        InputError: it is not; the sentence lists the choices and the nearest one.
    """
    available = list(available)
    if requested not in available:
        raise InputError(unknown_name(requested, available))


def tolist_if_not(x: Any) -> list:
    """Return `x` if it is a list, else a list that holds it."""
    return x if isinstance(x, list) else [x]
