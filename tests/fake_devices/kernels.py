"""Which operations a device has kernels for, as far as this build of PyTorch says it, and the CPU's in their place."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import torch

aten = torch.ops.aten
ANY = ("Composite", "MPS")  # kernels for every device, and those of Apple's


@cache
def has_kernel(func: Any, device: str) -> bool:
    """Whether `device` can compute `func`; True where nothing here knows it."""
    if func.namespace != "aten":
        return True
    if device == "cuda" and torch.backends.cuda.is_built():
        return torch._C._dispatch_has_computed_kernel_for_dispatch_key(func.name(), "CUDA")
    return func.name().removeprefix("aten::") not in lacking_on_mps() if device == "mps" else True


@cache
def lacking_on_mps() -> frozenset[str]:
    """Operations for which PyTorch's own list has kernels of other devices and none of Apple's; empty without the list."""
    try:
        import torchgen
    except ImportError:
        return frozenset()
    path = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    if not path.is_file():
        return frozenset()
    kernels: dict[str, str] = {}
    delegates: dict[str, str] = {}
    for entry in re.split(r"^- func: ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        name = entry.split("(", 1)[0]
        if found := re.search(r"^  structured_delegate: (\S+)", entry, flags=re.M):
            delegates[name] = found[1]
        if found := re.search(r"^  dispatch:\n((?:    .*\n)+)", entry, flags=re.M):
            kernels[name] = " ".join(line.split(":")[0] for line in found[1].splitlines())
    found = {
        name: kernels.get(delegates.get(name, name), kernels.get(name, "Composite")) for name in kernels | delegates
    }
    return frozenset(name for name, keys in found.items() if not any(key in keys for key in ANY))


def on_cpu(func: Any) -> Any:
    """What computes on the CPU what `func` computes on a device: mostly `func`."""
    return _OTHERWISE.get(func, func)


def _softmax(func: Any) -> Any:
    def call(values: torch.Tensor, dim: int, half_to_float: bool) -> torch.Tensor:
        return func(values.float() if half_to_float else values, dim, False)

    return call


def _softmax_backward(func: Any) -> Any:
    def call(gradient: torch.Tensor, output: torch.Tensor, dim: int, input_dtype: torch.dtype) -> torch.Tensor:
        return func(gradient, output, dim, gradient.dtype).to(input_dtype)

    return call


# On CUDA a softmax of half precision gives float32 in one kernel, where that is asked for
_OTHERWISE = {
    **{func: _softmax(func) for func in (aten._softmax.default, aten._log_softmax.default)},
    **{
        func: _softmax_backward(func)
        for func in (aten._softmax_backward_data.default, aten._log_softmax_backward_data.default)
    },
}
