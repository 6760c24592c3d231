"""Tables of own images: which image, class and part each row names."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from caspl.ground.errors import InputError
from caspl.ground.texts import nfc, shown

from ..splits.split_file import wrong_path
from .cells import Table, read_cells
from .classes import check_cell, check_single, has_numbers, read_names, read_numbers
from .columns import choice, find_columns, part_of
from .lookup import Lookup
from .parts import settled
from .rows import ImageRow

logger = logging.getLogger(__name__)


def read_table(path: str, given: Sequence[str] = ()) -> list[ImageRow]:
    """The images of a table; `given` is DATASET.COLUMNS.

    Raises:
        InputError: the table cannot be understood, gives an image several classes, or names images that are not there.
    """
    table = read_cells(path)
    lookup = Lookup(table.folder)
    roles = find_columns(table, lookup, given)
    keys, names = _classes(table, roles)
    parts = _parts(table, roles["split"]) if "split" in roles else [""] * len(keys)
    images = _images(table, roles["path"], lookup, parts, names)
    rows = [ImageRow(*row) for row in zip(images, keys, names, parts, strict=True)]
    _check_once(table, rows)
    return rows


def _classes(table: Table, roles: dict[str, str]) -> tuple[Sequence[int | str], list[str]]:
    """The keys and names of the classes; "" where there are numbers only."""
    for role in ("label", "classname"):
        if role in roles:
            check_single(table, roles[role])
    if "label" in roles and "classname" not in roles and not has_numbers(table.columns[roles["label"]]):
        roles["classname"] = roles.pop("label")
    names = read_names(table, roles["classname"]) if "classname" in roles else [""] * len(table.lines)
    if "label" not in roles:
        return names, names
    known = {role: column for role, column in roles.items() if role not in ("label", "classname")}
    instead = choice(table, known, "classname", roles.get("classname", roles["label"]))
    return read_numbers(table, roles["label"], instead), names


def _parts(table: Table, name: str) -> list[str]:
    words = dict.fromkeys(table.columns[name])
    parts = settled({word: part_of(word) for word in words})
    for row, word in enumerate(table.columns[name]):
        if not parts[word]:
            check_cell(table, name, row)
            raise InputError(
                f"{table.where(row)} has the {table.written[name]} {word[:80]!r}, expected train, val or test; correct it"
            )
    return [parts[word] for word in table.columns[name]]


def _images(table: Table, name: str, lookup: Lookup, parts: Sequence[str], classes: Sequence[str]) -> list[str]:
    """The path of each image, from the folder of the table."""
    values = table.columns[name]
    for row, value in enumerate(values):
        if not value:
            check_cell(table, name, row)
    own_part = part_of(os.path.splitext(os.path.basename(table.path))[0])
    found = lookup.find(values, [part or own_part for part in parts], classes)
    missing = []
    for row, (value, files) in enumerate(zip(values, found.files, strict=True)):
        if len(files) > 1:
            raise InputError(
                f"{table.where(row)} has the {table.written[name]} {value}, which may be {files[0]} or {files[1]} in "
                f"{table.folder}; write the whole path, from there"
            )
        if not files:
            missing.append(row)
            if problem := wrong_path(os.path.relpath(value, table.folder) if os.path.isabs(value) else value):
                raise InputError(
                    f"{table.where(row)} has {problem} {value}, expected one in the folder of the table; move it there"
                )
    if missing:
        raise InputError(_missing(table, name, missing))
    if not found.as_written:
        logger.info("Images of %s are found below %s: %s is %s", table.path, table.folder, values[0], found.files[0][0])
    return [file.replace(os.sep, "/") for (file,) in found.files]


def _missing(table: Table, name: str, rows: list[int]) -> str:
    total, value = len(table.lines), table.columns[name][rows[0]]
    if len(rows) < total:
        return (
            f"{len(rows):,} of the {total:,} images that {table.path} lists are missing, the first is {value} "
            f"(line {table.lines[rows[0]]}); extract the complete images into {table.folder}, or remove their lines"
        )
    return (
        f"none of the {total:,} images that {table.path} lists in {shown(table.written[name])} is in {table.folder} or a "
        f"folder in it, the first would be {value}, whatever its folders and, where it has none, its ending; put the table "
        f"into the folder above its images"
    )


def _check_once(table: Table, rows: list[ImageRow]) -> None:
    """Tell of images that are listed twice. Raises InputError where they are in two classes."""
    first: dict[str, int] = {}
    twice = []
    for number, row in enumerate(rows):
        path = nfc(os.path.normpath(row.impath)) if "/" in row.impath or not row.impath.isascii() else row.impath
        known = first.setdefault(path, number)
        if known == number:
            continue
        twice.append((known, number))
        if rows[known].key != row.key:
            one, other = (repr(rows[at].classname or rows[at].key) for at in (known, number))
            raise InputError(
                f"{table.where(number)} gives {row.impath} the class {other}, and line {table.lines[known]} {one}, expected "
                f"one class for each image: no method here takes images with several (multi-label); keep one of the lines"
            )
    if twice:
        apart = [pair for pair in twice if rows[pair[0]].part != rows[pair[1]].part]
        pair = (apart or twice)[0]
        logger.warning(
            "%s lists %d images more than once, such as %s in the lines %d and %d%s; remove the lines that repeat others",
            table.path,
            len(twice),
            rows[pair[0]].impath,
            *(table.lines[at] for at in pair),
            f", which are in {rows[pair[0]].part} and in {rows[pair[1]].part}" if apart else "",
        )
