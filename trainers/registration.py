"""Registering into whatever Dassl is importable, without pushing anything of the host's aside."""

from __future__ import annotations

from dassl.engine import TRAINER_REGISTRY

from caspl.border.registration import enter


def register(trainer: type) -> type:
    """Class decorator: enter `trainer` in Dassl's registry, unless the host has a trainer of that name already."""
    enter(TRAINER_REGISTRY, trainer)
    return trainer
