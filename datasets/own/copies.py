"""Images that are there more than once: under two labels, or in train and again in val or test."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from caspl.ground.files import regular

from ..splits.split_file import Item, Split

ENDS = 4096  # bytes at either end, read before a whole file is


def find_copies(split: Split, folder: str) -> Iterator[str]:
    """A sentence about copies with different labels, and one about those in train and again in val or test, if there are any.

    Contents are compared by size first, then by their ends, and whole only where these agree. Files that can't be read are
    left to whoever reads them.

    Args:
        split: the images, by paths relative to `folder`.
    """
    items = {item.impath: item for part in split for item in part}
    train = {item.impath for item in split.train}
    two_labels: list[tuple[Item, Item]] = []
    in_both: list[tuple[Item, Item]] = []
    for paths in _alike(items, folder):
        first, *others = (items[path] for path in sorted(paths, key=lambda path: (path not in train, path)))
        if other := next((other for other in others if other.label != first.label), None):
            two_labels.append((first, other))
        if first.impath in train and (other := next((other for other in others if other.impath not in train), None)):
            in_both.append((first, other))
    if two_labels:
        yield (
            f"{_pairs(two_labels)} the same content and different classes, {two_labels[0][0].classname!r} and "
            f"{two_labels[0][1].classname!r}, expected one class for each image; remove the wrong one"
        )
    if in_both:
        yield (
            f"{_pairs(in_both)} the same content, the first in train and the second in val or test, where images should be "
            f"new; remove one"
        )


def _pairs(pairs: list[tuple[Item, Item]]) -> str:
    more = f", and {len(pairs) - 1:,} more such pairs," if pairs[1:] else ""
    return f"{pairs[0][0].impath} and {pairs[0][1].impath}{more} have"


def _alike(paths: Iterable[str], folder: str) -> list[list[str]]:
    """The groups of two or more files that have the same content."""
    groups = [list(paths)]
    for mark in (os.path.getsize, _ends, _whole):
        groups = [alike for group in groups for alike in _by(mark, group, folder)]
    return groups


def _by(mark: Callable[[str], object], paths: list[str], folder: str) -> Iterator[list[str]]:
    groups: dict[object, list[str]] = defaultdict(list)
    for path in paths:
        try:
            groups[mark(os.path.join(folder, path))].append(path)
        except OSError:
            continue
    return (group for found, group in groups.items() if len(group) > 1 and found)


def _ends(path: str) -> bytes:
    with regular(path).open("rb") as file:
        begin = file.read(ENDS)
        file.seek(-min(ENDS, os.path.getsize(path)), os.SEEK_END)
        return begin + file.read(ENDS)


def _whole(path: str) -> bytes:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.digest()
