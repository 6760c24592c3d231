"""Where the images lie that a table names: as it is written, else below the table's folder by the end of the path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import product
from typing import NamedTuple

from caspl.ground.images import is_image, list_files
from caspl.ground.texts import nfc

from ..files.places import list_names
from .parts import named

FEW = 0.1  # a share of the values that may be found by chance


class Found(NamedTuple):
    """What values name: for each the files below the folder ("/" between names); several where it can't be told which."""

    files: list[list[str]]
    as_written: bool

    @property
    def share(self) -> float:
        return sum(map(bool, self.files)) / max(len(self.files), 1)


class Lookup:
    """The files below a folder, to be found by how somebody else's table calls them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._listed: dict[str, set[str]] = {}
        self._by_end: dict[tuple[int, bool], dict[str, list[str]]] = {}

    def find(self, values: Sequence[str], parts: Sequence[str] = (), classes: Sequence[str] = ()) -> Found:
        """What each value names.

        Where most are paths of files, relative to the folder or absolute and in it, these are meant. Else a value is the end
        of a path of an image: all of it, or without its first folders, as few as can be and for all values the same number.
        A name without the ending of an image is one whatever the ending; backslashes separate folders, too; and where hardly
        any value names a file so, upper and lower case are the same. Of several files that is meant which lies in the one
        folder that all values are found in, else in that of its class and of its part.
        """
        written = [self._inside(value) for value in values]
        there = [self._exists(value) for value in written]
        if 2 * sum(there) >= len(values):
            return Found([[value] if yes else [] for value, yes in zip(written, there, strict=True)], True)
        names = [_names(value) for value in values]
        best, most, folded = 0, 0.0, False
        for fold, dropped in product((False, True), range(max(map(len, names), default=0))):
            share = Found([self._ending(path[dropped:], fold) for path in names], False).share
            if share > most:
                best, most, folded = dropped, share, fold
            if most > FEW:  # with fewer folders it is the others' files that would be found for what is missing
                break
        ends = [path[best:] for path in names]
        files = [self._ending(end, folded) for end in ends] if most else [[] for _ in values]
        return Found(_fewer(files, [len(end) for end in ends], parts, classes), False)

    def _inside(self, value: str) -> str:
        return os.path.relpath(value.replace("\0", "?"), self.folder) if os.path.isabs(value) else value

    def _exists(self, path: str) -> bool:
        """As `check_images` asks: each folder is listed once, which on network disks is far cheaper than asking for files."""
        if not path or "\0" in path or ".." in path and os.path.normpath(path).split("/")[0] == "..":
            return False
        folder, _, name = path.rpartition("/")
        if folder not in self._listed:
            place = os.path.join(self.folder, folder)
            self._listed[folder] = set(list_names(place, but_folders=True)) if os.path.isdir(place) else set()
        return name in self._listed[folder] or os.path.isfile(os.path.join(self.folder, path))

    @cached_property
    def images(self) -> list[str]:
        return [file for file in list_files(self.folder) if is_image(file)]

    @cached_property
    def _paths(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(file, _names(file)) for file in self.images]

    def _ending(self, names: tuple[str, ...], fold: bool) -> list[str]:
        """The images whose paths end with these names; `fold`: in whatever case."""
        if not names:
            return []
        spelt = str.casefold if fold else str
        if (len(names), fold) not in self._by_end:
            ends: dict[str, list[str]] = {}
            for file, path in self._paths:
                if len(path) >= len(names):
                    end = spelt("/".join(path[-len(names) :]))
                    for key in {end, os.path.splitext(end)[0]}:
                        ends.setdefault(key, []).append(file)
            self._by_end[len(names), fold] = ends
        return self._by_end[len(names), fold].get(spelt("/".join(names)), [])


def _fewer(files: list[list[str]], lengths: list[int], parts: Sequence[str], classes: Sequence[str]) -> list[list[str]]:
    """Of several files for a value, the one in the folder that all values have a file in; else that of its class, its part."""
    if all(len(found) < 2 for found in files):
        return files
    folders = {
        tuple(found): {file: _above(file, length) for file in found}
        for found, length in zip(files, lengths, strict=True)
        if found
    }
    common = set.intersection(*(set(found.values()) for found in folders.values()))
    if len(common) == 1:
        return [[file for file in found if folders[tuple(found)][file] in common] for found in files]

    @cache
    def chosen(found: tuple[str, ...], name: str, part: str) -> list[str]:
        of_class = [file for file in found if name in map(nfc, file.split("/")[:-1])] or found
        of_part = [file for file in of_class if part in _parts_above(file)] or of_class
        return list(of_part)

    nothing = [""] * len(files)
    return [
        chosen(tuple(found), nfc(name), part) if len(found) > 1 else found
        for found, name, part in zip(files, classes or nothing, parts or nothing, strict=True)
    ]


def _above(path: str, length: int) -> str:
    return "/".join(path.split("/")[:-length])


def _parts_above(path: str) -> set[str]:
    return {said.part for said in map(named, path.split("/")[:-1]) if said}


def _names(path: str) -> tuple[str, ...]:
    """The folders and the name of a path, spelt in one way; the ending in lower case."""
    stem, ending = os.path.splitext(nfc(path.replace("\\", "/")))
    return tuple(
        name for name in f"{stem}{ending.lower() if is_image(path) else ending}".split("/") if name not in ("", ".")
    )
