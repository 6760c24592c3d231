"""Paths from the configuration and class names from text files: what datasets of anyone's own images share."""

from __future__ import annotations

import os
from typing import Any

from caspl.ground.errors import InputError
from caspl.ground.files import read_lines

from .keys import setting
from .places import dataset_root


def data_paths(cfg: Any) -> list[str]:
    """DATASET.PATHS as absolute paths; they are relative to DATASET.ROOT, which also stands in where there are none."""
    root = dataset_root(cfg)
    paths = [os.path.expanduser(path) for path in setting(cfg, "PATHS")]
    return [os.path.normpath(os.path.join(root, path)) for path in paths] or [root]


def names_path(cfg: Any) -> str:
    """DATASET.CLASSNAMES as an absolute path, relative to DATASET.ROOT; "" where it is not set."""
    path = os.path.expanduser(setting(cfg, "CLASSNAMES"))
    return os.path.normpath(os.path.join(dataset_root(cfg), path)) if path else ""


def read_class_names(path: str) -> list[str]:
    """The class names of a text file, one per line."""
    return read_lines(path, "the file of class names (DATASET.CLASSNAMES)", ", which is relative to the root")


def rename_classes(classes: list[str], path: str) -> list[str]:
    """The names that a text file gives to classes: one per line in their order, or lines of `class<TAB>name`.

    Raises:
        InputError: the file does not give each class one name.
    """
    lines = read_class_names(path)
    if "\t" not in lines[0]:
        if len(lines) != len(classes):
            raise InputError(
                f"{path} (DATASET.CLASSNAMES) holds {len(lines)} names, expected {len(classes)}, one for each "
                f"class from {classes[0]!r} to {classes[-1]!r}; add or remove lines"
            )
        return lines
    pairs = [tuple(part.strip() for part in line.split("\t", 1)) for line in lines]
    wrong = [line for line, pair in zip(lines, pairs, strict=True) if len(pair) < 2 or not all(pair)]
    if wrong:
        raise InputError(
            f"{path} (DATASET.CLASSNAMES) has the line {wrong[0]!r}, expected class, tab, name as in the "
            f"first line; correct it"
        )
    names = dict(pairs)
    missing = [name for name in classes if name not in names]
    if missing:
        raise InputError(
            f"{path} (DATASET.CLASSNAMES) has no line for the class {missing[0]!r}, expected one for each of "
            f"the {len(classes)} classes; add it"
        )
    return [names[name] for name in classes]
