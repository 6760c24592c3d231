"""What every dataset with a split file shares: its folder, split, few-shot lists, base/new classes."""

from __future__ import annotations

import hashlib
import logging
import os
from itertools import chain
from pathlib import Path
from typing import Any

from dassl.data.datasets import DatasetBase, Datum

from caspl.ground.errors import InputError
from caspl.ground.files import regular

from ..files.keys import class_subset, dataset_root
from ..files.places import absence, find_dataset, find_image_folder
from ..files.storage import locked, log_once, split_digest, store
from .fewshot import cached_fewshot, import_pickled_list, subsample_classes
from .split_file import Item, Split, check_images, check_split, encode_split, read_split

logger = logging.getLogger(__name__)


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
    other_dirs: tuple[str, ...] = ()  # where else under the root re-packed archives put it
    image_dir = ""  # folder in dataset_dir that the paths of the split are relative to; "" is dataset_dir itself
    other_image_dirs: tuple[str, ...] = ()  # what else archives call it
    split_file = ""  # file in dataset_dir
    split_sha256 = ""  # of the published split file, where it is known
    defines_split = False  # whether make_split is the definition of the split, not a stand-in for a published file

    def __init__(self, cfg: Any) -> None:
        """Read the dataset that `cfg.DATASET` describes: ROOT, NUM_SHOTS (below 1: all images), SUBSAMPLE_CLASSES.

        Raises:
            InputError: a folder, the split or images are missing or not as expected.
        """
        self.dataset_dir = self.locate(dataset_root(cfg))
        self.image_dir = find_image_folder(self.dataset_dir, (self.image_dir, *self.other_image_dirs))
        self.split_path = os.path.join(self.dataset_dir, self.split_file)
        split = self.load_split()
        self.check_images(split)
        lists = self.select(split, cfg)
        train, val, test = ([self.to_datum(item) for item in items] for items in lists)
        super().__init__(train_x=train, val=val, test=test)

    def locate(self, root: str) -> str:
        """The folder of this dataset under the absolute path `root`.

        Raises:
            InputError: it is missing.
        """
        marks = (self.image_dir, *self.other_image_dirs, self.split_file)
        return find_dataset(root, self.dataset_dir, marks, self.other_dirs)

    def load_split(self) -> Split:
        """Read the split file; where there is none, make the split and keep it.

        Raises:
            InputError: the file is no split, or there is none and it cannot be made.
        """
        if found := self._kept_split():
            return found
        with locked(self.dataset_dir):
            if found := self._kept_split():  # another run made it while this one waited
                return found
            split = self.make_split()
            check_split(split, f"the split made for {self.split_path}")
            self.check_images(split)  # a split of images that can't be used is not kept
            for item in chain(*split):
                self.to_datum(item)
            if not self.defines_split:
                logger.warning(
                    "%s is missing, so a split was made from the files found. It is NOT the published "
                    "split: results are not comparable with published ones. To compare, download the "
                    "published file in its place.",
                    self.split_path,
                )
            if store(self.split_path, encode_split(split), self.dataset_dir):
                logger.info("Saved split to %s", self.split_path)
        return split

    def _kept_split(self) -> Split | None:
        """The split file's; None where there is none, or a damaged one that can be made again as it was."""
        if not os.path.lexists(self.split_path):
            return None
        try:
            return self.read_split()
        except InputError as error:
            if not self.defines_split:
                raise
            log_once(logging.WARNING, f"{error}: it is made anew")
            return None

    def make_split(self) -> Split:
        """Make the split from the files of the dataset; called where the split file is missing.

        Raises:
            InputError: always, in a dataset that does not override this.
        """
        raise InputError(
            f"the split file {self.split_path} is missing, and {type(self).__name__} cannot be split "
            f"without it; download {self.split_file} into {self.dataset_dir}"
        )

    def read_split(self) -> Split:
        """Read the split file, and warn where it is not the published one.

        Raises:
            InputError: the file is no split.
        """
        split = read_split(self.split_path)
        if self.split_sha256 and split_digest(self.split_path) != self.split_sha256:
            logger.warning(
                "%s is NOT the published split (its SHA-256 differs): results are not comparable with published ones",
                self.split_path,
            )
        return split

    def annotation(self, *places: str, remedy: str) -> str:
        """The path of an annotation file: the first of `places` in the dataset's folder that exists.

        Raises:
            InputError: there is none; `remedy` says how to get it.
        """
        paths = [os.path.join(self.dataset_dir, place) for place in places]
        for path in paths:
            if os.path.isfile(path):
                return path
        if not self.split_file:
            raise InputError(f"{paths[0]} is {absence(paths[0])}; {remedy}")
        raise InputError(
            f"neither {self.split_path} nor {paths[0]} is there; download {self.split_file} into "
            f"{self.dataset_dir}, or {remedy}"
        )

    def check_images(self, split: Split) -> None:
        """Make sure that the images of the split are there.

        Raises:
            InputError: some are missing.
        """
        check_images(self.image_dir, chain(*split), self.path_on_disk, self.split_path)

    def path_on_disk(self, impath: str) -> str:
        """Where the image with path `impath` in the split lies in `image_dir`, if archives are not all alike."""
        return impath

    def checksum(self, split: Split) -> str:
        """What few-shot lists keep of the split that they were drawn from: the SHA-256 of its text."""
        return hashlib.sha256(encode_split(split)).hexdigest()

    def select(self, split: Split, cfg: Any) -> Split:
        """The lists of a run: few-shot sampling of all classes, then the base or the new classes.

        Raises:
            InputError: DATASET.SUBSAMPLE_CLASSES has another value.
        """
        if cfg.DATASET.NUM_SHOTS >= 1:
            split = cached_fewshot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, self.dataset_dir, self.checksum(split))
        return Split(*subsample_classes(*split, subsample=class_subset(cfg)))

    def import_fewshot(self, path: str | Path) -> str:
        """Take over the few-shot lists that another checkout pickled at `path`; see `import_pickled_list`."""
        split = self.load_split()
        return import_pickled_list(path, split, self.dataset_dir, self.checksum(split))

    def to_datum(self, item: Item) -> Datum:
        """Dassl's record of an item, with the absolute path.

        Raises:
            InputError: the image has no content, or is a link that leads nowhere.
        """
        path = os.path.join(self.image_dir, self.path_on_disk(item.impath))
        try:
            empty = not regular(path).stat().st_size
        except OSError as error:
            raise InputError(
                f"the image {path} cannot be opened ({error.strerror}), expected an image file; extract it again"
            ) from None
        if empty:
            raise InputError(f"the image {path} is empty (0 bytes), expected an image; extract or download it again")
        return Datum(impath=path, label=item.label, classname=item.classname)
