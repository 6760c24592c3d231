"""Registering into whatever Dassl is importable, without pushing anything of the host's aside."""

from __future__ import annotations

from dassl.engine import TRAINER_REGISTRY


def register(trainer: type) -> type:
    """Class decorator: enter `trainer` in Dassl's registry, unless the host has a trainer of that name already."""
    if trainer.__name__ not in TRAINER_REGISTRY.registered_names():
        TRAINER_REGISTRY.register(trainer)
    return trainer
