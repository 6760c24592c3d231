"""Times of several paths that take turns, so that a machine whose speed varies slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch


def timed(step: Callable[[], object], device: str = "cpu", *, clock: Callable[[], float] = time.perf_counter):
    """A function that calls `step` and gives the seconds that it took, the device's work included."""

    def run() -> float:
        synchronise(device)
        begin = clock()
        step()
        synchronise(device)
        return clock() - begin

    return run


def alternating(paths: Mapping[str, Callable[[], float]], repeats: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """What each path gives in `repeats` rounds, behind rounds that are not counted.

    Paths give their own seconds (`timed`, or a side of bench/frame/sides.py). Each goes first as often as any other.
    """
    names, times = list(paths), {name: [] for name in paths}
    for number in range(warm_up + repeats):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent = paths[name]()
            if number >= warm_up:
                times[name].append(spent)
    return times


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
