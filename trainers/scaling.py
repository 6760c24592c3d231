"""A step under a loss scaler that nobody waits for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer


@torch.no_grad()
def scaled_step(scaler: torch.amp.GradScaler, optimizer: Optimizer) -> None:
    """`scaler.step(optimizer)`, to the bit, but that on CUDA nobody waits to know whether the gradients are finite.

    The step is made there, and where they are not, what it has changed is put back. Waited for are the first steps, until
    there is a state that can be put back, and those of optimisers that count their steps on the CPU, such as Adam.
    """
    changed = _changed_by(optimizer)
    if not changed:
        scaler.step(optimizer)
        return
    scaler.unscale_(optimizer)
    (overflow,) = scaler._found_inf_per_device(optimizer).values()
    before = [value.clone() for value in changed]
    optimizer.step()
    for value, old in zip(changed, before, strict=True):
        value.copy_(torch.where(overflow > 0, old, value))


def _changed_by(optimizer: Optimizer) -> Sequence[Tensor]:
    """All that a step writes into, if it lies on one CUDA device and will do so again; else nothing."""
    changed: list[Tensor] = []
    for parameter in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
        state = [value for value in optimizer.state.get(parameter, {}).values() if value is not None]
        if not state or not all(isinstance(value, Tensor) for value in state):
            return ()
        changed += [parameter, *state]
    on_one = len({value.device for value in changed}) == 1 and all(value.is_cuda for value in changed)
    return changed if on_one else ()
