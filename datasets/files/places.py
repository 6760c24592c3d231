"""Where a dataset lies: its folder under the root, its images in there, and what stands in their place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from dassl.utils import listdir_nohidden

from caspl.ground.errors import InputError
from caspl.ground.images import is_clutter, is_folder
from caspl.ground.texts import letters

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


def absence(path: str) -> str:
    """How to say in a sentence that there is nothing at `path`."""
    return "a symbolic link that leads nowhere or in a circle" if os.path.islink(path) else "missing"


def list_names(folder: str, but_folders: bool = False) -> list[str]:
    """The entries of a folder without clutter, in the order of the disk; `but_folders` leaves out its folders, at no cost.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if not but_folders:
            return [name for name in listdir_nohidden(folder) if not is_clutter(name)]
        files = (entry.name for entry in os.scandir(folder) if not entry.is_dir(follow_symlinks=False))
        return [name for name in files if not is_clutter(name)]
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be read ({error.strerror}), expected images in it; correct its "
            f"permissions or the disk"
        ) from None


def find_dataset(root: str, name: str, marks: Iterable[str], others: Iterable[str] = ()) -> str:
    """The folder `name` under `root`, or one of `others`, the places that re-packed archives unpack to.

    `marks` are entries that such a folder holds. They decide between the places, and tell a wrong root.

    Raises:
        InputError: there is none; says so where the root is one level off.
    """
    if not os.path.isdir(root):
        raise InputError(
            f"the root {root} is not a folder, expected the folder that holds {name}/; correct --root (DATASET.ROOT)"
        )
    marks = [mark for mark in marks if mark]
    folder = os.path.join(root, name)
    for place in (name, *others, f"{name}/{name}"):
        if _holds_any(os.path.join(root, place), marks):
            return os.path.join(root, place)
    if os.path.isdir(folder):
        return folder
    start = f"the dataset folder {folder} is {absence(folder)}"
    if os.path.basename(root) == name or _holds_any(root, marks):
        rename = "" if os.path.basename(root) == name else f"rename it to {name} and "
        raise InputError(
            f"{start}: the root is one level too low, {root} looks like the dataset itself; {rename}pass "
            f"--root {os.path.dirname(root)}"
        )
    entries = sorted(entry.name for entry in os.scandir(root) if is_folder(entry))
    for entry in entries:
        if os.path.isdir(os.path.join(root, entry, name)):
            raise InputError(
                f"{start}: the root is one level too high, the folder lies in {entry}/; pass --root "
                f"{os.path.join(root, entry)}"
            )
    alike = [entry for entry in entries if letters(entry) == letters(name)]
    if alike:
        raise InputError(f"{start}, found {alike[0]}/, expected {name}/; rename it")
    raise InputError(f"{start}, expected it in the root; extract the dataset there or correct --root (DATASET.ROOT)")


def _holds_any(folder: str, marks: Iterable[str]) -> bool:
    return any(os.path.exists(os.path.join(folder, mark)) for mark in marks)


def find_image_folder(dataset_dir: str, names: Sequence[str]) -> str:
    """The image folder of a dataset: the first of `names` that is in `dataset_dir`, which "" stands for itself.

    Raises:
        InputError: there is none; says so where it lies one level deeper or was not extracted yet.
    """
    paths = [os.path.join(dataset_dir, name) if name else dataset_dir for name in names]
    for path in paths:
        if os.path.isdir(path):
            return path
    start = f"the image folder {paths[0]} is {absence(paths[0])}"
    for entry in sorted(os.scandir(dataset_dir), key=lambda entry: entry.name):
        if is_folder(entry) and os.path.isdir(os.path.join(entry.path, names[0])):
            raise InputError(f"{start}, found it in {entry.path}; move what is in there up into {dataset_dir}")
    archives = sorted(name for name in os.listdir(dataset_dir) if name.endswith(ARCHIVES))
    if archives:
        raise InputError(f"{start}, found the archive {archives[0]}; extract it in {dataset_dir}")
    raise InputError(f"{start}, expected the images in it; extract them there")
