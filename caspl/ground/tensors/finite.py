"""Training that diverges: the numbers that tell, looked at before they are stepped on, believed or written.

A trainer reads its loss and the largest norms of gradients and parameters from the device together, which costs no more waiting
than reading the loss; the first one that is out of bounds ends the run with a DivergedError. From a CUDA device they come when
the next step is under way (`Watched.figures`): that step is in vain then, and nothing of it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..devices.transfers import Figures, Reading
from ..errors import listed


class NotFiniteError(FloatingPointError):
    """Numbers that are not finite where something is read off them. The sentence says which."""


class DivergedError(NotFiniteError):
    """Numbers of a training are not finite, or absurdly large. The sentence says which, where and what to try."""


# ---------------------------------------------------------------------------------------------------------------------
# Looking at numbers
# ---------------------------------------------------------------------------------------------------------------------
def largest_norm(tensors: Iterable[Tensor]) -> Tensor:
    """The largest of the Euclidean norms of `tensors`, a scalar on the device of the first; 0 where there are none.

    nan where an entry is, inf where one is or where it overflows: on some devices its square, from 1e19 on.
    """
    values = [t.detach().coalesce().values() if t.is_sparse else t.detach() for t in tensors]
    wide = [value if value.dtype.itemsize > 2 else value.float() for value in values if value.numel()]
    if not wide:
        return torch.zeros(())
    norms = torch._foreach_norm(wide)
    return torch.stack([norm.to(norms[0].device, torch.float32) for norm in norms]).max()


def read(**values: Tensor) -> dict[str, float]:
    """Tensors of one element as numbers, fetched from their device in one transfer, which is waited for."""
    return Reading(values).numbers()


def wrong(numbers: Mapping[str, float], most: Mapping[str, float]) -> str:
    """The first number that is not finite or larger than `most` allows it to be, as "loss nan"; "" where there is none."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            return f"{name} {value}"
        if abs(value) > most.get(name, math.inf):
            return f"{name} of norm {value:.3g}, expected at most {most[name]:g}"
    return ""


def spoiled(tensors: Mapping[str, Any], *, infinite: bool = True) -> list[str]:
    """The names of the tensors, at any depth of dictionaries and lists, with a NaN or, if `infinite`, an infinite entry."""
    found = []
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            if value.is_floating_point() and not (torch.isfinite(value) if infinite else ~torch.isnan(value)).all():
                found.append(str(name))
        elif isinstance(value, (Mapping, list, tuple)):
            inner = value if isinstance(value, Mapping) else dict(enumerate(value))
            found += [f"{name}.{deeper}" for deeper in spoiled(inner, infinite=infinite)]
    return found


def without_answer(scores: Tensor) -> Tensor:
    """How many images of `scores` [B, C] have a NaN or no largest finite score, a whole number on their device."""
    return (~torch.isfinite(scores.detach().amax(dim=-1))).sum()


def refuse(bad: int, images: int) -> None:
    """Raise NotFiniteError where `bad` of so many images are `without_answer`."""
    if bad:
        raise NotFiniteError(
            f"the scores of {bad} of {images} images are not finite, so there is no accuracy: the model is spoiled, or "
            f"its weights are too large for the number format it computes in"
        )


def checked_scores(scores: Tensor) -> Tensor:
    """`scores` [B, C] as they are. Raises NotFiniteError where an image is `without_answer`."""
    refuse(int(without_answer(scores)), len(scores))
    return scores


# ---------------------------------------------------------------------------------------------------------------------
# Trainers
# ---------------------------------------------------------------------------------------------------------------------
class Watched:
    """Mixin for trainers with Dassl's attributes: they stop at the first number that is out of bounds, and save none."""

    limits: Mapping[str, float] = {}  # of the norms that `check_numbers` is given, beyond being finite
    _models: Mapping[str, nn.Module]
    _optims: Mapping[str, Optimizer | None]

    def check_numbers(self, **values: Tensor) -> dict[str, float]:
        """Tensors of one element, such as loss=... or gradients=largest_norm(...), as numbers; raises DivergedError."""
        numbers = read(**values)
        if found := self.found_wrong(numbers):
            self.diverged(found)
        return numbers

    def found_wrong(self, numbers: Mapping[str, float]) -> str:
        """The first of these numbers that a training can't go on from, in words; "" where there is none."""
        return wrong(numbers, self.limits)

    def figures(self, then: Callable[[dict[str, float]], Mapping[str, float]], **values: Tensor) -> Mapping[str, float]:
        """What `then` makes of the numbers of a step, which are checked before.

        At once; those of a CUDA device when somebody looks at them, who then waits no longer than for this step. In both cases
        the DivergedError says where this step was.
        """
        place, reading = self.place(), Reading(values)

        def come() -> Mapping[str, float]:
            numbers = reading.numbers()
            if found := self.found_wrong(numbers):
                self.diverged(found, place)
            return then(numbers)

        return Figures(come) if reading.under_way else come()

    def check_models(self) -> None:
        """Raise DivergedError where a file of this run would hold something that is not finite.

        Buffers may be infinite, as masks are, but not NaN.
        """
        found = []
        for name, model in self._models.items():
            found += spoiled({f"{name}.{key}": value for key, value in model.named_parameters()})
            found += spoiled({f"{name}.{key}": value for key, value in model.named_buffers()}, infinite=False)
            if self._optims[name] is not None:
                found += spoiled({f"{name}'s optimizer": self._optims[name].state_dict()["state"]})
        if found:
            self.diverged(f"not finite, and not saved: {listed(found)}")

    def diverged(self, found: str, place: str | None = None) -> NoReturn:
        """Raise the DivergedError about what was `found`: where (None: here), at which rate, and what to try."""
        raise DivergedError(
            f"training has diverged{self.place() if place is None else place}: {found}; try {self.calmer()}"
        )

    def calmer(self) -> str:
        """The settings under which a training that diverges may not."""
        return "a lower learning rate"

    def place(self) -> str:
        """Where training is, counted from 1: " in epoch 2 of 5, batch 1 of 8 (learning rate 0.002)"."""
        parts = []
        for what, number, total in (("epoch", "epoch", "max_epoch"), ("batch", "batch_idx", "num_batches")):
            if (count := getattr(self, number, None)) is not None:
                most = getattr(self, total, None)
                parts.append(f"{what} {count + 1} of {most}" if most else f"{what} {count + 1}")
        optimizers = [optimizer for optimizer in self._optims.values() if optimizer is not None]
        rate = f" (learning rate {optimizers[0].param_groups[0]['lr']:.4g})" if optimizers else ""
        return (" in " if parts else "") + ", ".join(parts) + rate
