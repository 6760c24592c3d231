"""ImageNet, ILSVRC 2012: 1,000 classes. O. Russakovsky et al., 2015, https://image-net.org."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from typing import Any

from dassl.data.datasets import Datum

from caspl.ground.files import TEXT_BYTES, load_json, regular

from .files.registry import register
from .files.storage import locked, log_once, store
from .splits.dataset import SplitDataset
from .splits.split_file import Item, Split
from .splits.wordnet import check_folders, class_folders, list_images, read_wordnet_names

logger = logging.getLogger(__name__)

IMAGE_FOLDERS = ("train", "val")
LISTING = "listing.json"
SETTLED_SECONDS = 10  # a folder changed more recently may change again within the resolution of its time stamp

Listing = dict[str, dict[str, list[str]]]  # part -> wnid -> file names, sorted


@register
class ImageNet(SplitDataset):
    """`<root>/imagenet`: images/{train,val}/<wnid>/*.JPEG and classnames.txt. The val images are val and test.

    Images come in the order of their names, so that few-shot lists are the same on every disk. No published lists exist:
    CoOp's depend on the order in which a disk listed the folders.
    """

    dataset_dir = "imagenet"
    image_dir = "images"

    def load_split(self) -> Split:
        names = read_wordnet_names(self.dataset_dir)
        if os.path.exists(os.path.join(self.dataset_dir, "preprocessed.pkl")):
            log_once(
                logging.INFO,
                f"Ignoring preprocessed.pkl in {self.dataset_dir}: pickles can run code and hold absolute paths",
            )
        folders = {part: class_folders(os.path.join(self.image_dir, part)) for part in IMAGE_FOLDERS}
        for part, found in folders.items():
            check_folders(os.path.join(self.image_dir, part), found, names)
        listing = cached_listing(self.image_dir, folders, self.dataset_dir)
        train, val = (
            [
                Item(f"{part}/{wnid}/{image}", label, name)
                for label, (wnid, name) in enumerate(names.items())
                for image in listing[part][wnid]
            ]
            for part in IMAGE_FOLDERS
        )
        return Split(train, [], val)

    def check_images(self, split: Split) -> None:
        """Nothing: they have been listed."""

    def checksum(self, split: Split) -> str:
        """The SHA-256 of the paths of the training images, which decide what is drawn."""
        return hashlib.sha256(os.fsencode("\n".join(item.impath for item in split.train))).hexdigest()

    def select(self, split: Split, cfg: Any) -> Split:
        train, _, test = super().select(split, cfg)
        return Split(train, test, test)

    def to_datum(self, item: Item) -> Datum:
        """As elsewhere, but without asking the disk for each of 1.28 million files that have just been listed."""
        datum = Datum.__new__(Datum)
        datum._impath = os.path.join(self.image_dir, item.impath)
        datum._label, datum._domain, datum._classname = item.label, 0, item.classname
        return datum


def cached_listing(image_dir: str, folders: dict[str, list[str]], dataset_dir: str) -> Listing:
    """The names of all images, kept in listing.json: on network disks it takes minutes to list them.

    The file holds the SHA-256 of the class folders and their times of change; where these differ it is made anew.

    Raises:
        InputError: a class folder has no images.
    """
    path = os.path.join(dataset_dir, LISTING)
    state, changed = folder_state(image_dir, folders)
    found = _load(path, state, folders)
    if found is not None:
        return found
    with locked(dataset_dir):
        found = _load(path, state, folders)  # another run may have written it while this one waited
        if found is not None:
            return found
        logger.info("Listing the images in %s", image_dir)
        listing = {part: list_images(os.path.join(image_dir, part), folders[part]) for part in folders}
        if changed < time.time() - SETTLED_SECONDS:
            content = {"folders_sha256": state, "sha256": _digest(listing), **listing}
            store(path, json.dumps(content, separators=(",", ":")).encode("ascii"), dataset_dir)
    return listing


def folder_state(image_dir: str, folders: dict[str, list[str]]) -> tuple[str, float]:
    """A checksum of the class folders and their times of change, and the last of these times."""
    lines, last = [], 0.0
    for part, names in folders.items():
        for name in names:
            status = os.stat(os.path.join(image_dir, part, name))
            lines.append(f"{part}/{name} {status.st_mtime_ns}")
            last = max(last, status.st_mtime)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), last


def _load(path: str, state: str, folders: dict[str, list[str]]) -> Listing | None:
    """The listing in a file, or None where it is missing, damaged (a warning), or of folders in another state."""
    try:
        content = load_json(regular(path, TEXT_BYTES).read_bytes())
        if content["folders_sha256"] != state:
            return None
        listing = {part: {wnid: content[part][wnid] for wnid in folders[part]} for part in folders}
        if content["sha256"] != _digest(listing):
            raise ValueError("its checksum is another")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log_once(logging.WARNING, f"{path} is damaged and made anew ({error})")
        return None
    return listing


def _digest(listing: Listing) -> str:
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
