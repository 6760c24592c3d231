"""The prompt learners under test: those that the registry has, so that a new one is tested without being listed."""

import pytest
from dassl.engine import TRAINER_REGISTRY

import caspl.trainers  # noqa: F401, registers them
from caspl.trainers.caspl import Cascaded


def _twins():
    """Names of our trainers that stand behind boosting prompts."""
    for name in TRAINER_REGISTRY.registered_names():
        trainer = TRAINER_REGISTRY.get(name)
        if issubclass(trainer, Cascaded) and trainer.__module__.startswith("caspl.trainers."):
            yield name


CASCADED = tuple(_twins())  # ("CasPL_CoOp", ...)
METHODS = tuple(name.removeprefix("CasPL_") for name in CASCADED)  # ("CoOp", ...)
PROMPT_LEARNERS = (*METHODS, *CASCADED)


def tiers(names, *quick):
    """All `names` as parameters of a test; those that are not among the `quick` are left for the whole suite."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def keys_of(name, precision, boosting=None):
    """The keys that give any trainer of ours a precision, and those that stand behind boosting prompts theirs."""
    own = next(key.name for key in TRAINER_REGISTRY.get(name).own_keys if key.name.endswith(".PREC"))
    return (own, precision, *(("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()))
