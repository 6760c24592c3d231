"""What folders and tables of own images are read as: rows, and the labelled and divided lists that rows make."""

from __future__ import annotations

import logging
import re
from typing import NamedTuple

from caspl.ground.errors import InputError
from caspl.ground.names.matching import NamesFile
from caspl.ground.texts import WNID, without_wnid

from ..splits.split_file import Item, Split, check_names
from .parts import letters

logger = logging.getLogger(__name__)

WNID_ONLY = re.compile(rf"{WNID.pattern}\b")


class ImageRow(NamedTuple):
    """One image: its path, the key of its class (folder or label), its class name, and its part ("" where not given)."""

    impath: str
    key: str | int
    classname: str
    part: str


def divided(rows: list[ImageRow], items: list[Item], source: str) -> Split:
    """The split that folders or the table define. Where one of val and test is missing, the other stands in for test."""
    split = {
        part: [item for row, item in zip(rows, items, strict=True) if row.part == part]
        for part in ("train", "val", "test")
    }
    if not split["train"] or not (split["val"] or split["test"]):
        found = ", ".join(part for part in split if split[part]) or "none"
        raise InputError(
            f"{source} has images for {found} only, expected train and at least one of val and test; add the "
            f"others, or leave out the division"
        )
    if not split["test"]:
        logger.info("There are no test images, those of val are the test images")
        split["test"] = split["val"]
    trained = {item.label: item.classname for item in split["train"]}
    for part in ("val", "test"):
        for item in split[part]:
            if item.label not in trained:
                near = next((name for name in trained.values() if letters(name) == letters(item.classname)), "")
                raise InputError(
                    f"{source}: the class {item.classname!r} is in {part} and not in train, expected images of every class in "
                    f"train; {f'if it is {near!r}, give it that name in both' if near else 'add some or remove the class'}"
                )
        present = {item.label for item in split[part]}
        if present and (absent := [name for label, name in trained.items() if label not in present]):
            logger.warning(
                "%s has no %s images of %d of the %d classes, such as %r",
                source,
                part,
                len(absent),
                len(trained),
                absent[0],
            )
    return Split(**split)


def label_rows(rows: list[ImageRow], source: str, names_file: NamesFile | None = None) -> list[Item]:
    """The items of `rows`: labels by the order of the class keys, names by the file of names where there is one."""
    names: dict[str | int, str] = {}
    for row in rows:
        if names.setdefault(row.key, row.classname) != row.classname:
            raise InputError(
                f"{source}: label {row.key} is called both {names[row.key]!r} and {row.classname!r}, expected "
                f"one class name per label; correct the table"
            )
    keys = sorted(names)
    if isinstance(keys[0], int):
        _check_numbers(keys, source)
    if names_file:
        names = dict(zip(keys, names_file.for_classes([str(key) for key in keys]), strict=True))
    names = {key: without_wnid(name) for key, name in names.items()}
    if wnids := [found[0] for found in map(WNID_ONLY.match, names.values()) if found]:
        raise InputError(
            f"{source} calls classes by WordNet ids such as {wnids[0]}, expected names, of which prompts are made; name a file "
            f"(DATASET.CLASSNAMES) with a line such as {wnids[0]}, blank, name for each class"
        )
    unnamed = [key for key in keys if not names[key]]
    if unnamed:
        raise InputError(
            f"{source} has no column classname, and label {unnamed[0]} no name; write a file below the root with the names of "
            f"the {len(keys)} classes, one per line from label {keys[0]} to {keys[-1]}, and name it: DATASET.CLASSNAMES "
            f"names.txt"
        )
    labels = {key: label for label, key in enumerate(keys)}
    check_names({labels[key]: names[key] for key in keys}, source)
    _tell_of_numbers(list(names.values()), source)
    return [Item(row.impath, labels[row.key], names[row.key]) for row in rows]


def _tell_of_numbers(names: list[str], source: str) -> None:
    """Warn of names that differ in numbers only (1, 2 ...; c0, c1 ...), and of numbers in front of all (001.Albatross)."""
    alike = len({re.sub(r"\d+", "", name) for name in names}) == 1
    if len(names) > 1 and (alike or all(re.match(r"\d+[\W_]", name) for name in names)):
        logger.warning(
            "%s has classes called %r, %r ...: CLIP is asked for these numbers%s; for other names name a file "
            "(DATASET.CLASSNAMES) with a line of class, tab, name for each",
            source,
            *names[:2],
            ", which say nothing of an image" if alike else ", too",
        )


def _check_numbers(labels: list[int], source: str) -> None:
    """Make sure that sorted labels are all from 0, or all from 1, to the last. Raises InputError."""
    first = min(labels[0], 1)
    gap = next((label for label, found in enumerate(labels, first) if label != found), None)
    if gap is not None:
        raise InputError(
            f"{source} has no image of label {gap}, expected every label from {first} to {labels[-1]}; correct the table, or, "
            f"where it has names beside the labels, read these alone (classname= in DATASET.COLUMNS)"
        )
    if first:
        logger.info("%s counts its labels from 1: label %d is the last of %d classes", source, labels[-1], len(labels))
