"""Configuration: default values, and merging of YAML files and command-line options with readable errors."""

from __future__ import annotations

from yacs.config import CfgNode

from .defaults import _C as cfg_default
from .merge import merge_file, merge_options

__all__ = ["cfg_default", "clean_cfg", "get_cfg_default", "merge_file", "merge_options"]


def get_cfg_default() -> CfgNode:
    """Return a fresh copy of the default configuration; changing it leaves the defaults as they are."""
    return cfg_default.clone()


def clean_cfg(cfg: CfgNode, trainer: str) -> None:
    """Drop the nodes of all other trainers from `cfg.TRAINER`, so that a printed configuration shows what is used.

    As Dassl 0.6.3: the node kept is the one named like the trainer in upper case.
    """
    for key in list(cfg.TRAINER):
        if key not in ("NAME", trainer.upper()):
            cfg.TRAINER.pop(key, None)
