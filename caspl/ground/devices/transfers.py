"""Copies between the CPU and a device that nobody waits for where that is possible: on CUDA, by pinned memory.

A program that reads a number of the step under way lets the GPU run dry: what comes next is given to it only when it has
nothing left to do. So numbers of a step set out for the CPU behind it, and are read when the GPU has been given the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def is_waited_for(device: torch.device) -> bool:
    """Whether reading a number of `device` costs it nothing, or can't be put off: all but CUDA."""
    return device.type != "cuda"


def onto(device: torch.device, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors of a batch on `device`; for CUDA from pinned memory, if need be a copy there, so that nobody waits for it."""
    if is_waited_for(device):
        return tuple(tensor.to(device) for tensor in tensors)
    pinned = (tensor.pin_memory() if tensor.is_cpu else tensor for tensor in tensors)
    return tuple(tensor.to(device, non_blocking=True) for tensor in pinned)


class Reading:
    """Tensors of one element, by name, on their way to the CPU in one transfer.

    Attributes:
        under_way: whether `numbers` would wait: until the device has computed what it had been given when this was made.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self.names = list(values)
        together = torch.stack([value.detach().reshape(()) for value in values.values()])
        self.under_way = not is_waited_for(together.device)
        if self.under_way:
            together = together.to("cpu", non_blocking=True)
            self._arrival = torch.cuda.Event()
            self._arrival.record()
        self._together = together

    def numbers(self) -> dict[str, float]:
        if self.under_way:
            self._arrival.synchronize()
        return dict(zip(self.names, self._together.tolist(), strict=True))


def _after_arriving(name: str) -> Callable[..., Any]:
    """A dictionary's method that waits for what is in it."""

    def method(self: Figures, *args: Any) -> Any:
        self.arrive()
        return getattr(dict, name)(self, *args)

    return method


class Figures(dict[str, float]):
    """Numbers of a step by name that may still be under way: whoever looks at them waits, a host's meters as ours.

    Args:
        come: gives the numbers when somebody looks at them for the first time; what it raises, that look raises.
    """

    def __init__(self, come: Callable[[], Mapping[str, float]]) -> None:
        super().__init__()
        self._come: Callable[[], Mapping[str, float]] | None = come

    def arrive(self) -> None:
        if self._come is not None:
            come, self._come = self._come, None
            super().update(come())

    __getitem__, __contains__, get = (_after_arriving(name) for name in ("__getitem__", "__contains__", "get"))
    __iter__, __len__, __eq__ = (_after_arriving(name) for name in ("__iter__", "__len__", "__eq__"))
    keys, values, items = (_after_arriving(name) for name in ("keys", "values", "items"))
    __repr__ = _after_arriving("__repr__")
    __hash__ = None  # type: ignore[assignment]
