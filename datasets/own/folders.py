"""Folders of own images: which part and which class each image in them belongs to, by the shape of what is there.

    <class>/...             classes
    <part>/<class>/...      divided already
    <class>/<part>/...      divided already, each class by itself

What could be two of these is refused, with both readings.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from caspl.ground.errors import InputError
from caspl.ground.images import folders_in, images_among, is_clutter, is_image, list_files
from caspl.ground.texts import nfc

from . import parts
from .rows import ImageRow

logger = logging.getLogger(__name__)

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
WRITE = "write a table (.csv) with the columns path and classname"
INSIST = "if they are classes, name them in a file (DATASET.CLASSNAMES) with a line of folder, tab, class name for each"


def read_folder(folder: str, are_classes: Callable[[list[str]], bool] = lambda names: False) -> Iterator[ImageRow]:
    """The images of a folder; `are_classes` says whether somebody has said that the folders of these names are classes.

    Raises:
        InputError: it can't be told what the folders are, or a class has no images.
    """
    tops = _inside(folder)
    divisions = {} if are_classes(tops) else parts.groups(tops)
    if len(divisions) > 1:
        first, second = list(divisions.values())[:2]
        raise InputError(
            f"{folder} holds {_several(first)}, and also {_several(second)}, expected one folder for each of train, val "
            f"and test, with a folder for each class in it; move the images to train/<class>/, test/<class>/ ..., or {INSIST}"
        )
    if divisions:
        (division,) = divisions.values()
        return _read_parts(folder, tops, division)
    if are_classes(tops):
        return _read_classes(folder, "", "")
    inner = {name: folders_in(os.path.join(folder, name)) for name in tops}
    within = [parts.groups(names) for names in inner.values()]
    divided = {
        name: dict(*found.values())
        for name, found in zip(tops, within, strict=True)
        if len(found) == 1 and set(*found.values()) == set(inner[name])
    }
    if divided:
        return _read_parts_of_classes(folder, tops, divided)
    _check_meaning(folder, tops)
    return _read_classes(folder, "", "")


def _inside(folder: str) -> list[str]:
    """The folders in `folder`. Raises InputError where there are none, or one that holds all: the path is too high."""
    names = folders_in(folder)
    if not names:
        raise InputError(f"{folder} has no class folders, expected one for each class; {_instead(folder)}")
    inner = _opened(folder)
    inside = folders_in(inner)
    if inner != folder and len(inside) > 1 and not _loose(inner):
        levels = len(os.path.relpath(inner, folder).split(os.sep))
        raise InputError(
            f"{folder} has the one class folder {names[0]}/, which holds folders: the path is "
            f"{'one level' if levels == 1 else f'{levels} levels'} too high; pass {inner}"
        )
    return names


def _instead(folder: str) -> str:
    """What to do with a folder that has no folders, as a clause."""
    if _loose(folder):
        return f"it holds images itself: pass the folder above, or, where all images lie in this one, {WRITE}"
    if archives := sorted(name for name in os.listdir(folder) if name.lower().endswith(ARCHIVES)):
        return f"it holds {archives[0]}: unpack it"
    return "put the images of each class into one (images without labels are DATASET.NAME UnlabeledImages)"


def _opened(folder: str) -> str:
    """The first folder, from `folder` on downwards, that does not only hold one folder of folders."""
    while len(inside := folders_in(folder)) == 1 and not _loose(folder):
        inner = os.path.join(folder, inside[0])
        if not folders_in(inner):
            break
        folder = inner
    return folder


def _check_meaning(folder: str, tops: list[str]) -> None:
    """Make sure that the folders `tops` in `folder` are classes. Raises InputError where what they hold could be, too."""
    places = [_opened(os.path.join(folder, name)) for name in tops]
    inner = [folders_in(place) for place in places]
    if _alike(inner) and not all(map(_loose, places)):
        classes = _several(max(inner, key=len))
        raise InputError(
            f"{folder} holds {_several(tops)}, with folders of the same names in them ({classes}), which can be read in two "
            f"ways: if {classes} are the classes, rename the folders above them to train, val and test, put "
            f"them together, or pass one of these; {INSIST}"
        )
    beside = set(map(parts.letters, tops))
    for name, names in zip(tops, inner, strict=True):
        if len(names) > 1 and set(map(parts.letters, names)) <= beside:
            raise InputError(
                f"{os.path.join(folder, name)} holds folders of the same names as those beside it ({_several(names)}), "
                f"expected each class once; remove it where it is a copy, else move it elsewhere, or {INSIST}"
            )
    if pieces := parts.pieces(tops):
        raise InputError(
            f"{folder} holds {_several(pieces)}, whose names tell no classes, expected a folder for each class; move what is "
            f"in them into one folder and pass it, or {WRITE}, or {INSIST}"
        )


def _alike(inner: Iterable[list[str]]) -> bool:
    """Whether folders hold folders of the same names, or nearly so: mostly of names that are there twice or more."""
    held = [set(map(parts.letters, names)) for names in inner]
    common = {name for name, count in Counter(name for names in held for name in names).items() if count > 1}
    return len(common) > 1 and all(len(names & common) * 2 > len(names) for names in held)


# ---------------------------------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------------------------------
def _read_parts(folder: str, tops: list[str], division: dict[str, str]) -> Iterator[ImageRow]:
    parts.check_once(division, folder)
    prefixes = {name: _unwrapped(folder, name) for name in division}
    classes = {name: folders_in(os.path.join(folder, prefix)) for name, prefix in prefixes.items()}
    (train,) = (name for name, part in division.items() if part == "train")
    if not classes[train]:
        raise InputError(
            f"{os.path.join(folder, prefixes[train])} has no class folders, expected one for each class; move the images to "
            f"{train}/<class>/, or write a table of path, classname and split; {INSIST}"
        )
    if nested := parts.groups(classes[train]):
        raise InputError(
            f"{os.path.join(folder, prefixes[train])} holds {_several(*nested.values())}, which are parts themselves, expected "
            f"classes; pass it, or move its folders to where {train}/ is; {INSIST}"
        )
    trained = set(map(parts.letters, classes[train]))
    used = {}
    for name, part in division.items():
        place = os.path.join(folder, prefixes[name])
        unknown = len(classes[name]) == 1 < len(trained) and parts.letters(classes[name][0]) not in trained
        if classes[name] and not unknown:
            used[name] = part
        elif files := images_among(list_files(place), place):
            logger.warning(
                "%s holds %s images and no class folders like those of %s/: they have no labels and are not used",
                place,
                f"{len(files):,}",
                train,
            )
        else:
            raise InputError(
                f"{place} holds no images, expected those of {part}, in class folders; add them or remove it"
            )
    if len(used) == 1:
        logger.info("Only %s/ has class folders: its images are divided into train, val and test", train)
        used = {train: ""}
    _tell_of_others(folder, [name for name in tops if name not in division], trained, train)
    _tell_of_loose(folder)
    if any(name != part for name, part in used.items() if part):
        logger.info("Read as parts: %s", ", ".join(f"{name}/ is {part}" for name, part in used.items()))
    for name, part in used.items():
        yield from _read_classes(os.path.join(folder, prefixes[name]), f"{prefixes[name]}/", part)


def _unwrapped(folder: str, name: str) -> str:
    """Where the classes of a part lie: in <part>/<part>/ or <part>/images/, as some archives have it, or in <part>/ itself."""
    inside, prefix = folders_in(os.path.join(folder, name)), name
    while len(inside) == 1 and not _loose(os.path.join(folder, prefix)):
        inner = f"{prefix}/{inside[0]}"
        below = folders_in(os.path.join(folder, inner))
        said = parts.named(inside[0])
        if not (said and said.part == parts.named(name).part or said is None and len(below) > 1):
            break
        prefix, inside = inner, below
    return prefix


def _tell_of_others(folder: str, names: list[str], trained: set[str], train: str) -> None:
    """Warn of the folders beside the parts that hold images. Raises InputError for one that might be a part, too."""
    for name in names:
        place = os.path.join(folder, name)
        inside = set(map(parts.letters, folders_in(place)))
        if inside and len(inside & trained) * 2 > len(inside):
            raise InputError(
                f"{place} holds class folders as {train}/ beside it does, and its name is that of no part, expected train, val "
                f"and test; rename it to the part that it is, or move it elsewhere"
            )
        if files := [file for file in list_files(place) if is_image(file)]:
            logger.warning("%s holds %s images and is no part: they are not used", place, f"{len(files):,}")


def _read_parts_of_classes(folder: str, tops: list[str], divisions: dict[str, dict[str, str]]) -> Iterator[ImageRow]:
    first = next(iter(divisions))
    if whole := [name for name in tops if name not in divisions]:
        raise InputError(
            f"{folder} holds {first}/, which is divided into {_several(divisions[first])}, and {whole[0]}/, which is not, "
            f"expected all classes to be divided alike; divide it, or {INSIST}"
        )
    inner = [folders_in(os.path.join(folder, name, part)) for name, division in divisions.items() for part in division]
    if _alike(inner):
        raise InputError(
            f"{folder} holds {_several(divisions)}, each divided into {_several(divisions[first])}, with folders of the same "
            f"names in them ({_several(max(inner, key=len))}), expected one such division; pass one of {_several(divisions)}, "
            f"or put them together"
        )
    logger.info(
        "Read as parts in each class: %s", ", ".join(f"{name}/ is {part}" for name, part in divisions[first].items())
    )
    _tell_of_loose(folder)
    for name, division in divisions.items():
        parts.check_once(division, os.path.join(folder, name))
        for inner, part in division.items():
            yield from _read_class(folder, f"{name}/{inner}", "", name, part)


# ---------------------------------------------------------------------------------------------------------------------
# Classes
# ---------------------------------------------------------------------------------------------------------------------
def _read_classes(folder: str, prefix: str, part: str) -> Iterator[ImageRow]:
    _tell_of_loose(folder)
    for name in folders_in(folder):
        yield from _read_class(folder, name, prefix, name, part)


def _read_class(folder: str, place: str, prefix: str, name: str, part: str) -> Iterator[ImageRow]:
    path = os.path.join(folder, place)
    files = images_among(list_files(path), path)
    if not files:
        raise InputError(f"the class folder {path} holds no images, expected some; add them or remove the folder")
    for file in files:
        yield ImageRow(f"{prefix}{place}/{file}", nfc(name), nfc(name), part)


def _loose(folder: str) -> list[str]:
    """The images that lie in a folder itself."""
    return sorted(name for name in os.listdir(folder) if is_image(name) and not is_clutter(name))


def _tell_of_loose(folder: str) -> None:
    if files := _loose(folder):
        logger.warning(
            "%s holds %s images beside the folders, such as %s: they are of no class and not used",
            folder,
            f"{len(files):,}",
            files[0],
        )


def _several(folders: Iterable[str], most: int = 4) -> str:
    names = [f"{name}/" for name in folders]
    return ", ".join(names[:most]) + (", ..." if names[most:] else "")
