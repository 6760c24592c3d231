"""What every dataset with a split file shares: finding its folder, split, few-shot lists, base/new classes."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum

from caspl.ground.errors import InputError
from caspl.ground.images import is_folder

from .fewshot import cached_fewshot, import_pickled_list, subsample_classes
from .splits import Item, Split, absence, check_images, check_split, encode_split, read_split
from .storage import locked, store

logger = logging.getLogger(__name__)

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


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


def find_dataset(root: str, name: str, marks: Iterable[str], others: Iterable[str] = ()) -> str:
    """The folder `name` under `root`, or one of `others`, the places that re-packed archives unpack to.

    `marks` are entries that such a folder holds. They decide between the places, and tell a wrong root.

    Raises:
        InputError: there is none; says so where the root is one level off.
    """
    if not os.path.isdir(root):
        raise InputError(
            f"the root {root} is not a folder, expected the folder that holds {name}/; correct --root (DATASET.ROOT)"
        )
    marks = [mark for mark in marks if mark]
    folder = os.path.join(root, name)
    for place in (name, *others, f"{name}/{name}"):
        if _holds_any(os.path.join(root, place), marks):
            return os.path.join(root, place)
    if os.path.isdir(folder):
        return folder
    start = f"the dataset folder {folder} is {absence(folder)}"
    if os.path.basename(root) == name or _holds_any(root, marks):
        rename = "" if os.path.basename(root) == name else f"rename it to {name} and "
        raise InputError(
            f"{start}: the root is one level too low, {root} looks like the dataset itself; {rename}pass "
            f"--root {os.path.dirname(root)}"
        )
    entries = sorted(entry.name for entry in os.scandir(root) if is_folder(entry))
    for entry in entries:
        if os.path.isdir(os.path.join(root, entry, name)):
            raise InputError(
                f"{start}: the root is one level too high, the folder lies in {entry}/; pass --root "
                f"{os.path.join(root, entry)}"
            )
    alike = [entry for entry in entries if _letters(entry) == _letters(name)]
    if alike:
        raise InputError(f"{start}, found {alike[0]}/, expected {name}/; rename it")
    raise InputError(f"{start}, expected it in the root; extract the dataset there or correct --root (DATASET.ROOT)")


def _holds_any(folder: str, marks: Iterable[str]) -> bool:
    return any(os.path.exists(os.path.join(folder, mark)) for mark in marks)


def find_images(dataset_dir: str, names: Sequence[str]) -> str:
    """The image folder of a dataset: the first of `names` that is in `dataset_dir`, which "" stands for itself.

    Raises:
        InputError: there is none; says so where it lies one level deeper or was not extracted yet.
    """
    paths = [os.path.join(dataset_dir, name) if name else dataset_dir for name in names]
    for path in paths:
        if os.path.isdir(path):
            return path
    start = f"the image folder {paths[0]} is {absence(paths[0])}"
    for entry in sorted(os.scandir(dataset_dir), key=lambda entry: entry.name):
        if is_folder(entry) and os.path.isdir(os.path.join(entry.path, names[0])):
            raise InputError(f"{start}, found it in {entry.path}; move what is in there up into {dataset_dir}")
    archives = sorted(name for name in os.listdir(dataset_dir) if name.endswith(ARCHIVES))
    if archives:
        raise InputError(f"{start}, found the archive {archives[0]}; extract it in {dataset_dir}")
    raise InputError(f"{start}, expected the images in it; extract them there")


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
        self.image_dir = find_images(self.dataset_dir, (self.image_dir, *self.other_image_dirs))
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
        if os.path.exists(self.split_path):
            return self.read_split()
        with locked(self.dataset_dir):
            if os.path.exists(self.split_path):  # another run made it while this one waited
                return self.read_split()
            split = self.make_split()
            check_split(split, f"the split made for {self.split_path}")
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
        if self.split_sha256:
            raw = Path(self.split_path).read_bytes().rstrip()  # some copies end with a newline
            if hashlib.sha256(raw).hexdigest() != self.split_sha256:
                logger.warning(
                    "%s is NOT the published split (its SHA-256 differs): results are not comparable with "
                    "published ones",
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
            empty = not os.path.getsize(path)
        except OSError as error:
            raise InputError(
                f"the image {path} cannot be opened ({error.strerror}), expected an image file; extract it again"
            ) from None
        if empty:
            raise InputError(f"the image {path} is empty (0 bytes), expected an image; extract or download it again")
        return Datum(impath=path, label=item.label, classname=item.classname)
