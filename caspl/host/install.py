"""CasPL in another checkout of the CoOp family. The one line that its train.py needs:

    import caspl.plugin

Trainers and datasets register into the Dassl that is importable there, and their keys join its default configuration. What
the host has stays the host's: a trainer or dataset whose name it registers, before or after, and every key that it sets.
Each trainer of the host that `caspl.host.twins` can put behind boosting prompts gets a twin, CasPL_<Name>. A configuration file
configs/... that the host lacks is read from `caspl.configs`. docs/PLUGIN.md shows hosts.

Importing raises caspl.host.check.HostError where there is no Dassl, or none that works with the installed PyTorch.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any

from yacs.config import CfgNode

from ..ground import door
from ..ground.errors import InputError
from ..ground.yaml_files import names_bases, read_yaml
from .check import check_host


def tell(kind: type[BaseException], error: BaseException, trace: Any, *, others: Callable = sys.excepthook) -> None:
    """A mistake of the user ends in its sentence, without the trace; all else as before."""
    if issubclass(kind, InputError):
        print(f"error: {door.told(error)[1]}", file=sys.stderr)
    else:
        others(kind, error, trace)


if getattr(sys.excepthook, "__name__", "") != tell.__name__:
    sys.excepthook = tell
check_host()

from dassl.config.defaults import _C as defaults
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY

from .. import configs, datasets, trainers  # noqa: F401, registration
from ..trainers.keys import add_missing, own_keys
from .twins import Grafted, graftable, grafted_trainer

log = logging.getLogger(__name__)


# ---------------------------------------------------------------------------------------------------------------------
# Registries
# ---------------------------------------------------------------------------------------------------------------------
def is_ours(registered: Any) -> bool:
    """Whether something registered is CasPL's, or a twin that CasPL has made of a host's."""
    return registered.__module__.startswith("caspl.") or is_twin(registered)


def is_twin(registered: Any) -> bool:
    return isinstance(registered, type) and issubclass(registered, Grafted)


def give_way(registry: Any, then: Callable[[type], None] = lambda registered: None) -> None:
    """Let a name that CasPL has taken in `registry` be registered by the host all the same, and call `then` with what is.

    Modules of the host that are imported later so find what they would find without CasPL.
    """
    register_into = registry.register
    if getattr(register_into, "gives_way", False):  # this module is loaded anew
        return

    @functools.wraps(register_into)
    def register(obj: type | None = None, force: bool = False) -> Any:
        if obj is None:
            return lambda decorated: register(decorated, force)
        name = obj.__name__
        register_into(obj, force=force or name in registry.registered_names() and is_ours(registry.get(name)))
        then(obj)
        return obj

    register.gives_way = True
    registry.register = register


def add_twin(trainer: Any) -> None:
    """Register CasPL_<Name> for a trainer of the host, unless the name is taken or the trainer can't be grafted.

    A trainer that takes the place of another of its name gets a new twin.
    """
    if is_ours(trainer) or not graftable(trainer):
        return
    name = f"CasPL_{trainer.__name__}"
    if name not in TRAINER_REGISTRY.registered_names() or is_twin(TRAINER_REGISTRY.get(name)):
        TRAINER_REGISTRY.register(grafted_trainer(trainer), force=True)


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


def merge_from_file(cfg: CfgNode, cfg_filename: str) -> None:
    """yacs's, with the package's file where the host has none of the name, and with `_BASE_`.

    Raises InputError where neither has the file, and as `read_yaml`. A host's file without `_BASE_` is left to yacs.
    """
    extend_cfg(cfg)  # the host's own extend_cfg may have put nodes in the place of ours
    found = configs.find_file(cfg_filename)
    if found != Path(cfg_filename):
        log.info("%s is not here, CasPL's own is read (%s)", cfg_filename, found)
    if names_bases(found):
        CfgNode.merge_from_other_cfg(cfg, CfgNode(read_yaml(found, configs.find_base)))
    else:
        CfgNode.merge_from_file(cfg, str(found))


def merge_from_list(cfg: CfgNode, cfg_list: list) -> None:
    """yacs's, with all of CasPL's keys known."""
    extend_cfg(cfg)
    CfgNode.merge_from_list(cfg, cfg_list)


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


_logger = logging.getLogger("caspl")
_logger.handlers = [HostHandler()]
_logger.setLevel(logging.INFO)
_logger.propagate = False
logging.disable(logging.NOTSET)  # Dassl 0.6.3 switches all logging off when it imports WILDS, our warnings with it
