"""Schedules that go on after a run has been resumed from model files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dassl.optim import build_lr_scheduler
from torch.optim import Optimizer
from yacs.config import CfgNode

from caspl.ground.quiet import quiet


def reconnect(trainer: Any) -> None:
    """After a host has resumed: let the schedule behind the warm-up drive the trainer's own optimizer again.

    Dassl 0.6.3 restores it from the pickle with an optimizer of its own, and the learning rate stays where it was.
    """
    for name, schedule in trainer._scheds.items():
        successor = getattr(schedule, "successor", None)
        if hasattr(successor, "optimizer"):
            successor.optimizer = trainer._optims[name]


def renewed_schedule(optimizer: Optimizer, rates: Sequence[float], optim_cfg: CfgNode, epoch: int) -> Any:
    """A new schedule of `optimizer`, whose groups get these initial `rates`, as it stands after `epoch` epochs."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = group["initial_lr"] = rate
    schedule = build_lr_scheduler(optimizer, optim_cfg)
    with quiet():  # it warns that no step was made
        for _ in range(epoch):
            schedule.step()
    return schedule
