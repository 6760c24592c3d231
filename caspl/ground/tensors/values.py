"""Which values the weights and prompts of a network can have, and what a file says instead, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .. import texts

# Token embeddings of CLIP are about 0.01 to 1, trained prompts at most some hundreds. Behind a block's first layer
# normalisation the size of a prompt is lost, so one of thousands has learned nothing that a smaller one could not hold; from
# 65,504 on half precision has no number for it.
LARGEST_PROMPT = 1e4
# Statistics of batches reach thousands, all else less; what is beyond leaves the range of the formats within a few layers
LARGEST_WEIGHT = 1e6
MOST_EPOCHS = 2**31  # that a model file can speak of, whoever has written it


def impossible(tensors: Mapping[str, Tensor], largest: float) -> list[str]:
    """A phrase for each of `tensors` that holds whole numbers, or some that are not finite or beyond `largest`.

    "text.0 is int64, expected floating-point numbers", "text.1 has nan, expected finite numbers of at most 10000 in size".
    """
    problems = []
    for name, value in tensors.items():
        if not value.is_floating_point():
            problems.append(f"{name} is {str(value.dtype).removeprefix('torch.')}, expected floating-point numbers")
        elif value.numel() and not (worst := _largest(value)) <= largest:
            problems.append(f"{name} has {worst:.3g}, expected finite numbers of at most {largest:g} in size")
    return problems


def _largest(value: Tensor) -> float:
    """The largest magnitude, nan where there is one; in one pass, and without a copy of what is not in half precision."""
    values = value.detach() if value.element_size() > 2 else value.detach().float()
    least, most = (float(bound) for bound in values.aminmax())
    return max(-least, most) if least == least else least


def whole(value: Any, least: int, most: int) -> bool:
    """Whether a value is a whole number within bounds; True is none."""
    return type(value) is int and least <= value <= most


def shown(value: Any) -> str:
    """A value in a few words: a container may hold itself a thousand times, a number have a million digits."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, (Mapping, list, tuple)):
        return f"a {'dictionary' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**18:
        return "a number beyond all bounds"
    return texts.shown(value, 60)
