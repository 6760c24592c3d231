"""Train/val/test splits: what one is, the file that holds it, and its checks.

The split files `split_zhou_*.json` come from CoOp (github.com/KaiyangZhou/CoOp, folder `datasets/`); results can be compared
with published ones only on the published files.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from caspl.ground.errors import InputError
from caspl.ground.files import TEXT_BYTES, as_json, load_json, regular
from caspl.ground.texts import as_read, odd_name

from ..files.places import absence, list_names
from ..files.storage import log_once

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


LabelledT = TypeVar("LabelledT", bound=Labelled)


def group_by_label(items: Iterable[LabelledT]) -> dict[int, list[LabelledT]]:
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
        content = load_json(raw)
    except ValueError as error:
        hint = "a web page was saved in its place, " if raw.lstrip()[:1] == b"<" else ""
        raise InputError(
            f"{source}{str(error).removeprefix('it')}: {hint}expected an object with the lists train, val and "
            f"test; download the split file again"
        ) from None
    if not isinstance(content, dict) or not set(PARTS) <= set(content):
        found = (
            f"the keys {', '.join(content)[:120] or '(none)'}" if isinstance(content, dict) else type(content).__name__
        )
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
                continue
        raise InputError(
            f"{where} entry {index} is {as_json(entry, 120)}, expected [relative path, label from 0, class name]; download "
            f"or correct the file"
        )
    return [Item(*entry) for entry in entries]


def wrong_path(path: str) -> str:
    """What keeps `path` from being that of an image below a folder, in front of it; "" where nothing does."""
    if "\0" in path or not _is_encodable(path):
        return "the impossible path"
    if os.path.isabs(path):
        return "the absolute path"
    return "the path out of the folder" if ".." in path and os.path.normpath(path).split("/")[0] == ".." else ""


def _is_encodable(path: str) -> bool:
    try:
        return path.isascii() or bool(os.fsencode(path))
    except UnicodeEncodeError:  # half a character, which no file's name has
        return False


def check_split(split: Split, source: str | Path) -> None:
    """Make sure that labels and class names say the same in all three lists; val may be empty.

    Raises:
        InputError: train or test is empty, a path is absolute or leads out of the image folder, a label has two names or one
            that is none, or the labels of train are not all of 0 to n - 1 (Dassl counts classes by the largest label and
            names them by those present, so a gap would shift the names).
    """
    for part in ("train", "test"):
        if not getattr(split, part):
            raise InputError(f"{source}: {part} is empty, expected at least one image; correct or download the file")
    names: dict[int, str] = {}
    for part, items in split._asdict().items():
        for index, item in enumerate(items):
            if problem := wrong_path(item.impath):
                raise InputError(
                    f"{source}, {part} entry {index} has {problem} {item.impath}, expected one relative to the image "
                    f"folder and in it; download or correct the file"
                )
            known = names.setdefault(item.label, item.classname)
            if known != item.classname:
                raise InputError(
                    f"{source}: label {item.label} is called both {known!r} and {item.classname!r} (in "
                    f"{part} entry {index}), expected one class name per label; correct the file"
                )
    check_names(names, source)
    trained = {item.label for item in split.train}
    missing = next(label for label in count() if label not in trained)
    if missing <= max(names):
        raise InputError(
            f"{source}: train has no image of label {missing}, expected every label from 0 to "
            f"{max(names)}; correct or download the split file"
        )


def check_names(names: Mapping[int, str], source: str | Path) -> None:
    """Make sure that the names of classes, by label, can be names. Two classes of one name, as CLIP reads it, are a warning.

    Raises:
        InputError: one is empty, too long, or has characters that are not seen.
    """
    known: dict[str, int] = {}
    for label, name in names.items():
        if problem := odd_name(name):
            raise InputError(f"{source}: the class name of label {label} {problem}, expected a text; correct it")
        first = known.setdefault(as_read(name), label)
        if first != label:
            called, way = f"called {names[first]!r} and {name!r}", "; if they are one class, write them alike"
            if names[first] == name:
                called, way = f"both called {name!r}", ""
            log_once(
                logging.WARNING,
                f"{source}: labels {first} and {label} are {called}, no prompt can tell them apart{way}",
            )


def read_split(path: str | Path) -> Split:
    """Read and check a split file.

    Raises:
        InputError: it cannot be read, or is no split (see `decode_split`, `check_split`).
    """
    logger.info("Reading split from %s", path)
    try:
        raw = regular(path, TEXT_BYTES).read_bytes()
    except OSError as error:
        raise InputError(
            f"the split file {path} cannot be read ({error.strerror}); check the path and its permissions"
        ) from None
    split = decode_split(raw, path)
    check_split(split, path)
    return split


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
            listed[folder] = set(list_names(path, but_folders=True)) if os.path.isdir(path) else set()
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
