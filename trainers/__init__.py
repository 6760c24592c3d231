"""The prompt learners. Importing this package registers them in the importable Dassl's TRAINER_REGISTRY."""

from yacs.config import CfgNode

from caspl import own_dassl

if not own_dassl.importable():
    own_dassl.provide()

from . import caspl, caspl_boost, cocoop, coop, ivlp, kgcoop, linear_probe, maple, prograd, promptsrc, zsclip

METHODS = (zsclip, linear_probe, coop, cocoop, ivlp, maple, promptsrc, kgcoop, prograd, caspl_boost)


def extend_cfg(cfg: CfgNode) -> None:
    """Add the keys of every method here, and those that the family's datasets read."""
    for method in METHODS:
        method.extend_cfg(cfg)
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"  # all, base or new: which half of the classes to train and test on
    cfg.TEST.FEATURE_STORE = ""  # folder where image features of test sets are kept and found again; empty: nowhere
    cfg.DATASET.MEMBERS = ()  # names of the datasets that NAME "Union" joins
    cfg.DATASET.PATHS = ()  # of "ImageFolder" (one) and "UnlabeledImages", relative to ROOT; none: ROOT itself
    cfg.DATASET.CLASSNAMES = ""  # text file with class names for these two, one per line, relative to ROOT


__all__ = ["METHODS", "caspl", "extend_cfg"]
