"""Where the runs of a sweep are started: in the checkout that this package lies in, else where the sweep was called."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .. import configs
from ..ground.yaml_files import read_yaml

PACKAGE = Path(__file__).resolve().parents[1]
DATASETS, TRAINERS = "configs/datasets", "configs/trainers"
TRAIN = ("train.py",)  # of a checkout


@dataclass(frozen=True)
class Place:
    """A folder, and how train.py is called in it.

    Attributes:
        folder: the working directory of the runs, at which the paths of a plan begin.
        program: the words behind `python`.
    """

    folder: Path
    program: tuple[str, ...]

    @property
    def is_checkout(self) -> bool:
        return self.program == TRAIN

    @classmethod
    def of_package(cls, start: Path, package: Path = PACKAGE, settings: Path = configs.FOLDER) -> Place:
        """The checkout around `package`, if its configurations lie in one, else `start`, the folder of the caller."""
        if settings.parent != package and (settings.parent / "train.py").is_file():
            return cls(settings.parent, TRAIN)
        return cls(start, ("-m", "caspl", "train"))

    def from_start(self, path: str, start: Path) -> str:
        """`path`, which begins in the folder of the caller, as it is seen from here; without slashes at its end."""
        if not path.startswith("/") and start != self.folder:
            path = f"{start}/{path}"
        return path.rstrip("/") or path[:1]


# ---------------------------------------------------------------------------------------------------------------------
# Configuration files, those of the working directory before the package's own
# ---------------------------------------------------------------------------------------------------------------------
def trainers() -> list[str]:
    """The names of the trainers that have configurations, sorted."""
    return sorted({entry.name for entry in _entries(TRAINERS) if entry.is_dir() and entry.name[0] not in "._"})


def datasets() -> list[str]:
    """The names that --datasets takes, sorted."""
    return _files(DATASETS)


def configurations(trainer: str) -> list[str]:
    """The names of a trainer's configurations, sorted."""
    return _files(f"{TRAINERS}/{trainer}")


def exists(file: str) -> bool:
    """Whether there is a configuration file of this name, configs/..."""
    return configs.find(file).is_file()


def value(file: str, key: str) -> Any:
    """Of a key such as OPTIM.MAX_EPOCH in a configuration file or its `_BASE_` files; None where it is not set.

    Raises InputError where a file can't be read.
    """
    node: Any = _settings(configs.find(file).resolve())
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


@cache
def _settings(file: Path) -> dict[str, Any]:
    return read_yaml(file, configs.find_base)


def _files(folder: str) -> list[str]:
    return sorted({entry.name.removesuffix(".yaml") for entry in _entries(folder) if entry.name.endswith(".yaml")})


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder configs/... of the working directory and of the package."""
    found = []
    for place in (Path(folder), configs.FOLDER.joinpath(*Path(folder).parts[1:])):
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
            found += list(entries)
    return found
