"""The host's default configuration: CasPL's keys join it, and CasPL's configuration files can be merged into it."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from types import MethodType

from dassl.config.defaults import _C as defaults
from yacs.config import CfgNode

from .. import configs, datasets, trainers
from ..ground.errors import InputError
from ..ground.texts import shown
from ..ground.yaml_files import names_bases, read_yaml
from .changes import Changes

log = logging.getLogger(__name__)


def complete_defaults(changes: Changes) -> None:
    """Add CasPL's keys to Dassl's defaults, and let files and lists be merged into them with those keys.

    Raises:
        InputError: the host has a value where CasPL has keys.
    """
    changes.callback(_restore, copy.deepcopy(dict(defaults)))
    extend_cfg(defaults)
    for merge in (merge_from_file, merge_from_list):
        # Attributes of this one object, which its clones take along; other configurations in the process are left alone.
        changes.attribute(defaults, merge.__name__, MethodType(merge, defaults))


def _restore(before: dict) -> None:
    defaults.clear()
    defaults.update(before)


def extend_cfg(cfg: CfgNode) -> None:
    """Add CasPL's keys, with their defaults, where `cfg` does not have them."""
    trainers.extend_cfg(cfg)
    datasets.extend_cfg(cfg)


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
    """yacs's, with all of CasPL's keys known. Raises InputError for a key that this Dassl does not have."""
    extend_cfg(cfg)
    try:
        CfgNode.merge_from_list(cfg, cfg_list)
    except (AssertionError, KeyError) as error:
        _, found, key = str(error).strip("'\"").partition("Non-existent key: ")
        if not found:
            raise
        raise InputError(
            f"the Dassl of this checkout has no key {shown(key)}; correct it, or leave it out: keys of CasPL's own Dassl, "
            f"such as LOGGER, hold in `caspl train` only"
        ) from None
