"""Handwritten digits that come with scikit-learn: a dataset that is there without a download.

1,797 real images of 8x8 pixels, a part of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, 1998). Classes zero to four are "base", five to nine are "new".
"""

from __future__ import annotations

import os
import random
import shutil
import uuid

import numpy as np
from PIL import Image

from caspl.ground.errors import InputError

from .files.registry import register
from .files.storage import locked
from .splits.dataset import SplitDataset
from .splits.making import split_classes
from .splits.split_file import Item, Split

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUM_IMAGES = 1797
_UNFINISHED = ".images-"  # how the names of folders begin that are still being written


@register
class Digits(SplitDataset):
    """`<root>/digits`, made on first use: images/<name>/<index>.png, where index is the position in load_digits.

    The split is part of the definition of this dataset: the same on every machine and for every seed.
    """

    dataset_dir = "digits"
    image_dir = "images"
    split_file = "split_zhou_Digits.json"
    defines_split = True

    def locate(self, root: str) -> str:
        """The folder of the digits, which is made, with the root, where it is missing.

        Raises:
            InputError: it cannot be made, or the images in it are not complete.
        """
        folder = os.path.join(root, self.dataset_dir)
        image_dir = os.path.join(folder, self.image_dir)
        try:
            if not os.path.isdir(image_dir):
                os.makedirs(folder, exist_ok=True)
                with locked(folder) as alone:
                    write_images(image_dir, alone)
        except OSError as error:
            raise InputError(
                f"the digits cannot be written to {folder} ({error.strerror}), expected a folder that can "
                f"be written to; pass another --root"
            ) from None
        count = sum(name.endswith(".png") for _, _, names in os.walk(image_dir) for name in names)
        if count != NUM_IMAGES:
            raise InputError(
                f"{image_dir} holds {count:,} PNG images, expected {NUM_IMAGES:,}; delete that folder, "
                f"the next run makes it anew"
            )
        return folder

    def make_split(self) -> Split:
        """50 / 20 / 30 percent of each class, drawn from the sorted files with a generator of its own."""
        items = [
            Item(f"{name}/{file}", label, name)
            for label, name in enumerate(NAMES)
            for file in sorted(os.listdir(os.path.join(self.image_dir, name)))
            if file.endswith(".png")
        ]
        return Split(*split_classes(items, rng=random.Random(0)))


def write_images(image_dir: str, alone: bool) -> None:
    """Write the digits as 8-bit grayscale PNG files, intensities 0..16 scaled to 0..255, unless `image_dir` exists.

    They are written to a hidden folder beside it, which takes its name when complete, so that nobody finds a part of
    them. Call it under the lock of the dataset; `alone` says whether that was to be had.

    Raises:
        OSError: the folder cannot be written to.
    """
    if os.path.isdir(image_dir):
        return
    from sklearn.datasets import load_digits  # slow to import, and needed on first use only

    parent = os.path.dirname(image_dir)
    for name in os.listdir(parent) if alone else ():
        if name.startswith(_UNFINISHED):  # left by a process that was killed: under the lock, nobody is writing now
            shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
    folder = os.path.join(parent, _UNFINISHED + uuid.uuid4().hex)
    os.mkdir(folder)
    try:
        for name in NAMES:
            os.mkdir(os.path.join(folder, name))
        digits = load_digits()
        pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)
        for index, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
            Image.fromarray(image).save(os.path.join(folder, NAMES[label], f"{index:04d}.png"))
        try:
            os.rename(folder, image_dir)
        except OSError:
            if not os.path.isdir(image_dir):  # else another run, without a lock, has put the same images there
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
