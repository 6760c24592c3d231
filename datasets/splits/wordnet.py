"""What ImageNet and its variants share: class names by WordNet id (wnid), and images in one folder per class."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from caspl.ground.errors import InputError
from caspl.ground.images import folders_in
from caspl.ground.texts import odd_name

from ..files.keys import class_subset
from ..files.places import absence, list_names
from .annotations import annotation_lines, wrong_line
from .dataset import SplitDataset
from .split_file import Item, Split

logger = logging.getLogger(__name__)

CLASSNAMES = "classnames.txt"
IMAGES = (".jpeg", ".jpg", ".png")


def read_wordnet_names(dataset_dir: str) -> dict[str, str]:
    """The class names of classnames.txt by wnid, ascending. A variant without that file takes ImageNet's beside it.

    A line is wnid, space, class name. Two names occur twice, so labels can't be told from names.

    Raises:
        InputError: the file is missing, not such a list, or one with WordNet's synonyms for names.
    """
    path = os.path.join(dataset_dir, CLASSNAMES)
    if not os.path.isfile(path):
        shared = os.path.join(os.path.dirname(dataset_dir), "imagenet", CLASSNAMES)
        if not os.path.isfile(shared):
            raise InputError(
                f"{path} is {absence(path)}, expected a line with wnid and class name for each class; "
                f"download CoOp's {CLASSNAMES} there (its DATASETS.md has the link)"
            )
        path = shared
    names: dict[str, str] = {}
    last = ""
    for number, line in enumerate(annotation_lines(path), 1):
        wnid, _, name = line.partition(" ")
        if not re.fullmatch(r"n\d{8}", wnid) or odd_name(name) or wnid <= last:
            raise wrong_line(path, number, line, "a wnid above that of the line before, space, class name")
        names[wnid] = name.strip()
        last = wnid
    synonyms = [name for name in names.values() if ", " in name or "_" in name]
    if len(synonyms) > len(names) / 5:
        raise InputError(
            f"{path} holds WordNet's names such as {synonyms[0]!r}, expected CLIP's cleaned ones, with which "
            f"published results were made; download CoOp's {CLASSNAMES} (its DATASETS.md has the link)"
        )
    return names


def class_folders(image_dir: str) -> list[str]:
    """The visible folders in `image_dir`, sorted.

    Raises:
        InputError: there are none.
    """
    if not os.path.isdir(image_dir):
        raise InputError(
            f"the image folder {image_dir} is {absence(image_dir)}, expected one folder per class in it; "
            f"extract the images there"
        )
    found = folders_in(image_dir)
    if not found:
        raise InputError(
            f"{image_dir} holds {_loose_files(image_dir) or 'nothing'} and no class folders; {_remedy(image_dir)}"
        )
    return found


def check_folders(image_dir: str, found: Collection[str], expected: Collection[str]) -> None:
    """Make sure that the class folders are those expected.

    Raises:
        InputError: some are missing, which would shift the labels behind them, or are of no class.
    """
    missing = sorted(set(expected) - set(found))
    stray = sorted(set(found) - set(expected))
    beside = f" (found {stray[0]})" if stray else ""
    if missing:
        raise InputError(
            f"{image_dir} lacks {len(missing):,} of the {len(expected):,} class folders, the first is "
            f"{missing[0]}{beside}; {_remedy(image_dir)}, or for a subset of the classes take the lines of the "
            f"others out of {CLASSNAMES}"
        )
    if stray:
        raise InputError(f"{image_dir} holds the folder {stray[0]}, which is no class of {CLASSNAMES}; remove it")


def _loose_files(image_dir: str) -> str:
    files = list_names(image_dir)
    return f"{len(files):,} files such as {min(files)}" if files else ""


def _remedy(image_dir: str) -> str:
    """What to do where class folders are missing, from the files that lie beside them."""
    files = [name.lower() for name in list_names(image_dir)]
    if any(name.endswith(".tar") for name in files):
        return "extract each <wnid>.tar into a folder <wnid>"
    if any(name.endswith(IMAGES) for name in files):
        return "sort the images into a folder per class, as valprep.sh of github.com/soumith/imagenetloader.torch does"
    return "extract the complete images there"


def list_images(image_dir: str, folders: Collection[str]) -> dict[str, list[str]]:
    """The names of the image files in each of the folders, sorted. Asks the disk once per folder, not per file.

    Raises:
        InputError: a folder has no images, which would leave a gap in the labels.
    """
    listing = {}
    for folder in folders:
        path = os.path.join(image_dir, folder)
        names = sorted(name for name in list_names(path) if name.lower().endswith(IMAGES))
        if not names:
            raise InputError(f"the class folder {path} has no images, expected JPEG files; extract them again")
        listing[folder] = names
    return listing


class ImageNetVariant(SplitDataset):
    """A test set with classes of ImageNet: `image_dir`/<folder>/<file>, and a copy of ImageNet's classnames.txt.

    It has no training images: train and test are the same list, for Dassl takes the class names from train. NUM_SHOTS
    and SUBSAMPLE_CLASSES are ignored, as in CoOp.
    """

    class_count = 0  # number of classes, those whose folders are there; 0: all of classnames.txt

    def names_by_folder(self, names: Mapping[str, str]) -> dict[str, str]:
        """The class names by folder, in the order of the labels; `names` are those of classnames.txt.

        Raises:
            InputError: there are more or fewer folders than classes, or one of no class.
        """
        found = class_folders(self.image_dir)
        if not self.class_count:
            check_folders(self.image_dir, found, names)
            return dict(names)
        check_folders(self.image_dir, found, set(found) & set(names))  # stray folders
        if len(found) != self.class_count:
            raise InputError(
                f"{self.image_dir} holds {len(found)} class folders, expected {self.class_count}; "
                f"{_remedy(self.image_dir)}"
            )
        return {folder: names[folder] for folder in found}

    def load_split(self) -> Split:
        names = self.names_by_folder(read_wordnet_names(self.dataset_dir))
        listing = list_images(self.image_dir, names)
        items = [
            Item(f"{folder}/{image}", label, name)
            for label, (folder, name) in enumerate(names.items())
            for image in listing[folder]
        ]
        return Split(items, [], items)

    def check_images(self, split: Split) -> None:
        """Nothing: they have just been listed."""

    def select(self, split: Split, cfg: Any) -> Split:
        if cfg.DATASET.NUM_SHOTS >= 1 or class_subset(cfg) != "all":
            logger.info(
                "%s is for testing only, on all its classes: NUM_SHOTS and SUBSAMPLE_CLASSES are ignored",
                type(self).__name__,
            )
        return split
