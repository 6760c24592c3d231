"""A CUDA or Apple GPU that is not there: what a device would refuse is refused, and every number is computed on the CPU.

    with on_fake("cuda") as device:
        trainer = build(...)          # choose_device, resolve_precision, GradScaler ... take the way that they take on a GPU
        trainer.train()
    assert not device.waits           # where the program has waited for the device, and why

Each operation is done twice: by PyTorch's fake tensors on the device (FakeTensorMode), which say where the result lies and what
format it has, and raise where a tensor is left on the CPU or formats don't go together; and by the CPU's kernels, in the same
formats, whose numbers make `.item()`, files and whole runs possible. Operations without a kernel for the device are refused
(kernels.py), on mps float64, too. Backward passes go node by node (engine.py), since PyTorch's own engine asks for a driver.
A copy into pinned memory that is not waited for arrives when somebody waits; until then NaN, or -1, is read there.

What it can't see: what a kernel of the device computes, its memory, its speed, streams (there is one), several devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .machine import having
from .tensors import Device, Pretended, Wait

__all__ = ["Device", "Pretended", "Wait", "on_fake"]


@contextmanager
def on_fake(name: str, *, bf16: bool = True) -> Iterator[Device]:
    """Inside there is a device, "cuda" or "mps"; `bf16`: whether it knows bfloat16."""
    device = Device(name)
    with having(device, bf16=bf16):
        yield device
