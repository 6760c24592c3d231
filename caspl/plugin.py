"""CasPL in another checkout of the CoOp family. The one line that its train.py needs:

    import caspl.plugin

Trainers and datasets register into the Dassl that is importable there, and their keys join its default configuration. What
the host has stays the host's: a trainer or dataset whose name it registers, before or after, and every key that it sets.
Each trainer of the host that `caspl.twins` can put behind boosting prompts gets a twin, CasPL_<Name>. A configuration file
configs/... that the host lacks is read from `caspl.configs`. docs/PLUGIN.md shows hosts.

Importing raises caspl.host.HostError where there is no Dassl, or none that works with the installed PyTorch.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

from yacs.config import CfgNode

from .host import check_host

check_host()

from dassl.config.defaults import _C as defaults
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY

from . import configs, datasets, trainers  # noqa: F401, registration
from .trainers.keys import add_missing, own_keys
from .twins import Grafted, graftable, grafted_trainer

log = logging.getLogger(__name__)


# ---------------------------------------------------------------------------------------------------------------------
# Registries
# ---------------------------------------------------------------------------------------------------------------------
def is_ours(registered: Any) -> bool:
    """Whether a registered class is CasPL's, or a twin that CasPL has made of a host's."""
    return registered.__module__.startswith(f"{__package__}.") or issubclass(registered, Grafted)


def give_way(registry: Any, then: Callable[[type], None] = lambda registered: None) -> None:
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

    registry.register = register


def add_twin(trainer: type) -> None:
    """Register CasPL_<Name> for a trainer of the host, unless the name is taken or the trainer can't be grafted."""
    taken = TRAINER_REGISTRY.registered_names()
    if not is_ours(trainer) and f"CasPL_{trainer.__name__}" not in taken and graftable(trainer):
        TRAINER_REGISTRY.register(grafted_trainer(trainer))


give_way(DATASET_REGISTRY)
give_way(TRAINER_REGISTRY, then=add_twin)
for _name in TRAINER_REGISTRY.registered_names():
    add_twin(TRAINER_REGISTRY.get(_name))


# ---------------------------------------------------------------------------------------------------------------------
# Configuration
# ---------------------------------------------------------------------------------------------------------------------
def extend_cfg(cfg: CfgNode) -> None:
    """Add CasPL's keys, with their defaults, where `cfg` does not have them."""
    add_missing(cfg, own_keys())


def merge_from_file(cfg: CfgNode, path: str) -> None:
    """yacs's, with the package's file where the host has none of the name."""
    extend_cfg(cfg)  # the host's own extend_cfg has put nodes in place of ours
    found = configs.find(path)
    if str(found) != str(path):
        log.info("%s is not here, CasPL's own is read (%s)", path, found)
    CfgNode.merge_from_file(cfg, str(found))


def merge_from_list(cfg: CfgNode, pairs: list) -> None:
    """yacs's, with all of CasPL's keys known."""
    extend_cfg(cfg)
    CfgNode.merge_from_list(cfg, pairs)


extend_cfg(defaults)
for _merge in (merge_from_file, merge_from_list):
    # Attributes of this one object, which its clones take along; other configurations in the process are left alone.
    defaults.__dict__[_merge.__name__] = MethodType(_merge, defaults)


# ---------------------------------------------------------------------------------------------------------------------
# Messages
# ---------------------------------------------------------------------------------------------------------------------
class HostHandler(logging.Handler):
    """Passes what CasPL logs on to where the host's messages go, and so into its log.txt.

    Dassl 0.6.3 prints, and puts something that also writes to the file in the place of sys.stdout. Others may log.
    """

    def emit(self, record: logging.LogRecord) -> None:
        root = logging.getLogger()
        if any(getattr(handler, "stream", None) is sys.stdout for handler in root.handlers):
            root.handle(record)
        else:
            print(self.format(record))


_logger = logging.getLogger(__package__)
_logger.addHandler(HostHandler())
_logger.setLevel(logging.INFO)
_logger.propagate = False
logging.disable(logging.NOTSET)  # Dassl 0.6.3 switches all logging off when it imports WILDS, our warnings with it
