"""The keys of all methods, in configurations that may be a host's: what stands there holds, what is missing is ours."""

from __future__ import annotations

import copy

from yacs.config import CfgNode

from caspl.ground.errors import InputError


def own_keys() -> CfgNode:
    """Every key that `caspl.trainers.extend_cfg` adds, and no other."""
    from . import extend_cfg  # whose modules import this one

    keys = CfgNode({"TRAINER": {}, "DATASET": {}, "TEST": {}})
    extend_cfg(keys)
    return keys


def add_missing(cfg: CfgNode, keys: CfgNode) -> None:
    """Add to `cfg` those of `keys` that it lacks, at any depth. Raises InputError where a node of ours is a value there."""
    for name, value in keys.items():
        if name not in cfg:
            cfg[name] = copy.deepcopy(value)
        elif isinstance(value, CfgNode):
            if not isinstance(cfg[name], CfgNode):
                raise InputError(
                    f"the host's configuration has {name} = {cfg[name]!r}, where CasPL has a node with {', '.join(value)}; "
                    f"give that key of the host another name"
                )
            add_missing(cfg[name], value)


def completed(cfg: CfgNode) -> CfgNode:
    """A copy of `cfg` with our defaults for the keys that it lacks: a host's own TRAINER.COOP may have no W.

    Raises InputError where nodes are missing: somebody has dropped them, and with them what the user had set there.
    """
    keys = own_keys()
    dropped = [f"TRAINER.{name}" for name in keys.TRAINER if name not in cfg.TRAINER]
    if dropped:
        raise InputError(
            f"the configuration has no {', '.join(dropped)}; import caspl.plugin before get_cfg_default() is called, and "
            f"leave out Dassl's clean_cfg, which drops the nodes that are not named like the trainer"
        )
    cfg = cfg.clone()
    add_missing(cfg, keys)
    return cfg
