"""Anyone's own labelled images: a folder for each class, or a table of paths and classes."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from itertools import chain
from typing import Any

from caspl.ground.errors import InputError
from caspl.ground.texts import nfc, shown

from .files.keys import data_paths, dataset_root, names_file, setting
from .files.registry import register
from .files.storage import is_only_looking
from .own.cells import ENDINGS, beside, conversion, is_table
from .own.copies import find_copies
from .own.folders import WRITE, read_folder
from .own.rows import divided, label_rows
from .own.tables import read_table
from .splits.dataset import SplitDataset
from .splits.making import split_classes
from .splits.split_file import Split

logger = logging.getLogger(__name__)

COMPARED = 10_000  # images that a run looks for copies among; `check` has time for more
PRIVATE = ".caspl"  # folder beside the images for the split and the few-shot lists; hidden, so that it is no class


@register
class ImageFolder(SplitDataset):
    """The images of the one path in DATASET.PATHS, or of DATASET.ROOT. That path is one of:

    - a folder with a folder for each class, which may hold folders in turn;
    - a folder with folders for train and val, test or both, in any spelling, each with a folder for each class, or the
      other way round;
    - a table, .csv or .tsv with a header, .jsonl or .json, whose columns say the image, its class and, if wanted, its part
      (own/columns.py, DATASET.COLUMNS).

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
        self.source, self.names = paths[0], names_file(cfg)
        self.columns = setting(cfg, "COLUMNS")
        hint = beside(self.source, dataset_root(cfg))
        try:
            super().__init__(cfg)
        except InputError as error:
            raise InputError(f"{error}; {hint}" if hint else str(error)) from None
        if hint:
            logger.warning("The folders of %s are read as classes; %s", self.source, hint)

    def locate(self, root: str) -> str:
        stem, suffix = os.path.splitext(os.path.basename(self.source))
        if os.path.isdir(self.source):
            self.image_dir, folder = self.source, os.path.join(self.source, PRIVATE)
        elif os.path.isfile(self.source) and is_table(self.source):
            self.image_dir = os.path.dirname(self.source)
            name = stem if suffix.lower() in (".csv", ".jsonl") else os.path.basename(self.source)
            folder = os.path.join(self.image_dir, PRIVATE, name)
        else:
            found = "is no table" if os.path.lexists(self.source) else "does not exist"
            raise InputError(
                f"{self.source} {found}, expected a folder of class folders or a table that ends in "
                f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}; "
                + (conversion(self.source) or "correct --root (DATASET.ROOT) or DATASET.PATHS")
            )
        return folder

    def load_split(self) -> Split:
        self.split = self._divided()
        if sum(map(len, self.split)) <= COMPARED and not is_only_looking():
            for sentence in self.copies():
                logger.warning("%s: %s", self.source, sentence)
        return self.split

    def copies(self) -> Iterator[str]:
        """A sentence for each kind of copies among the images; see `find_copies`."""
        return find_copies(self.split, self.image_dir)

    def _divided(self) -> Split:
        if os.path.isfile(self.source):
            rows = read_table(self.source, self.columns)
        elif self.columns:
            raise InputError(
                f"DATASET.COLUMNS is {shown(self.columns)}, but {self.source} is a folder, expected a table; take "
                f"the key out, or name the table in DATASET.PATHS"
            )
        else:
            rows = list(read_folder(self.source, self._named))
        self.items = label_rows(rows, self.source, self.names)
        parts = {row.part for row in rows}
        if parts != {""}:
            self.split_path = self.source  # what to correct where images are missing
            return divided(rows, self.items, self.source)
        return self._renewed(super().load_split())

    def _named(self, folders: list[str]) -> bool:
        """Whether the file of class names has a line for each of the folders."""
        return bool(self.names) and self.names.names_each([nfc(name) for name in folders])

    def make_split(self) -> Split:
        try:
            return Split(*split_classes(self.items, rng=random.Random(0)))
        except InputError as error:
            raise InputError(f"{self.source}: {error}") from None

    def check_images(self, split: Split) -> None:
        super().check_images(split)
        names = {item.classname for part in split for item in part}
        if len({item.label for item in split.train}) == 1:
            raise InputError(
                f"{self.source} has the one class {min(names)!r}, expected two or more to tell apart; add the others, "
                f"correct the path, or {WRITE}"
            )

    def _renewed(self, split: Split) -> Split:
        """A split that was kept, with the labels and names that its images have now; without those that are gone."""
        now = {nfc(item.impath): item for item in self.items}
        kept = {nfc(item.impath): item for item in chain(*split)}
        new = [item for path, item in now.items() if path not in kept]
        gone = [item for path, item in kept.items() if path not in now]
        moved = [now[path] for path, item in kept.items() if path in now and now[path].label != item.label]
        anew = "delete that file to split the images anew"
        renewed = Split(*([now[path] for path in map(nfc, paths) if path in now] for paths in _paths(split)))
        trained = {item.label: item.classname for item in renewed.train}
        unknown = [item for item in self.items if item.label not in trained]
        if unknown:
            raise InputError(
                f"the class {unknown[0].classname!r} is new, the split kept in {self.split_path} does not know it; {anew}"
            )
        if not renewed.test:
            raise InputError(
                f"{self.source} has none of the test images of the split kept in {self.split_path}; {anew}"
            )
        for images, what in (
            (new, "are not in the split kept in %s and not used"),
            (gone, "of the split kept in %s are gone"),
            (moved, "have another label than when the split kept in %s was made, and stay in train, val or test"),
        ):
            if images:
                logger.warning(f"%d images, such as %s, {what}; {anew}", len(images), images[0].impath, self.split_path)
        return renewed


def _paths(split: Split) -> Iterator[list[str]]:
    return ([item.impath for item in part] for part in split)
