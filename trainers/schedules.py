"""Schedules that go on after a host has resumed."""

from __future__ import annotations

from typing import Any


def reconnect(trainer: Any) -> None:
    """After a host has resumed: let the schedule behind the warm-up drive the trainer's own optimizer again.

    Dassl 0.6.3 restores it from the pickle with an optimizer of its own, and the learning rate stays where it was.
    """
    for name, schedule in trainer._scheds.items():
        successor = getattr(schedule, "successor", None)
        if hasattr(successor, "optimizer"):
            successor.optimizer = trainer._optims[name]
