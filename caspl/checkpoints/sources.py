"""Where a record is found: a file, the folder that a run has left, or `hub:org/name[@revision]` of the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from ..clip.files.repositories import cached, download, is_cached, parse
from ..ground import door
from ..ground.errors import InputError
from .headers import BoostingHeader, Header, RunHeader, maker
from .record import read_record

HUB = "hub:"
CONFIG = "config.json"  # of a folder on the Hub: the header, as its pages show it


def resolve(source: str | Path, *kinds: type[Header]) -> Path:
    """The file that `source` stands for, of one of `kinds`; of several in a folder the first one's.

    Raises InputError, naming what was looked for, where there is none, and as `fetch` for what is on the Hub.
    """
    if str(source).startswith(HUB):
        return fetch(str(source))
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path, kinds)
    names = " or ".join(kind.file_name for kind in kinds)
    if not path.exists():
        like_hub = re.match(r"(hub|hf-hub|hf|https?):", str(source), re.IGNORECASE)
        hint = f"; a repository of the Hub is written {HUB}ORG/NAME" if like_hub else ""
        raise InputError(
            f"there is no file or folder {source}; expected a {names}, or the folder with it, as {_makers(kinds)} leaves "
            f"it{hint}"
        )
    if ".pth" in path.name:
        raise InputError(
            f"{path} is a checkpoint, which does not say what it belongs to; expected a {names}, which {_remedy(kinds)}"
        )
    return path


def _in_folder(folder: Path, kinds: tuple[type[Header], ...]) -> Path:
    names = [kind.file_name for kind in kinds]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    others = [kind for kind in (RunHeader, BoostingHeader) if (folder / kind.file_name).is_file()]
    if others:
        raise InputError(
            f"{folder} holds a {others[0].file_name}, expected a {names[0]}, which {_makers(kinds)} leaves"
        )
    below = sorted({str(file.parent) for name in names for file in folder.rglob(name)})
    if below:
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        raise InputError(f"{folder} is no run, but holds some; name one of {', '.join(below[:3])}{more}")
    if any(".pth" in name for _, _, files in os.walk(folder) for name in files):
        if any((folder.parent / name).is_file() for name in names):
            raise InputError(f"{folder} holds a run's checkpoints; name the run, {folder.parent}")
        raise InputError(f"{folder} holds checkpoints, but no {names[0]}, which {_remedy(kinds)}")
    raise InputError(f"{folder} holds no {' and no '.join(names)}; expected the folder that {_makers(kinds)} leaves")


def _makers(kinds: tuple[type[Header], ...]) -> str:
    return " or ".join(maker(kind) for kind in kinds)


def _remedy(kinds: tuple[type[Header], ...]) -> str:
    if RunHeader in kinds:
        return f"{door.training()} --eval-only --model-dir RUN --output-dir FOLDER and the flags of the run write"
    return f"{_makers(kinds)} leaves"


def on_disk(source: str | Path, kind: type[Header] = BoostingHeader) -> Path | None:
    """The file that `source` has stood for; the Hub is not asked again. None where that is not to be found any more."""
    if str(source).startswith(HUB):
        return cached(*parse(str(source), HUB), kind.file_name)
    with suppress(InputError):
        return resolve(source, kind)
    return None


# ---------------------------------------------------------------------------------------------------------------------
# The Hub
# ---------------------------------------------------------------------------------------------------------------------
def fetch(reference: str) -> Path:
    """The boosting prompts of `hub:org/name` or `hub:org/name@revision` in the Hub's cache; read, and found to be whole.

    A file in the cache is used when the Hub can't be reached. HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are honoured.

    Raises:
        InputError: the name is none, there is no such repository, revision or file, it may not be read, the Hub can't be
            reached and the cache has no copy, or the file is damaged.
    """
    name, revision = parse(reference, HUB)
    cached = is_cached(name, BoostingHeader.file_name, revision)
    path = download(name, BoostingHeader.file_name, revision, reference)
    if path is None:
        raise InputError(f"{name} has no {BoostingHeader.file_name}; expected a repository that caspl share has made")
    if not cached:
        with suppress(InputError):  # not needed, but the Hub counts downloads by it
            download(name, CONFIG, path.parent.name, reference)
    try:
        read_record(path, BoostingHeader)
    except InputError as error:
        raise InputError(
            f"{reference} is damaged: {error}; if its file on the Hub is sound, delete {path.parents[2]} to fetch it again"
        ) from error
    return path
