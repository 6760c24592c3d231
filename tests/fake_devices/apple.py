"""What PyTorch's libraries ask about Apple's GPUs, answered where they are built without them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

GUARDS = "_ZN3c104impl26device_guard_impl_registryE"  # c10::impl::device_guard_impl_registry: a pointer for each kind of device
MPS, META = 13, 14  # c10::DeviceType

# PyTorch's engine counts the devices at its first backward pass. It has to find none: with threads for one, no process forked
# from this one could ever compute a gradient.
torch.ones((), requires_grad=True).backward()


class Named(TorchFunctionMode):
    """Calls of Python with the device by its number, since "mps" alone is looked up where nobody knows it."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return func(*map(_numbered, args), **{key: _numbered(value) for key, value in (kwargs or {}).items()})


def _numbered(value: Any) -> Any:
    if isinstance(value, (str, torch.device)) and str(value) == "mps":
        return torch.device("mps", 0)
    return value


def attention(*args: Any, **kwargs: Any) -> Any:
    """scaled_dot_product_attention without the choice among kernels, which a library makes that is not there."""
    return torch.ops.aten._scaled_dot_product_attention_math(*args, **kwargs)[0]


@contextmanager
def guarded() -> Iterator[None]:
    """Inside, PyTorch's guard of the device without memory stands for that of mps: each asks nothing of anybody.

    Raises NotImplementedError where this build of PyTorch keeps its guards elsewhere.
    """
    library = Path(torch.__file__).parent / "lib" / "libc10.so"
    try:
        guards = (ctypes.c_void_p * (META + 1)).in_dll(ctypes.CDLL(str(library)), GUARDS)
    except (OSError, ValueError) as error:
        raise NotImplementedError(f"mps can't be pretended with this build of PyTorch ({error})") from None
    before = guards[MPS]
    guards[MPS] = guards[META]
    try:
        with Named(), mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", attention):
            yield
    finally:
        guards[MPS] = before
