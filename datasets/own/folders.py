"""Folders of own images: which part and which class each image in them belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterator

from caspl.ground.errors import InputError
from caspl.ground.images import folders_in, images_among, is_image, list_files

from .rows import PART_NAMES, ImageRow


def read_folder(folder: str) -> Iterator[ImageRow]:
    """The images of a folder of class folders, or of the folders train, val and test in it."""
    names = folders_in(folder)
    parts = [name for name in names if name in PART_NAMES]
    if "train" in parts and len(parts) > 1:
        for part in parts:
            yield from _read_classes(os.path.join(folder, part), f"{part}/", PART_NAMES[part])
    else:
        yield from _read_classes(folder, "", "")


def _read_classes(folder: str, prefix: str, part: str) -> Iterator[ImageRow]:
    names = folders_in(folder)
    if not names:
        hint = (
            "it holds images itself: pass the folder above"
            if any(map(is_image, os.listdir(folder)))
            else ("put the images of each class into one (images without labels are DATASET.NAME UnlabeledImages)")
        )
        raise InputError(f"{folder} has no class folders, expected one for each class; {hint}")
    if len(names) == 1 and len(folders_in(os.path.join(folder, names[0]))) > 1:
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
