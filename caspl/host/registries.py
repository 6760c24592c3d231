"""The host's registries: CasPL's names yield to the host's, and each trainer of the host gets a twin."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY

from .. import datasets, trainers  # noqa: F401, registration
from .changes import Changes
from .twins import Grafted, graftable, grafted_trainer


def open_to_the_host(changes: Changes) -> None:
    """Let the host register what it likes from now on, and make twins of its trainers, those of today and later ones."""
    yield_names(DATASET_REGISTRY, changes)
    yield_names(TRAINER_REGISTRY, changes, then=add_twin)
    changes.callback(remove_twins)
    for name in TRAINER_REGISTRY.registered_names():
        add_twin(TRAINER_REGISTRY.get(name))


def is_ours(registered: Any) -> bool:
    """Whether something registered is CasPL's, or a twin that CasPL has made of a host's."""
    return registered.__module__.startswith("caspl.") or is_twin(registered)


def is_twin(registered: Any) -> bool:
    return isinstance(registered, type) and issubclass(registered, Grafted)


def yield_names(registry: Any, changes: Changes, then: Callable[[type], None] = lambda registered: None) -> None:
    """Let a name that CasPL has taken in `registry` be registered by the host all the same, and call `then` with what is.

    Modules of the host that are imported later so find what they would find without CasPL.
    """
    register_into = registry.register

    @functools.wraps(register_into)
    def register(obj: type | None = None, force: bool = False) -> Any:
        if obj is None:
            return lambda decorated: register(decorated, force)
        name = obj.__name__
        register_into(obj, force=force or name in registry.registered_names() and is_ours(registry.get(name)))
        then(obj)
        return obj

    changes.attribute(registry, "register", register)


def add_twin(trainer: Any) -> None:
    """Register CasPL_<Name> for a trainer of the host, unless the name is taken or the trainer can't be grafted.

    A trainer that takes the place of another of its name gets a new twin.
    """
    if is_ours(trainer) or not graftable(trainer):
        return
    name = f"CasPL_{trainer.__name__}"
    if name not in TRAINER_REGISTRY.registered_names() or is_twin(TRAINER_REGISTRY.get(name)):
        TRAINER_REGISTRY.register(grafted_trainer(trainer), force=True)


def remove_twins() -> None:
    for name in TRAINER_REGISTRY.registered_names():
        if is_twin(TRAINER_REGISTRY.get(name)):
            del TRAINER_REGISTRY._obj_map[name]  # Dassl has no way of its own to take a name out
