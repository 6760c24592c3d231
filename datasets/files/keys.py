"""The section DATASET of a configuration: the keys that Dassl does not have, and what all of its keys lead to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from yacs.config import CfgNode

from caspl.ground.errors import InputError
from caspl.ground.keys import Key, add_keys
from caspl.ground.names.matching import NamesFile

SUBSETS = ("all", "base", "new")
OWN_IMAGES = ("DATASET.NAME", ("ImageFolder", "UnlabeledImages"))
COLUMNS = ("path", "label", "classname", "split")  # what columns of a table say


def _are_columns(entries: Sequence[str]) -> bool:
    """Whether each text is one of COLUMNS, "=" and the header of a column."""
    roles = [entry.partition("=")[0].strip() for entry in entries if "=" in entry]
    return len(roles) == len(entries) == len(set(roles)) and set(roles) <= set(COLUMNS)


KEYS = [
    Key(
        "DATASET.SUBSAMPLE_CLASSES",
        "all",
        "Which half of the classes to train and test on; base is the first, rounded up",
        choices=SUBSETS,
    ),
    Key(
        "DATASET.MEMBERS",
        (),
        'Names of the datasets that NAME "Union" joins',
        items=str,
        read_with=("DATASET.NAME", ("Union",)),
    ),
    Key(
        "DATASET.PATHS",
        (),
        'Images of "ImageFolder" (one path) and "UnlabeledImages", relative to ROOT; none: ROOT itself',
        items=str,
        read_with=OWN_IMAGES,
    ),
    Key(
        "DATASET.CLASSNAMES",
        "",
        "File of class names for these two, one per line or beside folders, numbers or WordNet ids, relative to ROOT",
        read_with=OWN_IMAGES,
    ),
    Key(
        "DATASET.COLUMNS",
        (),
        'What columns of a table of "ImageFolder" say, such as "classname=Dog breed"; what is clear needs none',
        items=str,
        check=_are_columns,
        rule="path=, label=, classname= or split= and the header of a column, each once",
        read_with=("DATASET.NAME", ("ImageFolder",)),
    ),
]


def extend_cfg(cfg: CfgNode) -> None:
    """Add the keys, with their defaults, where `cfg` does not have them."""
    add_keys(cfg, KEYS)


def setting(cfg: Any, name: str) -> Any:
    """The value of one of the keys, such as "PATHS"; its default in a host's configuration that does not have it."""
    (default,) = (key.default for key in KEYS if key.name == f"DATASET.{name}")
    return getattr(cfg.DATASET, name, default)


def class_subset(cfg: Any) -> str:
    """DATASET.SUBSAMPLE_CLASSES: "all", "base" or "new"."""
    return setting(cfg, "SUBSAMPLE_CLASSES")


def dataset_root(cfg: Any) -> str:
    """DATASET.ROOT as an absolute path, with ~ expanded.

    Raises:
        InputError: it is not set.
    """
    if not cfg.DATASET.ROOT:
        raise InputError("DATASET.ROOT is empty, expected the folder that holds the datasets; pass --root DATA")
    return os.path.abspath(os.path.expanduser(cfg.DATASET.ROOT))


def data_paths(cfg: Any) -> list[str]:
    """DATASET.PATHS as absolute paths; they are relative to DATASET.ROOT, which also stands in where there are none."""
    root = dataset_root(cfg)
    paths = [os.path.expanduser(path) for path in setting(cfg, "PATHS")]
    return [os.path.normpath(os.path.join(root, path)) for path in paths] or [root]


def names_file(cfg: Any) -> NamesFile | None:
    """The file that DATASET.CLASSNAMES names, relative to DATASET.ROOT or, where that is a table, its folder; None: not set.

    Raises:
        InputError: it cannot be read, or has a line that is no name.
    """
    path = os.path.expanduser(setting(cfg, "CLASSNAMES"))
    if not path:
        return None
    root = dataset_root(cfg)
    path = os.path.normpath(os.path.join(os.path.dirname(root) if os.path.isfile(root) else root, path))
    return NamesFile(path, "the file of class names (DATASET.CLASSNAMES)", ", which is relative to the root")
