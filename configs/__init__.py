"""Configuration files: datasets/*.yaml and trainers/<Trainer>/*.yaml, named as in the family.

    python -m caspl.configs CasPL_PromptSRC

lists those whose names contain a word. A host's `--config-file configs/...` means the host's file or, if it has none, ours.
"""

from __future__ import annotations

import difflib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def names() -> list[str]:
    """All files, as they are given to --config-file and --dataset-config-file: configs/..., sorted."""
    return sorted(f"configs/{path.relative_to(FOLDER).as_posix()}" for path in FOLDER.rglob("*.yaml"))


def nearest(path: str | Path) -> str:
    """What to give instead of a file that is not there, as the end of a sentence."""
    close = difflib.get_close_matches(Path(path).as_posix(), names(), n=1, cutoff=0)[0]
    return f"correct the path; the nearest of CasPL's own is {close}"


def find(path: str | Path) -> Path:
    """`path` itself or, where there is no such file and it reads configs/..., the package's file of that name, if any."""
    path = Path(path)
    if not path.exists() and path.parts[:1] == ("configs",):
        own = FOLDER.joinpath(*path.parts[1:])
        if own.is_file():
            return own
    return path
