"""Anyone's own labelled images: a folder for each class, or a table of paths and classes."""

from __future__ import annotations

import csv
import logging
import os
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from caspl.ground.errors import InputError
from caspl.ground.files import TEXT_BYTES, load_json, regular
from caspl.ground.images import images_among, is_folder, is_image, list_files
from caspl.ground.texts import repeated

from .files.keys import data_paths, names_path
from .files.registry import register
from .splits.annotations import natural, rename_classes
from .splits.dataset import SplitDataset
from .splits.making import split_classes
from .splits.split_file import Item, Split, check_names, wrong_path

logger = logging.getLogger(__name__)

PART_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
TABLES = (".csv", ".jsonl")
PRIVATE = ".caspl"  # folder beside the images for the split and the few-shot lists; hidden, so that it is no class


class ImageRow(NamedTuple):
    """One image: its path, the key of its class (folder or label), its class name, and its part ("" where not given)."""

    impath: str
    key: str | int
    classname: str
    part: str


@register
class ImageFolder(SplitDataset):
    """The images of the one path in DATASET.PATHS, or of DATASET.ROOT. That path is one of:

    - a folder with a folder for each class, which may hold folders in turn;
    - a folder with the folders train and val, test or both, each with a folder for each class;
    - a table, .csv with a header or .jsonl, with the columns path (relative to the table), label (a number from 0) or
      classname or both, and if wanted split (train, val or test).

    Images that are not divided already are split into 50 % train, 20 % val and 30 % test of each class, the same for every
    seed; the split is kept in the folder .caspl beside the images. Classes are in the order of their labels, else of
    their sorted folders or names. DATASET.CLASSNAMES names a file that gives them other names.
    """

    split_file = "split.json"
    defines_split = True

    def __init__(self, cfg: Any) -> None:
        """Raises InputError, naming file and line, for what cannot be understood."""
        paths = data_paths(cfg)
        if len(paths) > 1:
            raise InputError(
                f"DATASET.PATHS names {len(paths)} paths, expected one folder or table; join several with "
                f"DATASET.NAME UnlabeledImages (for boosting), or in one table"
            )
        self.source, self.names_path = paths[0], names_path(cfg)
        super().__init__(cfg)

    def locate(self, root: str) -> str:
        stem, suffix = os.path.splitext(os.path.basename(self.source))
        if os.path.isdir(self.source):
            self.image_dir, folder = self.source, os.path.join(self.source, PRIVATE)
        elif os.path.isfile(self.source) and suffix.lower() in TABLES:
            self.image_dir = os.path.dirname(self.source)
            folder = os.path.join(self.image_dir, PRIVATE, stem)
        else:
            found = "is no table" if os.path.lexists(self.source) else "does not exist"
            raise InputError(
                f"{self.source} {found}, expected a folder of class folders or a table that ends in "
                f"{' or '.join(TABLES)}; correct --root (DATASET.ROOT) or DATASET.PATHS"
            )
        return folder

    def load_split(self) -> Split:
        rows = list(read_table(self.source) if os.path.isfile(self.source) else read_folder(self.source))
        self.items = label_rows(rows, self.source, self.names_path)
        parts = {row.part for row in rows}
        if parts != {""}:
            self.split_path = self.source  # what to correct where images are missing
            return divided(rows, self.items, self.source)
        with_folder = self._make_private_folder()
        split = super().load_split() if with_folder else self.make_split()
        return self._renewed(split)

    def make_split(self) -> Split:
        return Split(*split_classes(self.items, rng=random.Random(0)))

    def _make_private_folder(self) -> bool:
        """Whether the folder for the split is there; beside images on a read-only disk it cannot be made."""
        try:
            os.makedirs(self.dataset_dir, exist_ok=True)
        except OSError as error:
            logger.warning(
                "%s cannot be made (%s): the split is not kept, every run makes it again",
                self.dataset_dir,
                error.strerror,
            )
        return os.path.isdir(self.dataset_dir)

    def _renewed(self, split: Split) -> Split:
        """A split that was kept, with the labels and names that its images have now."""
        now = {item.impath: item for item in self.items}
        kept = {item.impath for part in split for item in part}
        new = [item for item in self.items if item.impath not in kept]
        unknown = {item.label for item in new} - {now[path].label for path in kept if path in now}
        if unknown:
            name = next(item.classname for item in new if item.label in unknown)
            raise InputError(
                f"the class {name!r} is new, the split kept in {self.split_path} does not know it; delete that "
                f"file to split the images anew"
            )
        if new:
            logger.warning(
                "%d images, such as %s, are not in the split kept in %s and not used; delete that file to split "
                "the images anew",
                len(new),
                new[0].impath,
                self.split_path,
            )
        return Split(*([now.get(item.impath, item) for item in part] for part in split))


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
    trained = {item.label for item in split["train"]}
    for part in ("val", "test"):
        for item in split[part]:
            if item.label not in trained:
                raise InputError(
                    f"{source}: the class {item.classname!r} is in {part} and not in train, expected images of "
                    f"every class in train; add some or remove the class"
                )
    return Split(**split)


def label_rows(rows: list[ImageRow], source: str, names_file: str) -> list[Item]:
    """The items of `rows`: labels by the order of the class keys, names by the file of names where there is one."""
    names: dict[str | int, str] = {}
    for row in rows:
        if names.setdefault(row.key, row.classname) != row.classname:
            raise InputError(
                f"{source}: label {row.key} is called both {names[row.key]!r} and {row.classname!r}, expected "
                f"one class name per label; correct the table"
            )
    keys = sorted(names)
    if isinstance(keys[0], int) and keys != list(range(len(keys))):
        gap = next(label for label in range(keys[-1]) if label not in names)
        raise InputError(
            f"{source} has no image of label {gap}, expected every label from 0 to {keys[-1]}; correct the table"
        )
    if names_file:
        names = dict(zip(keys, rename_classes([str(key) for key in keys], names_file), strict=True))
    unnamed = [key for key in keys if not names[key]]
    if unnamed:
        raise InputError(
            f"{source} has no column classname, and label {unnamed[0]} no name; add the column, or name a "
            f"file with one name per line in DATASET.CLASSNAMES"
        )
    labels = {key: label for label, key in enumerate(keys)}
    check_names({labels[key]: names[key] for key in keys}, source)
    return [Item(row.impath, labels[row.key], names[row.key]) for row in rows]


# ---------------------------------------------------------------------------------------------------------------------
# Folders
# ---------------------------------------------------------------------------------------------------------------------
def read_folder(folder: str) -> Iterator[ImageRow]:
    """The images of a folder of class folders, or of the folders train, val and test in it."""
    names = _folders(folder)
    parts = [name for name in names if name in PART_NAMES]
    if "train" in parts and len(parts) > 1:
        for part in parts:
            yield from _read_classes(os.path.join(folder, part), f"{part}/", PART_NAMES[part])
    else:
        yield from _read_classes(folder, "", "")


def _read_classes(folder: str, prefix: str, part: str) -> Iterator[ImageRow]:
    names = _folders(folder)
    if not names:
        hint = (
            "it holds images itself: pass the folder above"
            if any(map(is_image, os.listdir(folder)))
            else ("put the images of each class into one (images without labels are DATASET.NAME UnlabeledImages)")
        )
        raise InputError(f"{folder} has no class folders, expected one for each class; {hint}")
    if len(names) == 1 and len(_folders(os.path.join(folder, names[0]))) > 1:
        inner = os.path.join(folder, names[0])
        if not any(map(is_image, os.listdir(inner))):
            raise InputError(
                f"{folder} has the one class folder {names[0]}/, which holds folders: the path is one level too "
                f"high; pass {inner}"
            )
    for name in names:
        files = images_among(list_files(os.path.join(folder, name)), os.path.join(folder, name))
        if not files:
            raise InputError(
                f"the class folder {os.path.join(folder, name)} holds no images, expected some; add them or "
                f"remove the folder"
            )
        for file in files:
            yield ImageRow(f"{prefix}{name}/{file}", name, name, part)


def _folders(folder: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if is_folder(entry) and not entry.name.startswith("."))


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------
def read_table(path: str) -> Iterator[ImageRow]:
    """The images of a table; see ImageFolder."""
    folder, given, count = os.path.dirname(path), None, 0
    for number, values in _records(path):
        where, count = f"line {number} of {path}", count + 1
        columns = {name for name in ("path", "label", "classname", "split") if name in values}
        if given is None:
            given = columns
        if columns != given or "path" not in given or not given & {"label", "classname"}:
            raise InputError(
                f"{where} has the columns {', '.join(sorted(values))[:120] or '(none)'}, expected path, and label or "
                f"classname or both, and split or not, the same in every line; correct it"
            )
        text = {name: "" if values[name] is None else str(values[name]).strip() for name in given}
        empty = [name for name in sorted(given) if not text[name]]
        if empty:
            raise InputError(f"{where} has no {empty[0]}, expected one; fill it in or remove the line")
        label, part = text.get("label", ""), text.get("split", "").lower()
        if label and natural(label) is None:
            raise InputError(
                f"{where} has the label {label[:80]!r}, expected a whole number from 0; use the column classname "
                f"for names"
            )
        if part and part not in PART_NAMES:
            raise InputError(f"{where} has the split {part[:80]!r}, expected train, val or test; correct it")
        impath = text["path"]
        if os.path.isabs(impath):
            impath = os.path.relpath(impath.replace("\0", "?"), folder)
        if problem := wrong_path(impath):
            raise InputError(
                f"{where} has {problem} {text['path']}, expected one in the folder of the table; move it there"
            )
        name = text.get("classname", "")
        yield ImageRow(impath.replace(os.sep, "/"), int(label) if label else name, name, PART_NAMES.get(part, ""))
    if not count:
        raise InputError(f"{path} lists no images, expected a line for each; fill it")


def _records(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and values of each line; names of columns in lower case, without spaces and underscores."""
    try:
        with open(regular(path, TEXT_BYTES), encoding="utf-8-sig", newline="") as file:
            if path.lower().endswith(".csv"):
                reader = csv.DictReader(file, strict=True)
                if twice := repeated(map(_plain, reader.fieldnames or ())):
                    raise InputError(f"{path} has the column {twice[0]!r} twice, expected one; remove the other")
                for values in reader:
                    if None in values:
                        raise InputError(
                            f"line {reader.line_num} of {path} has more values than there are columns; put "
                            f"values that hold a comma in quotes"
                        )
                    yield reader.line_num, {_plain(name): value for name, value in values.items()}
                return
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                values = load_json(line)
                if not isinstance(values, dict):
                    raise InputError(
                        f"line {number} of {path} is {line.strip()[:80]!r}, expected an object with path, label "
                        f"and classname; correct it"
                    )
                yield number, {_plain(name): value for name, value in values.items()}
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save it in this encoding") from None
    except ValueError as error:
        reason = str(error).removeprefix("it ")
        raise InputError(f"line {number} of {path} {reason}, expected an object; correct it") from None
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} of {path} is not CSV ({error}); correct it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace(" ", "")
