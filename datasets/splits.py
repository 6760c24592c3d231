"""Train/val/test splits: the file that holds one, its checks, and how the CoOp benchmarks make one where none exists.

The split files `split_zhou_*.json` and the procedures come from CoOp (github.com/KaiyangZhou/CoOp, folder `datasets/`);
results can be compared with published ones only on the published files.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from dassl.utils import listdir_nohidden

from caspl.ground.errors import InputError
from caspl.ground.images import is_folder

logger = logging.getLogger(__name__)

PARTS = ("train", "val", "test")


class Item(NamedTuple):
    """One image of a split: its path relative to the image folder (with "/"), its label from 0, its class name."""

    impath: str
    label: int
    classname: str


class Split(NamedTuple):
    """The three lists of a dataset. Their order matters: few-shot sampling visits the classes as they first appear."""

    train: list[Item]
    val: list[Item]
    test: list[Item]


class Labelled(Protocol):
    """Anything with a label and a class name: an `Item`, or a `Datum` of Dassl."""

    @property
    def label(self) -> int: ...

    @property
    def classname(self) -> str: ...


T = TypeVar("T", bound=Labelled)


def group_by_label(items: Iterable[T]) -> dict[int, list[T]]:
    """The items of each label, in their order; the labels in order of first appearance."""
    groups = defaultdict(list)
    for item in items:
        groups[item.label].append(item)
    return dict(groups)


# ---------------------------------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------------------------------
def encode_split(split: Split) -> bytes:
    """The text of a split file, byte for byte as CoOp writes it: indented by four, ASCII, no newline at the end."""
    return json.dumps(split._asdict(), indent=4, separators=(",", ": ")).encode("ascii")


def decode_split(raw: bytes, source: str | Path) -> Split:
    """The split in the bytes of a split file; `source` is its path, for messages.

    Raises:
        InputError: it is not JSON, lacks a list, or an entry is malformed (see `check_split`).
    """
    try:
        content = json.loads(raw)
    except ValueError as error:  # also UnicodeDecodeError
        hint = "a web page was saved in its place, " if raw.lstrip()[:1] == b"<" else ""
        raise InputError(
            f"{source} is not JSON ({error}): {hint}expected an object with the lists train, val and "
            f"test; download the split file again"
        ) from None
    if not isinstance(content, dict) or not set(PARTS) <= set(content):
        found = f"the keys {', '.join(content) or '(none)'}" if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{source} holds {found}, expected the keys train, val and test; download the split file again"
        )
    return Split(*(decode_items(content[part], f"{source}, {part}") for part in PARTS))


def decode_items(entries: object, where: str) -> list[Item]:
    """The items in a list of [path, label, class name] read from JSON; `where` names the list in messages.

    Raises:
        InputError: naming the index of the first entry that is something else.
    """
    if not isinstance(entries, list):
        raise InputError(
            f"{where} is {type(entries).__name__}, expected a list of [path, label, class name]; download "
            f"or correct the file"
        )
    for index, entry in enumerate(entries):
        match entry:
            case [str(path), int(label), str(name)] if label >= 0 and path and name and type(label) is int:
                if path.startswith("/"):
                    raise InputError(
                        f"{where} entry {index} has the absolute path {path}, expected one relative to "
                        f"the image folder; download or correct the file"
                    )
            case _:
                raise InputError(
                    f"{where} entry {index} is {json.dumps(entry)[:120]}, expected [relative path, label "
                    f"from 0, class name]; download or correct the file"
                )
    return [Item(*entry) for entry in entries]


def check_split(split: Split, source: str | Path) -> None:
    """Make sure that labels and class names say the same in all three lists; val may be empty.

    Raises:
        InputError: train or test is empty, a label has two names, or the labels of train are not all of 0 to n - 1
            (Dassl counts classes by the largest label and names them by those present, so a gap would shift the names).
    """
    for part in ("train", "test"):
        if not getattr(split, part):
            raise InputError(f"{source}: {part} is empty, expected at least one image; correct or download the file")
    names: dict[int, str] = {}
    for part, items in split._asdict().items():
        for index, item in enumerate(items):
            known = names.setdefault(item.label, item.classname)
            if known != item.classname:
                raise InputError(
                    f"{source}: label {item.label} is called both {known!r} and {item.classname!r} (in "
                    f"{part} entry {index}), expected one class name per label; correct the file"
                )
    missing = sorted(set(range(max(names) + 1)) - {item.label for item in split.train})
    if missing:
        raise InputError(
            f"{source}: train has no image of label {missing[0]}, expected every label from 0 to "
            f"{max(names)}; correct or download the split file"
        )


def read_split(path: str | Path) -> Split:
    """Read and check a split file.

    Raises:
        InputError: it cannot be read, or is no split (see `decode_split`, `check_split`).
    """
    logger.info("Reading split from %s", path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"the split file {path} cannot be read ({error.strerror}); check the path and its permissions"
        ) from None
    split = decode_split(raw, path)
    check_split(split, path)
    return split


def absence(path: str) -> str:
    """How to say in a sentence that there is nothing at `path`."""
    return "a symbolic link that leads nowhere or in a circle" if os.path.islink(path) else "missing"


def list_names(folder: str) -> list[str]:
    """The visible entries of a folder, in the order of the disk.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return listdir_nohidden(folder)
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be read ({error.strerror}), expected images in it; correct its "
            f"permissions or the disk"
        ) from None


def check_images(
    image_dir: str | Path, items: Iterable[Item], place: Callable[[str], str] = str, source: str = "the split"
) -> None:
    """Make sure that every image is there. Lists each folder once, which on network disks is far cheaper than asking
    for each file. `place` leads from the path of an item to that on disk, both relative to `image_dir`; `source` is what
    lists the items, for messages.

    Raises:
        InputError: with the number of missing images and the first one, and what the folders look like.
    """
    image_dir = str(image_dir)
    listed: dict[str, set[str]] = {}
    missing, total = [], 0
    for item in items:
        total += 1
        impath = place(item.impath)
        folder, _, name = impath.rpartition("/")
        if folder not in listed:
            path = os.path.join(image_dir, folder)
            listed[folder] = set(list_names(path)) if os.path.isdir(path) else set()
        # a file system that ignores case opens a name that its listing spells differently
        if name not in listed[folder] and not os.path.isfile(os.path.join(image_dir, impath)):
            missing.append(impath)
    if missing:
        empty = [folder for folder in listed if not listed[folder]]
        raise InputError(_missing_images(image_dir, missing, total, empty, source))


def _missing_images(image_dir: str, missing: list[str], total: int, empty: list[str], source: str) -> str:
    """The sentence about missing images; `empty` are the folders that are missing or have nothing in them."""
    first = os.path.join(image_dir, missing[0])
    if not os.path.isdir(image_dir):
        return (
            f"the image folder {image_dir} is {absence(image_dir)}, expected {total:,} images in it; extract the "
            f"images there"
        )
    if len(missing) == total:
        folder = os.path.dirname(first)
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        found = sorted(list_names(folder))
        return (
            f"none of the {total:,} images that {source} lists is in {image_dir}, the first would be {missing[0]}; "
            f"found {', '.join(found[:3]) or 'nothing'}{', ...' if found[3:] else ''} in {folder}: correct the "
            f"split file if it is that of another dataset, else extract the images as the official archive does"
        )
    hint = ""
    if empty:
        more = f", as are {len(empty) - 1:,} more" if empty[1:] else ""
        hint = f"the folder {os.path.join(image_dir, empty[0])} is empty or missing{more}: "
    return (
        f"{len(missing):,} of the {total:,} images that the split lists are missing, the first is {first}; "
        f"{hint}extract the complete images into {image_dir}"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Making one
# ---------------------------------------------------------------------------------------------------------------------
# Sizes are rounded as Python rounds the float product, halves to even (45 images: 9 and 22), as published splits were.


def split_trainval(items: Sequence[T], p_val: float = 0.2, rng: random.Random | None = None) -> tuple[list[T], list[T]]:
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
    items: Sequence[T], p_train: float = 0.5, p_val: float = 0.2, rng: random.Random | None = None
) -> tuple[list[T], list[T], list[T]]:
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
        inner = [entry.name for entry in os.scandir(folder) if is_folder(entry) and not entry.name.startswith(".")]
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
