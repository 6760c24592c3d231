"""Configuration files named as in the family: datasets/*.yaml, trainers/<Trainer>/*.yaml; bases/*.yaml hold what these share.

    python -m caspl.configs CasPL_PromptSRC
    python -m caspl.configs show configs/trainers/CoOp/vit_b16.yaml

lists those whose names contain a word, and prints one with all that its `_BASE_` files say. docs/configs.md has more. A host's
`--config-file configs/...` means the host's file or, if it has none, ours.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ..ground.errors import InputError, nearest
from ..ground.yaml_files import beside

FOLDER = Path(__file__).resolve().parent
KEY_NAMES = "keys.txt"  # in FOLDER; written by `python -m caspl.configs keys --update`


def names() -> list[str]:
    """All files, as they are given to --config-file and --dataset-config-file: configs/..., sorted."""
    return sorted(shown(path) for kind in ("datasets", "trainers") for path in (FOLDER / kind).rglob("*.yaml"))


@cache
def key_names() -> tuple[str, ...]:
    """Every key that is declared, without asking Dassl, trainers and datasets, whose imports take seconds."""
    return tuple((FOLDER / KEY_NAMES).read_text(encoding="utf-8").splitlines())


def shown(path: Path) -> str:
    """`path` as people write it, configs/... if it is the package's."""
    resolved = path.resolve()
    if resolved.is_relative_to(FOLDER):
        return f"configs/{resolved.relative_to(FOLDER).as_posix()}"
    return os.path.normpath(path)


def find(path: str | Path) -> Path:
    """`path` itself or, where there is no such file and it reads configs/..., the package's file of that name, if any."""
    path = Path(path)
    if not path.exists() and path.parts[:1] == ("configs",):
        own = FOLDER.joinpath(*path.parts[1:])
        if own.is_file():
            return own
    return path


def find_file(path: str | Path) -> Path:
    """As `find`. Raises InputError, with the nearest name of the package's own, where there is no such file."""
    found = find(path)
    if not found.is_file():
        raise InputError(
            f"there is no configuration file {path}; correct the path; the nearest of CasPL's own is "
            f"{nearest(Path(path).as_posix(), names())}"
        )
    return found


def find_base(file: Path, base: str) -> Path:
    """Where the `_BASE_` of `file` is: beside it; else, where the path comes to configs/... or reads so, as `find` has it.

    So a copy of one of ours in a host's configs/ still stands on our bases, and any file can stand on configs/...
    """
    near = beside(file, base)
    if not near.exists():
        for path in (Path(os.path.normpath(near)), Path(os.path.normpath(base))):
            if path.parts[:1] == ("configs",) and find(path).is_file():
                return find(path)
    return near
