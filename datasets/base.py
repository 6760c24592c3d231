"""What every dataset with a split file shares: finding its folder, split, few-shot lists, base/new classes."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from itertools import chain
from typing import Any

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum

from caspl.errors import InputError

from .fewshot import cached_fewshot, subsample_classes
from .splits import Item, Split, check_images, check_split, encode_split, read_split
from .storage import locked, store

logger = logging.getLogger(__name__)


def register(dataset: type) -> type:
    """Class decorator: register a dataset, unless the host has one of that name (CoOp's own, in CoOp's checkout)."""
    if dataset.__name__ not in DATASET_REGISTRY.registered_names():
        DATASET_REGISTRY.register(dataset)
    return dataset


def class_subset(cfg: Any) -> str:
    """DATASET.SUBSAMPLE_CLASSES: "all", "base" or "new".

    The key is not Dassl's own, `train.py` adds it; in a host that does not have it, all classes are used.
    """
    return getattr(cfg.DATASET, "SUBSAMPLE_CLASSES", "all")


def dataset_root(cfg: Any) -> str:
    """DATASET.ROOT as an absolute path, with ~ expanded.

    Raises:
        InputError: it is not set.
    """
    if not cfg.DATASET.ROOT:
        raise InputError("DATASET.ROOT is empty, expected the folder that holds the datasets; pass --root DATA")
    return os.path.abspath(os.path.expanduser(cfg.DATASET.ROOT))


def find_dataset(root: str, name: str, marks: Iterable[str]) -> str:
    """The folder `name` under `root`; `marks` are entries that such a folder holds, which tell a wrong root.

    Raises:
        InputError: there is none; says so where the root is one level off.
    """
    if not os.path.isdir(root):
        raise InputError(f"the root {root} is not a folder, expected the folder that holds {name}/; correct --root "
                         f"(DATASET.ROOT)")
    folder = os.path.join(root, name)
    if os.path.isdir(folder):
        return folder
    start = f"the dataset folder {folder} is missing"
    if os.path.basename(root) == name or any(os.path.exists(os.path.join(root, mark)) for mark in marks if mark):
        rename = "" if os.path.basename(root) == name else f"rename it to {name} and "
        raise InputError(f"{start}: the root is one level too low, {root} looks like the dataset itself; {rename}pass "
                         f"--root {os.path.dirname(root)}")
    entries = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    for entry in entries:
        if os.path.isdir(os.path.join(root, entry, name)):
            raise InputError(f"{start}: the root is one level too high, the folder lies in {entry}/; pass --root "
                             f"{os.path.join(root, entry)}")
    alike = [entry for entry in entries if _letters(entry) == _letters(name)]
    if alike:
        raise InputError(f"{start}, found {alike[0]}/, expected {name}/; rename it")
    raise InputError(f"{start}, expected it in the root; extract the dataset there or correct --root (DATASET.ROOT)")


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


class SplitDataset(DatasetBase):
    """A dataset with a split file, read as the CoOp family reads its own: split, few-shot sampling, base/new classes.

    A subclass sets the three names and, where a missing split file can be made from the annotations, `make_split`:

        @register
        class DescribableTextures(SplitDataset):
            dataset_dir = "dtd"
            image_dir = "images"
            split_file = "split_zhou_DescribableTextures.json"

            def make_split(self) -> Split:
                return split_folders(self.image_dir)

    In instances `dataset_dir` and `image_dir` are absolute paths, and `split_path` that of the split file.
    """

    dataset_dir = ""  # folder under the root
    image_dir = ""  # folder in dataset_dir that the paths of the split are relative to; "" is dataset_dir itself
    split_file = ""  # file in dataset_dir
    defines_split = False  # whether make_split is the definition of the split, not a stand-in for a published file

    def __init__(self, cfg: Any) -> None:
        """Read the dataset that `cfg.DATASET` describes: ROOT, NUM_SHOTS (below 1: all images), SUBSAMPLE_CLASSES.

        Raises:
            InputError: a folder, the split or images are missing or not as expected.
        """
        self.dataset_dir = self.locate(dataset_root(cfg))
        self.image_dir = os.path.join(self.dataset_dir, self.image_dir) if self.image_dir else self.dataset_dir
        self.split_path = os.path.join(self.dataset_dir, self.split_file)
        split = self.load_split()
        check_images(self.image_dir, chain(*split))
        if cfg.DATASET.NUM_SHOTS >= 1:
            checksum = hashlib.sha256(encode_split(split)).hexdigest()
            split = cached_fewshot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, self.dataset_dir, checksum)
        lists = subsample_classes(*split, subsample=class_subset(cfg))
        train, val, test = ([self.to_datum(item) for item in items] for items in lists)
        super().__init__(train_x=train, val=val, test=test)

    def locate(self, root: str) -> str:
        """The folder of this dataset under the absolute path `root`.

        Raises:
            InputError: it is missing.
        """
        return find_dataset(root, self.dataset_dir, marks=(self.image_dir, self.split_file))

    def load_split(self) -> Split:
        """Read the split file; where there is none, make the split and keep it.

        Raises:
            InputError: the file is no split, or there is none and it cannot be made.
        """
        if os.path.exists(self.split_path):
            return read_split(self.split_path)
        with locked(self.dataset_dir):
            if os.path.exists(self.split_path):  # another run made it while this one waited
                return read_split(self.split_path)
            split = self.make_split()
            check_split(split, f"the split made for {self.split_path}")
            if not self.defines_split:
                logger.warning("%s is missing, so a split was made from the files found. It is NOT the published "
                               "split: results are not comparable with published ones. To compare, download the "
                               "published file in its place.", self.split_path)
            if store(self.split_path, encode_split(split), self.dataset_dir):
                logger.info("Saved split to %s", self.split_path)
        return split

    def make_split(self) -> Split:
        """Make the split from the files of the dataset; called where the split file is missing.

        Raises:
            InputError: always, in a dataset that does not override this.
        """
        raise InputError(f"the split file {self.split_path} is missing, and {type(self).__name__} cannot be split "
                         f"without it; download {self.split_file} into {self.dataset_dir}")

    def to_datum(self, item: Item) -> Datum:
        """Dassl's record of an item, with the absolute path."""
        return Datum(impath=os.path.join(self.image_dir, item.impath), label=item.label, classname=item.classname)
