"""Stored states of optimisers, schedules and random generators, compared with what they are to be loaded into."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from caspl.ground.errors import InputError, listed
from caspl.ground.tensors.values import shown, whole

COUNTERS = ("last_epoch", "_step_count")  # of schedules


def check_state(problems: Iterator[str], source: str, remedy: str) -> None:
    """Raise InputError, with the file `source` and up to three of `problems`, unless there are none."""
    if found := list(problems):
        raise InputError(f"{source}: {listed(found)}; {remedy}")


def optimizer_problems(state: Any, optimizer: Optimizer, place: str) -> Iterator[str]:
    """What is wrong with the state of an optimiser, a phrase each, as seen from the one that is to take it."""
    own = optimizer.state_dict()
    yield from misfits(state, own, place)
    values = state.get("state") if isinstance(state, dict) else None
    if not isinstance(values, dict):
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, entries in values.items():
        inside = f"{place}.state.{shown(index)}"
        if type(index) is not int or not 0 <= index < len(parameters) or not isinstance(entries, dict):
            yield f"{inside} belongs to none of the {len(parameters)} parameters"
            continue
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.dim():
                yield from misfits(value, parameters[index].detach(), f"{inside}.{shown(str(name))[1:-1]}")
            elif value is not None:
                yield from _not_finite(value, f"{inside}.{shown(str(name))[1:-1]}")


def scheduler_problems(state: Any, scheduler: Any, place: str, longest: int) -> Iterator[str]:
    """The same of a schedule, which counts epochs from 0 and at most to `longest`."""
    yield from misfits(state, scheduler.state_dict(), place)
    for node in (state, state.get("successor")) if isinstance(state, dict) else ():
        for name in COUNTERS if isinstance(node, dict) else ():
            if not whole(count := node.get(name, 0), 0, longest):
                yield f"{place}.{name} is {shown(count)}, expected 0 to {longest}"


def misfits(found: Any, expected: Any, place: str) -> Iterator[str]:
    """Where a value differs in kind from one that is known to be right: type, names, length, shape, numbers that are finite.

    What one version of PyTorch writes and another does not, switches and private names, may be missing; what is more is
    left to whoever loads it.
    """
    if isinstance(expected, Tensor):
        if not isinstance(found, Tensor) or found.shape != expected.shape or found.dtype != expected.dtype:
            yield f"{place} is {shown(found)}, expected {shown(expected)}"
        else:
            yield from _not_finite(found, place)
    elif isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            yield f"{place} is {shown(found)}, expected a dictionary"
            return
        for name, value in expected.items():
            if name in found:
                yield from misfits(found[name], value, f"{place}.{name}")
            elif not (value is None or isinstance(value, bool) or str(name).startswith("_")):
                yield f"{place}.{name} is missing"
    elif isinstance(expected, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(found) != len(expected):
            yield f"{place} is {shown(found)}, expected a list of {len(expected)}"
            return
        for number, (value, right) in enumerate(zip(found, expected, strict=True)):
            yield from misfits(value, right, f"{place}[{number}]")
    elif isinstance(expected, (int, float)) and not isinstance(expected, bool):
        yield from _not_finite(found, place)
    elif expected is not None and type(found) is not type(expected):
        yield f"{place} is {shown(found)}, expected {shown(expected)}"


def _not_finite(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Tensor):
        if not value.isfinite().all():
            yield f"{place} has numbers that are not finite"
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        yield f"{place} is {shown(value)}, expected a finite number"
