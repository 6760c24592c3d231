"""Names and lists."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

from .errors import InputError


def get_most_similar_str_to_a_from_b(a: str, b: Iterable[str]) -> str | None:
    """Return the string of `b` that resembles `a` most, the last one among equals; None when `b` is empty."""
    best, nearest = 0.0, None
    for candidate in b:
        similarity = SequenceMatcher(None, a, candidate).ratio()
        if similarity >= best:
            best, nearest = similarity, candidate
    return nearest


def check_availability(requested: str, available: Iterable[str]) -> None:
    """Make sure that `requested` is one of the names `available`.

    Raises:
        InputError: it is not; the sentence lists the choices and the nearest one.
    """
    available = list(available)
    if requested not in available:
        raise InputError(unknown_name(requested, available))


def unknown_name(requested: str, available: Iterable[str], what: str = "name") -> str:
    """Return the sentence about a name that is not among those available."""
    available = list(available)
    if not available:
        return f'Unknown {what} "{requested}": none is available.'
    nearest = get_most_similar_str_to_a_from_b(str(requested), available)
    return f'Unknown {what} "{requested}" (do you mean "{nearest}"?); available: {", ".join(available)}.'


def tolist_if_not(x: Any) -> list:
    """Return `x` if it is a list, else a list that holds it."""
    return x if isinstance(x, list) else [x]
