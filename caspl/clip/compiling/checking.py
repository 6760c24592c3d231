"""Whether two functions are the same, by what they give: values, and gradients with respect to all tensors that want them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

# The largest difference that rounding can make, relative to the largest number of a tensor. What a compiler gets wrong is off
# by a good part of it
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.2}
LEAST = 0.01  # of the largest gradient: those of a tensor that is smaller are compared with it


def mapped(tensors: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested lists and tuples of tensors with each tensor changed."""
    if isinstance(tensors, Tensor):
        return change(tensors)
    return type(tensors)(mapped(each, change) for each in tensors)


def difference(
    one: Callable[..., Tensor], other: Callable[..., Tensor], module: nn.Module, tensors: Any, rest: Sequence[Any]
) -> str:
    """What is different between `one(module, tensors, *rest)` and that of `other`, beyond rounding; "" if nothing is.

    The random streams are not drawn from, and no gradient is left anywhere.
    """
    (value, *gradients), (expected, *theirs) = (_outcome(each, module, tensors, rest) for each in (one, other))
    most = ROUNDING.get(expected.dtype, 0.0)
    if _beyond(value, expected, most, 0.0):
        return "its values are others"
    floor = LEAST * max((float(gradient.abs().max()) for gradient in theirs), default=0.0)
    if any(_beyond(a, b, most, floor) for a, b in zip(gradients, theirs, strict=True)):
        return "its gradients are others"
    return ""


def _beyond(found: Tensor, expected: Tensor, most: float, floor: float) -> bool:
    """Whether numbers differ by more than `most` of the largest; those that are not finite say nothing."""
    found, expected = found.double(), expected.double()
    if not bool(torch.isfinite(expected).all()):
        return False
    scale = max(float(expected.abs().max()), floor)
    return not float((found - expected).abs().max()) <= most * scale


def _outcome(function: Callable[..., Tensor], module: nn.Module, tensors: Any, rest: Sequence[Any]) -> list[Tensor]:
    """The value and, where gradients are on, those of a fixed sum of its numbers."""
    leaves: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        if not tensor.requires_grad:
            return tensor
        leaves.append(tensor.detach().requires_grad_())
        return leaves[-1].view_as(leaves[-1])  # in use they are results of something, too

    with ExitStack() as stack:
        if torch.is_grad_enabled():  # where activations are thrown away to be computed again, these are not meant
            stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_same, _same))
        value = function(module, mapped(tensors, leaf), *rest)
        if not value.requires_grad:
            return [value.detach()]
        weights = torch.arange(value.numel(), device=value.device).cos().view(value.shape).to(value.dtype)
        stack.enter_context(torch.autocast(value.device.type, enabled=False))
        gradients = torch.autograd.grad(value, leaves, weights, allow_unused=True)
    zeros = (
        torch.zeros_like(x) if gradient is None else gradient for x, gradient in zip(leaves, gradients, strict=True)
    )
    return [value.detach(), *zeros]


def _same(tensor: Tensor) -> Tensor:
    return tensor
