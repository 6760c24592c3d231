"""Small copies of test images, as a page can hold them. They are drawn anew: no byte of a file goes into the page."""

from __future__ import annotations

import base64
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath

from ....ground.errors import InputError
from ....ground.images import read_image
from ....ground.texts import letters
from ...names import known_dataset
from ...reading.run import Run

MOST_PICTURES = 2_400  # on one page: about 5 MB
MOST_OF_A_TEST = 32
SIDE = 64  # pixels of the longer side
TINY = 32  # up to which an image is kept pixel for pixel
QUALITY = 70
MOST_FOLDERS = 300  # of a folder that are looked into
MOST_TRIED = 3  # images of a dataset before it is called missing


@dataclass(frozen=True)
class Picture:
    address: str
    size: int  # pixels of its longer side


class Finder:
    """Images of tests, wherever their datasets lie now.

    Args:
        folder: below which the runs lie.
        tests: how many there are on the page, which share its pictures.

    Attributes:
        each: pictures of a test, at most.
        missing: how many images were asked for in vain, by dataset and its root as the runs say it.
    """

    def __init__(self, folder: Path, tests: int) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.each = min(MOST_OF_A_TEST, MOST_PICTURES // max(tests, 1))
        self.missing: Counter[tuple[str, str]] = Counter()
        self._places: dict[tuple[str, str], Path] = {}
        self._pictures: dict[Path, Picture | None] = {}

    def picture(self, run: Run, image: str) -> Picture | None:
        """A copy of an image that a run tested, by its path in the dataset; None where it can't be had."""
        key = run.dataset, run.record.configuration.settings.get("DATASET.ROOT", "")
        if key not in self._places and self.missing[key] < MOST_TRIED and _is_inside(image):
            for root in self._roots(run, key[1]):
                if (place := _folder_with(image, root, run.dataset)) is not None:
                    self._places[key] = place
                    break
        place = self._places.get(key)
        if place is None or not _is_inside(image) or not (place / image).is_file():
            self.missing[key] += 1
            return None
        if place / image not in self._pictures:
            self._pictures[place / image] = _drawn(place / image)
        return self._pictures[place / image]

    def _roots(self, run: Run, root: str) -> Iterator[Path]:
        """Where DATASET.ROOT may be: as it is given, from here or from where the run was started."""
        yield Path(os.path.abspath(root))
        output = Path(run.record.configuration.settings.get("OUTPUT_DIR", ""))
        own = (self.folder / run.path).parent
        if output.parts and not output.is_absolute() and own.parts[-len(output.parts) :] == output.parts:
            yield Path(*own.parts[: -len(output.parts)]) / root


def _is_inside(image: str) -> bool:
    """Whether a path leads into the dataset and not out of it."""
    path = PurePosixPath(image)
    return bool(path.parts) and not path.is_absolute() and not {"..", "\\", "\0"} & {*path.parts, *image}


def _folder_with(image: str, root: Path, dataset: str) -> Path | None:
    """The folder, at most two below `root`, that has an image at this path: one of the dataset's name, else the only one."""
    folders = [root, *_folders(root)]
    named = [folder for folder in folders if _is_called(folder, dataset)]
    if (found := next(_having(image, named), None)) is not None:
        return found
    others = [*islice(_having(image, folders), 2)]
    return others[0] if len(others) == 1 else None


def _having(image: str, folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (place for place in (folder, *_folders(folder)) if (place / image).is_file())


def _is_called(folder: Path, dataset: str) -> bool:
    return dataset in (folder.name, known_dataset(folder.name)) or letters(folder.name) == letters(dataset)


@cache
def _folders(folder: Path) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names[:MOST_FOLDERS]]


def _drawn(path: Path) -> Picture | None:
    """None for what is no image, which the test of the run had read."""
    try:
        image = read_image(path)
    except InputError:
        return None
    file = io.BytesIO()
    kind = "png" if max(image.size) <= TINY else "jpeg"
    image.thumbnail((SIDE, SIDE))
    image.info.clear()  # no profile, comment or place where a photo was taken goes along
    image.save(file, kind, optimize=True, **({"quality": QUALITY} if kind == "jpeg" else {}))
    return Picture(f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}", max(image.size))
