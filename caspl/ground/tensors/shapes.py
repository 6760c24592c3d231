"""What a file holds beside what it should hold: named tensors, compared by their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

Shapes = Mapping[str, "tuple[int, ...] | str"]  # a text: the type of what stands where a tensor should


def shapes_of(tensors: Mapping[str, object]) -> dict[str, tuple[int, ...] | str]:
    """The shape of each tensor by its name; for anything else the name of its type."""
    return {
        name: tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        for name, value in tensors.items()
    }


def differences(found: Shapes, expected: Shapes) -> list[str]:
    """A phrase for each name whose shapes differ; empty where there is nothing to complain of.

    "text.0 is (4, 64), expected (8, 64)", "text.1 is missing" in the order of `expected`, then "text.2 is unexpected".
    """
    wrong = [
        f"{name} is {_shown(found[name])}, expected {_shown(shape)}" if name in found else f"{name} is missing"
        for name, shape in expected.items()
        if name not in found or _shown(found[name]) != _shown(shape)
    ]
    return wrong + [f"{name} is unexpected" for name in found if name not in expected]


def _shown(shape: Sequence[int] | str) -> str:
    return shape if isinstance(shape, str) else str(tuple(shape))
