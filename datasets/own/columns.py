"""Which columns of a table say what: the image, its class (a number, a name, or both) and its part of the dataset.

A table with `path` and `label` or `classname` says it itself, and may have `split`. In another table the images are the
column whose values name files that are there; the class is the column called class, label, target or category, or else the only
other one whose values repeat; and the part is a column that holds nothing but words for train, val and test. What is not
clear from this is refused, and DATASET.COLUMNS says it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from caspl.ground.errors import InputError, nearest
from caspl.ground.images import is_image
from caspl.ground.texts import shown

from ..files.keys import COLUMNS
from ..splits.annotations import natural
from .cells import Table, key_of, plain
from .classes import has_numbers, one_to_one
from .lookup import Lookup
from .parts import named

logger = logging.getLogger(__name__)


CLASS = r"class|classes|label|labels|target|targets|category|categories"
CLASS_HEADER = re.compile(rf"({CLASS}|y)(id|ids|idx|index|no|num|number|code|name|names|label|labels)?")
SPLIT_HEADER = re.compile(r"(k?folds?|sets?|subset|partition|split|dataset|isvalid|istest|istrain(ing)?)(no|id)?")
IMAGE_HEADER = re.compile(r"(images?|imgs?|files?|photos?|pictures?|pics?|frames?)?(paths?|names?|files?|ids?|url)?")
INDEX_HEADER = re.compile(r"|unnamed:\d+|index|idx|level\d+")
MARKS = ({"", "0", "1", "-1"}, {"", "0.0", "1.0", "-1.0"}, {"True", "False"})  # what stands in a column for one class
ONES = {"1", "1.0", "True"}
SAMPLE = 200  # values that show whether a column names images


def find_columns(table: Table, lookup: Lookup, given: Sequence[str]) -> dict[str, str]:
    """The columns of a table by what they say, {"path": "idcode", "label": "diagnosis"}; `given` is DATASET.COLUMNS.

    Raises:
        InputError: that is not clear, or `given` names a column that is not there; the sentence has the headers as written.
    """
    roles = _given(table, given)
    own = {role: role for role in COLUMNS if role in table.columns}
    if not given and "path" in own and own.keys() & {"label", "classname"} and _is_plain(table, own):
        _tell_of_parts(table, own)
        if "classname" not in own and (names := _names_beside(table, "label", own)):
            own["classname"] = names[0]
        return own
    if "path" not in roles:
        roles["path"] = own.get("path") or _image_column(table, lookup, roles)
    if "split" not in roles and (split := own.get("split") or _split_column(table, roles)):
        roles["split"] = split
    if not roles.keys() & {"label", "classname"}:
        roles |= _class_columns(table, roles)
    used = set(roles.values())
    others = [table.written[name] for name in table.columns if name not in used and name]
    logger.info(
        "Columns of %s: %s%s",
        table.path,
        ", ".join(f"{role} is {shown(table.written[name])}" for role, name in roles.items()),
        f"; not read: {', '.join(map(shown, others))}" if others else "",
    )
    return roles


def _is_plain(table: Table, own: Mapping[str, str]) -> bool:
    return "label" not in own or all(natural(cell) is not None for cell in set(table.columns["label"]))


def _given(table: Table, given: Sequence[str]) -> dict[str, str]:
    headers = {role.strip(): header for role, _, header in (entry.partition("=") for entry in given)}
    wrong = [role for role, header in headers.items() if plain(header) not in table.columns]
    if wrong:
        right = {
            role: nearest(header, table.written.values()) or "" if role in wrong else header
            for role, header in headers.items()
        }
        raise InputError(
            f"DATASET.COLUMNS says that {wrong[0]} is {shown(headers[wrong[0]])}, but {table.path} has the columns "
            f"{table.headers()}; write {advice(right)} or another of them"
        )
    return {role: plain(header) for role, header in headers.items()}


def part_of(word: str) -> str:
    """The part of a dataset that a word says: "train", "val", "test", "eval" (see `settled`), or "" where it says none."""
    said = named(word)
    return said.part if said and not said.rest else ""


def advice(roles: Mapping[str, str]) -> str:
    """DATASET.COLUMNS as a command line takes it, for columns as the file calls them."""
    return key_of("DATASET.COLUMNS", [f"{role}={header}" for role, header in roles.items()])


def choice(table: Table, roles: Mapping[str, str], role: str, column: str) -> str:
    """DATASET.COLUMNS with the roles that are known and one more."""
    return advice({name: table.written[known] for name, known in roles.items()} | {role: table.written[column]})


# ---------------------------------------------------------------------------------------------------------------------
# Images
# ---------------------------------------------------------------------------------------------------------------------
def _image_column(table: Table, lookup: Lookup, roles: Mapping[str, str]) -> str:
    """The column whose values name images that are there; where none are, the one that would by its header or its values."""
    names = [name for name in table.columns if name not in roles.values()]
    files = {name: lookup.find(_sample(table.columns[name])).files for name in names if _may_name_images(table, name)}
    found = {name: paths for name, paths in files.items() if 2 * sum(map(bool, paths)) >= len(paths)}
    if not found:
        like = [name for name in names if 2 * sum(map(is_image, _sample(table.columns[name]))) > 1] or [
            name for name in names if name and IMAGE_HEADER.fullmatch(name)
        ]
        if len(like) == 1:
            return like[0]
        if len(table.columns) < 2:
            raise InputError(
                f"{table.path} has the one column {table.headers()}, expected two or more with commas, semicolons, tabs or "
                f"bars between them, one with the images and one with their classes; correct it"
            )
        if not lookup.images:
            raise InputError(
                f"{table.path} has the columns {table.headers()}, and there are no images in {table.folder} or the folders in "
                f"it; put the table into the folder above the images, or, where its cells are pixels, write these as images"
            )
        example = next(iter([*like, *files, *names]), "")
        raise InputError(
            f"{table.path} has the columns {table.headers()}, and none names images that are in {table.folder} or the folders "
            f"in it; put the table into the folder above the images, or say which names them, such as "
            f"{choice(table, roles, 'path', example)}"
        )

    def rank(name: str) -> tuple[bool, int]:
        column = table.columns[name]
        return any(map(is_image, _sample(column))), len(set(column))

    most = max(map(rank, found))
    best = [name for name in found if rank(name) == most]
    if any(found[name] != found[best[0]] for name in best):
        raise InputError(
            f"{table.path} has several columns whose values name images, {_either(table, best)}; say which is meant, such as "
            f"{choice(table, roles, 'path', best[0])}"
        )
    return best[0]


def _may_name_images(table: Table, name: str) -> bool:
    """An index, or numbers of classes, may be names of files by chance: 0, 1, 2 ... of 0.png, 1.png, 2.png ..."""
    other = any(header.fullmatch(name) for header in (INDEX_HEADER, CLASS_HEADER, SPLIT_HEADER))
    return not other or any(map(is_image, _sample(table.columns[name])))


def _sample(column: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(value for value in column if value))[:SAMPLE]


# ---------------------------------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------------------------------
def _split_column(table: Table, roles: Mapping[str, str]) -> str | None:
    names = [name for name in table.columns if name not in roles.values() and _says_parts(table.columns[name])]
    if len(names) > 1:
        raise InputError(
            f"{table.path} has several columns with the words train, val or test, {_either(table, names)}; say which "
            f"divides the images, such as {choice(table, roles, 'split', names[0])}"
        )
    return names[0] if names else None


def _says_parts(column: Sequence[str]) -> bool:
    parts = {part_of(value) for value in set(column)} if len(set(column)) < 10 else {""}
    return "" not in parts and "train" in parts and len(parts) > 1


def _tell_of_parts(table: Table, roles: Mapping[str, str]) -> None:
    if "split" not in roles and (name := _split_column(table, roles)):
        logger.warning(
            "the column %s of %s is not read, the images are divided anew; to read it write %s",
            shown(table.written[name]),
            table.path,
            choice(table, roles, "split", name),
        )


# ---------------------------------------------------------------------------------------------------------------------
# Classes
# ---------------------------------------------------------------------------------------------------------------------
def _class_columns(table: Table, roles: Mapping[str, str]) -> dict[str, str]:
    """The column with the number of the class, that with its name, or both."""
    rest = [name for name in table.columns if name and name not in roles.values()]
    others = [name for name in rest if not INDEX_HEADER.fullmatch(name) and not SPLIT_HEADER.fullmatch(name)]
    own = [name for name in ("label", "classname") if name in others]
    called = [name for name in others if CLASS_HEADER.fullmatch(name)]
    about = [name for name in others if re.search(rf"(?<![a-z])({CLASS})(?![a-z])", _spread(table.written[name]))]
    repeating = [name for name in others if 1 < len(set(table.columns[name])) < len(table.lines)]
    alike = [name for name in others if len(set(table.columns[name])) < max(2, len(table.lines))]
    candidates = own or called or about or (repeating if len(others) > 1 else alike)
    if not own and not called and not about:
        _check_single_columns(table, roles, others)
    if not candidates:
        raise InputError(
            f"{table.path} has the columns {table.headers()}, and none that could be the class of an image, expected one "
            f"with its name or number, which many images have; add a column classname"
        )
    numbered = [name for name in candidates if has_numbers(table.columns[name])]
    named = [name for name in candidates if name not in numbered]
    if len(numbered) < 2 and len(named) < 2:
        if numbered and named and not one_to_one(table.columns[numbered[0]], table.columns[named[0]]):
            raise _unclear(table, roles, candidates)
        if not named:  # names may stand beside numbers under any header
            named = _names_beside(table, numbered[0], roles)
        elif not numbered:
            numbered = _partner(table, named[0], [name for name in called if has_numbers(table.columns[name])])
        return {role: names[0] for role, names in (("label", numbered), ("classname", named)) if names}
    raise _unclear(table, roles, candidates)


def _names_beside(table: Table, number: str, roles: Mapping[str, str]) -> list[str]:
    """The column of names that says the same as one of numbers, where there is one such, whatever its header."""
    others = [name for name in table.columns if name not in roles.values() and not has_numbers(table.columns[name])]
    return _partner(table, number, others) if len(set(table.columns[number])) > 1 else []


def _partner(table: Table, name: str, others: Sequence[str]) -> list[str]:
    """The one of the others that says the same of each image."""
    found = [other for other in others if other != name and one_to_one(table.columns[name], table.columns[other])]
    return found if len(found) == 1 else []


def _unclear(table: Table, roles: Mapping[str, str], candidates: Sequence[str]) -> InputError:
    names = [name for name in candidates if not has_numbers(table.columns[name])]
    name = min(names or candidates, key=lambda name: len(set(table.columns[name])))
    role = "classname" if names else "label"
    return InputError(
        f"{table.path} has the columns {table.headers()}, and the class may be {_either(table, candidates)}; say which it is, "
        f"such as {choice(table, roles, role, name)}"
    )


def _check_single_columns(table: Table, roles: Mapping[str, str], names: Sequence[str]) -> None:
    """Refuse a column of 0 and 1 for each class."""
    marks = [name for name in names if any(set(table.columns[name]) <= marks for marks in MARKS)]
    marks = [name for name in marks if any(table.columns[name])]
    counts = [sum(cell in ONES for cell in row) for row in zip(*(table.columns[name] for name in marks), strict=True)]
    once = set(counts) == {1}
    if len(marks) < 2 or not once and len(marks) < min(3, len(names)):
        return
    other = next((name for name in names if name not in marks), None)
    hint = (
        f", or, if {shown(table.written[other])} is the class, {choice(table, roles, 'classname', other)}"
        if other
        else ""
    )
    found = f"{table.path} has a column of 0 and 1 for each class, {_either(table, marks, 'and')}"
    if once:
        written = [table.written[name] for name in marks] if len(marks) < 10 else "names of these columns"
        raise InputError(
            f"{found} (one-hot), expected one column with the name of the class; write a column classname with the name of the "
            f"column that is 1 (pandas: table['classname'] = table[{written}].idxmax(axis=1)){hint}"
        )
    several = next(row for row, count in enumerate(counts) if count != 1)
    raise InputError(
        f"{found}, of which {counts[several]} are 1 in {table.where(several)}: such images have several labels or none "
        f"(multi-label), which no method here takes, expected one class for each image; keep the lines with one and "
        f"write it in a column classname{hint}"
    )


def _either(table: Table, names: Iterable[str], word: str = "or") -> str:
    written = [shown(table.written[name], 40) for name in names]
    if len(written) > 6:
        written = [*written[:5], f"{len(written) - 5} more"]
    return f" {word} ".join(filter(None, (", ".join(written[:-1]), written[-1])))


def _spread(header: str) -> str:
    """A header in lower case with its words apart: "Finding Labels", "imageClass"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header).lower()
