"""What is compiled on a device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...ground.errors import QuantityError
from .compiled import CHOICES, Compiled


class Compilation:
    """How the towers of one CLIP are compiled: not at all ("off"), each in one ("towers"), and captured ("graphs")."""

    def __init__(self, name: str = "off"):
        self.name = name
        self._told: set[str] = set()

    def of(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`function(module, tensors, *rest)` as `Compiled` takes it, or itself."""
        return function if self.name == "off" else Compiled(function, graphs=self.name == "graphs", told=self._told)


def resolve_compilation(name: str, device: torch.device) -> Compilation:
    """Raises QuantityError ("compilation") for an unknown name, and for CUDA graphs without CUDA."""
    if name not in CHOICES:
        raise QuantityError(("compilation", f'is "{name}", expected one of {", ".join(CHOICES)}'))
    if name == "graphs" and device.type != "cuda":
        raise QuantityError(
            (
                "compilation",
                f"is graphs, but CUDA graphs need a CUDA device and this run is on {device.type}; set it to towers",
            )
        )
    return Compilation(name)
