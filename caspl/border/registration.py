"""Entering classes of ours in somebody's registries, each under one module name."""

from __future__ import annotations

import os
import sys
from typing import Any

from ..ground.errors import InputError


def enter(registry: Any, own: type) -> None:
    """Register `own` in a registry of Dassl, unless the host has something of that name, which stays.

    Raises:
        InputError: what has the name is `own` itself, from the same file imported under another module name.
    """
    if own.__name__ not in registry.registered_names():
        registry.register(own)
        return
    there = registry.get(own.__name__).__module__
    if there != own.__module__ and _same_file(there, own.__module__):
        whole = max(there, own.__module__, key=len)  # caspl.trainers.coop, not trainers.coop
        raise InputError(
            f"{sys.modules[own.__module__].__file__} is imported as both {there} and {own.__module__}, expected one name for "
            f"each module; import it as {whole} everywhere"
        )


def _same_file(*modules: str) -> bool:
    files = [getattr(sys.modules.get(module), "__file__", None) for module in modules]
    return None not in files and len({os.path.realpath(file) for file in files}) == 1
