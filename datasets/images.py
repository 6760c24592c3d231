"""Images in any directory tree and class names in a text file: what datasets of anyone's own images share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from PIL import Image

from caspl.errors import InputError

from .base import dataset_root
from .splits import is_folder


def data_paths(cfg: Any) -> list[str]:
    """DATASET.PATHS as absolute paths; they are relative to DATASET.ROOT, which also stands in where there are none.

    The key is not Dassl's own, `train.py` adds it; in a host that does not have it, the data are those of the root.
    """
    root = dataset_root(cfg)
    paths = [os.path.expanduser(path) for path in getattr(cfg.DATASET, "PATHS", ())]
    return [os.path.normpath(os.path.join(root, path)) for path in paths] or [root]


def names_path(cfg: Any) -> str:
    """DATASET.CLASSNAMES as an absolute path, relative to DATASET.ROOT; "" where it is not set."""
    path = os.path.expanduser(getattr(cfg.DATASET, "CLASSNAMES", ""))
    return os.path.normpath(os.path.join(dataset_root(cfg), path)) if path else ""


@cache
def image_suffixes() -> frozenset[str]:
    """The endings of file names, in lower case and with the dot, whose files Pillow can open."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN)


def is_image(name: str) -> bool:
    """Whether a file of that name would be an image."""
    return os.path.splitext(name)[1].lower() in image_suffixes()


def list_files(folder: str) -> list[str]:
    """The files below `folder`, in folders of any depth: paths relative to it with "/", sorted; hidden ones left out.

    Symbolic links are followed.

    Raises:
        InputError: a link leads back to a folder that contains it, or a folder cannot be read.
    """
    return sorted(_walk(folder, "", ()))


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    try:
        status = os.stat(folder)
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror}), expected images in it; correct the "
                         f"path or its permissions") from None
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise InputError(f"{folder} is a link to a folder that contains it, expected folders that end somewhere; remove "
                         f"the link")
    for entry in entries:
        if is_folder(entry):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", (*above, here))
        else:
            yield prefix + entry.name


def read_lines(path: str, what: str) -> list[str]:
    """The lines of a text file (UTF-8) that are not blank, without the spaces around them.

    Raises:
        InputError: it cannot be read, is not text, or is blank; the sentence calls the file `what`.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip(" \r\n") for line in file if line.strip()]
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); correct the path, which is relative to the "
                         f"root") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} {path} is not text in UTF-8; save it in this encoding") from None
    if not lines:
        raise InputError(f"{what} {path} is empty, expected one name per line; fill it")
    return lines


def read_names(path: str) -> list[str]:
    """The class names of a text file, one per line."""
    return read_lines(path, "the file of class names (DATASET.CLASSNAMES)")


def rename_classes(classes: list[str], path: str) -> list[str]:
    """The names that a text file gives to classes: one per line in their order, or lines of `class<TAB>name`.

    Raises:
        InputError: the file does not give each class one name.
    """
    lines = read_names(path)
    if "\t" not in lines[0]:
        if len(lines) != len(classes):
            raise InputError(f"{path} (DATASET.CLASSNAMES) holds {len(lines)} names, expected {len(classes)}, one for each "
                             f"class from {classes[0]!r} to {classes[-1]!r}; add or remove lines")
        return lines
    pairs = [tuple(part.strip() for part in line.split("\t", 1)) for line in lines]
    wrong = [line for line, pair in zip(lines, pairs, strict=True) if len(pair) < 2 or not all(pair)]
    if wrong:
        raise InputError(f"{path} (DATASET.CLASSNAMES) has the line {wrong[0]!r}, expected class, tab, name as in the "
                         f"first line; correct it")
    names = dict(pairs)
    missing = [name for name in classes if name not in names]
    if missing:
        raise InputError(f"{path} (DATASET.CLASSNAMES) has no line for the class {missing[0]!r}, expected one for each of "
                         f"the {len(classes)} classes; add it")
    return [names[name] for name in classes]
