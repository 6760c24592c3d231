"""The keys of the section DATASET that datasets here read and Dassl does not have."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from caspl.ground.keys import Key, add_keys

SUBSETS = ("all", "base", "new")
KEYS = [
    Key(
        "DATASET.SUBSAMPLE_CLASSES",
        "all",
        "Which half of the classes to train and test on; base is the first, rounded up",
        choices=SUBSETS,
    ),
    Key("DATASET.MEMBERS", (), 'Names of the datasets that NAME "Union" joins', items=str),
    Key(
        "DATASET.PATHS",
        (),
        'Images of "ImageFolder" (one path) and "UnlabeledImages", relative to ROOT; none: ROOT itself',
        items=str,
    ),
    Key("DATASET.CLASSNAMES", "", "Text file with class names for these two, one per line, relative to ROOT"),
]


def extend_cfg(cfg: CfgNode) -> None:
    """Add the keys, with their defaults, where `cfg` does not have them."""
    add_keys(cfg, KEYS)


def setting(cfg: Any, name: str) -> Any:
    """The value of one of the keys, such as "PATHS"; its default in a host's configuration that does not have it."""
    (default,) = (key.default for key in KEYS if key.name == f"DATASET.{name}")
    return getattr(cfg.DATASET, name, default)
