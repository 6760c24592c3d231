"""The prompt learners. Importing this package registers them in the importable Dassl's TRAINER_REGISTRY."""

from yacs.config import CfgNode

from . import caspl, caspl_boost, coop, zsclip  # registration


def extend_cfg(cfg: CfgNode) -> None:
    """Add the keys of every method here, and those that the family's datasets read."""
    for method in (coop, zsclip, caspl_boost):
        method.extend_cfg(cfg)
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"  # all, base or new: which half of the classes to train and test on


__all__ = ["caspl", "caspl_boost", "coop", "extend_cfg", "zsclip"]
