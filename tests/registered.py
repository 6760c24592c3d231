"""The prompt learners under test: those that the registry has, so that a new one is tested without being listed."""

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
