"""How the CoOp benchmarks make a split where no split file exists.

The procedures come from CoOp (github.com/KaiyangZhou/CoOp, folder `datasets/`); results can be compared with published ones
only on the published split files.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from caspl.ground.errors import InputError
from caspl.ground.images import folders_in

from ..files.places import absence, list_names
from .split_file import Item, LabelledT, Split, group_by_label

logger = logging.getLogger(__name__)

# Sizes are rounded as Python rounds the float product, halves to even (45 images: 9 and 22), as published splits were.


def split_trainval(
    items: Sequence[LabelledT], p_val: float = 0.2, rng: random.Random | None = None
) -> tuple[list[LabelledT], list[LabelledT]]:
    """Divide images into (train, val), class by class: a share of `p_val` of each class goes to val.

    As CoOp's OxfordPets, used for Pets, Cars, SUN397 and UCF101. Draws from `rng`, or as CoOp from the global `random`.

    Raises:
        InputError: a class is too small to give val an image.
    """
    logger.info("Splitting trainval into %s train and %s val", f"{1 - p_val:.0%}", f"{p_val:.0%}")
    train, val = [], []
    for group in group_by_label(items).values():
        n_val = round(len(group) * p_val)
        if n_val == 0:
            raise InputError(
                f"class {group[0].classname!r} has {len(group)} images, too few to give {p_val:.0%} of "
                f"them to val; check that the annotations are complete"
            )
        (rng or random).shuffle(group)
        val += group[:n_val]
        train += group[n_val:]
    return train, val


def split_classes(
    items: Sequence[LabelledT], p_train: float = 0.5, p_val: float = 0.2, rng: random.Random | None = None
) -> tuple[list[LabelledT], list[LabelledT], list[LabelledT]]:
    """Divide images into (train, val, test), class by class; test receives what the two shares leave.

    As CoOp's DescribableTextures and OxfordFlowers. Draws from `rng`, or as CoOp from the global `random`.

    Raises:
        InputError: a class is too small to give each list an image.
    """
    logger.info(
        "Splitting into %s train, %s val, and %s test", f"{p_train:.0%}", f"{p_val:.0%}", f"{1 - p_train - p_val:.0%}"
    )
    train, val, test = [], [], []
    for group in group_by_label(items).values():
        n_train, n_val = round(len(group) * p_train), round(len(group) * p_val)
        if min(n_train, n_val, len(group) - n_train - n_val) <= 0:
            raise InputError(
                f"class {group[0].classname!r} has {len(group)} images, too few for train, val and test; "
                f"check that the images are complete"
            )
        (rng or random).shuffle(group)
        train += group[:n_train]
        val += group[n_train : n_train + n_val]
        test += group[n_train + n_val :]
    return train, val, test


def list_folders(
    image_dir: str | Path,
    ignored: Iterable[str] = (),
    new_names: Mapping[str, str] | None = None,
    classes: int | None = None,
) -> list[Item]:
    """The images of `image_dir`/<class>/<file>, whose labels follow the sorted folder names.

    Files of a class come in the order in which the disk lists them, as CoOp reads them. Hidden entries, files beside
    the class folders and the folders `ignored` are left out; `new_names` renames classes, by folder.

    Raises:
        InputError: there is no such folder, no class in it, another number of them than `classes`, a class without
            images (which would leave a gap in the labels) or with folders in it.
    """
    image_dir = str(image_dir)
    if not os.path.isdir(image_dir):
        raise InputError(
            f"the image folder {image_dir} is {absence(image_dir)}, expected one folder per class in it; "
            f"extract the images there"
        )
    entries = sorted(set(list_names(image_dir)) - set(ignored))
    lost = [path for path in (os.path.join(image_dir, entry) for entry in entries) if not os.path.exists(path)]
    if lost:
        raise InputError(f"{lost[0]} is {absence(lost[0])}, expected a class folder; correct or remove it")
    categories = [entry for entry in entries if os.path.isdir(os.path.join(image_dir, entry))]
    if not categories:
        raise InputError(f"{image_dir} has no class folders, expected one folder per class; extract the images there")
    if classes not in (None, len(categories)):
        lost = sorted(set(new_names or ()) - set(categories) if len(new_names or ()) == classes else ())
        raise InputError(
            f"{image_dir} holds {len(categories)} class folders, expected {classes}"
            f"{f' ({lost[0]} is missing)' if lost else ''}; extract the complete images, and nothing else, "
            f"there"
        )
    items = []
    for label, category in enumerate(categories):
        folder = os.path.join(image_dir, category)
        names = list_names(folder)
        if not names:
            raise InputError(
                f"the class folder {folder} is empty, expected images; extract them again or remove the folder"
            )
        inner = folders_in(folder)
        if inner:
            raise InputError(
                f"the class folder {folder} holds the folder {inner[0]}, expected images; move what is in "
                f"there to where it belongs, or remove it"
            )
        items += [Item(f"{category}/{name}", label, (new_names or {}).get(category, category)) for name in names]
    return items


def split_folders(
    image_dir: str | Path,
    p_train: float = 0.5,
    p_val: float = 0.2,
    ignored: Iterable[str] = (),
    new_names: Mapping[str, str] | None = None,
    rng: random.Random | None = None,
    classes: int | None = None,
) -> Split:
    """The split of a folder of class folders; see `list_folders` and `split_classes`."""
    return Split(*split_classes(list_folders(image_dir, ignored, new_names, classes), p_train, p_val, rng))
