"""The images of a run by names that are the same wherever the dataset lies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from caspl.results.records import Part, sha256_of_images

PARTS = ("train_x", "val", "test")


def base_of(paths: Sequence[str], folders: Sequence[Any]) -> str:
    """The folder, with a slash behind it, that names are relative to: the first of `folders` with all paths in it.

    Where none is, the folder that all of them share. What is no absolute path among `folders` is passed over.
    """
    shared = os.path.commonprefix([min(paths), max(paths)])  # whatever lies between the two shares it, too
    for folder in folders:
        if isinstance(folder, str) and os.path.isabs(folder):
            base = os.path.join(os.path.normpath(folder), "")
            if shared.startswith(base):
                return base
    return shared[: shared.rfind(os.sep) + 1]


class Images:
    """The images of a dataset: `names` and checksums. Streams have none.

    Args:
        dataset: a dataset of Dassl's, ours or a host's.
        root: DATASET.ROOT.
    """

    def __init__(self, dataset: Any, root: str) -> None:
        self.lists = {part: _items(getattr(dataset, part, None)) for part in PARTS}
        paths = [item.impath for items in self.lists.values() for item in items or ()]
        folders = [getattr(dataset, "image_dir", ""), getattr(dataset, "dataset_dir", ""), os.path.abspath(root or ".")]
        self.base = base_of(paths, folders) if paths else ""
        self.lengths = {part: _length(getattr(dataset, part, None)) for part in PARTS}

    def names(self, items: Sequence[Any]) -> list[str]:
        """Paths of items in the dataset, with slashes."""
        return [item.impath.removeprefix(self.base).replace(os.sep, "/") for item in items]

    def parts(self) -> dict[str, Part]:
        """Training, validation and test images by PARTS."""
        known: dict[int, Part] = {}  # ImageNet's test images are its validation images, too
        found = {}
        for part, items in self.lists.items():
            if items is None or not items:
                found[part] = Part(self.lengths[part], "")
                continue
            if id(items) not in known:
                known[id(items)] = Part(len(items), self._checksum(items))
            found[part] = known[id(items)]
        return found

    def val_is_tested(self) -> bool:
        """Whether a validation image is a test image, too, as all of ImageNet's are."""
        val, test = self.lists["val"], self.lists["test"]
        return val is not None and not {item.impath for item in val}.isdisjoint(item.impath for item in test or ())

    def _checksum(self, items: Sequence[Any]) -> str:
        return sha256_of_images(self.names(items), (item.label for item in items))


def _items(source: Any) -> list[Any] | None:
    """The items of a list of a dataset; None for a stream, which would have to be read."""
    return source if isinstance(source, list) and all(hasattr(item, "impath") for item in source[:1]) else None


def _length(source: Any) -> int:
    return len(source) if hasattr(source, "__len__") else 0
