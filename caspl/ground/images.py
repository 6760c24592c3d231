"""Images on a disk: finding them in folders of any depth, and reading them. Needs no PyTorch."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import InputError
from .files import regular
from .texts import nfc

log = logging.getLogger(__name__)

# What an image may be. Pillow knows more kinds, some of which are programs: of a picture in EPS it asks Ghostscript.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF")
# Images that Pillow does not know: of phones, cameras, hospitals, drawings
OTHER_SUFFIXES = frozenset(
    (".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dcm", ".nii", ".svg")
)
MOST_PIXELS = 178_956_970  # above which Pillow calls an image a bomb: half a gigabyte in RGB
MOST_BYTES = 2**27  # of a file; through as many bytes of junk a decoder searches for seconds
MOST_STRETCHED = (
    1_000  # the longer side by the shorter: as much longer is the image when its shorter side has been resized
)

# Pillow warns of large images, which are bounded above, and of broken metadata, which changes no pixel
warnings.filterwarnings("ignore", module=r"PIL\.")


# ---------------------------------------------------------------------------------------------------------------------
# Finding
# ---------------------------------------------------------------------------------------------------------------------
@cache
def image_suffixes() -> frozenset[str]:
    """The endings of the names of image files, in lower case and with the dot."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)


def is_image(name: str) -> bool:
    """Whether a file of that name would be an image."""
    return _suffix(name) in image_suffixes()


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def images_among(files: Sequence[str], folder: str) -> list[str]:
    """The images among the files of a folder; those of a kind that is known and not read are a warning."""
    kinds = (Image.registered_extensions().keys() | OTHER_SUFFIXES) - image_suffixes()
    others = [file for file in files if _suffix(file) in kinds]
    if others:
        log.warning(
            "%s in %s%s left out: such files are not read as images, expected %s; convert them",
            others[0],
            folder,
            f" and {len(others) - 1:,} more are" if others[1:] else " is",
            ", ".join(FORMATS),
        )
    return [file for file in files if is_image(file)]


# What systems, archives and notebooks leave in folders, beside hidden files: no class, no image (an "._a.jpg" is none)
CLUTTER = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found")
    + ("@eadir", "#recycle", "__pycache__")
)


def is_clutter(name: str) -> bool:
    """Whether an entry of a folder or an archive, by its name alone, is hidden or left there by a system."""
    return name.startswith(".") or name.casefold() in CLUTTER


def in_clutter(path: str) -> bool:
    """Whether a path with "/" has such a part: the name of the file, or of a folder that it is in."""
    return any(is_clutter(part) for part in path.split("/") if part not in (".", ".."))


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry of a folder is a folder or a link to one; False for a link that leads nowhere or in a circle."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def folders_in(folder: str) -> list[str]:
    """The names of the folders in `folder`, and of the links to some, sorted; without clutter.

    Raises:
        InputError: it cannot be read.
    """
    return sorted((entry.name for entry in _entries(folder) if is_folder(entry)), key=_by_name)


def list_files(folder: str) -> list[str]:
    """The files below `folder`, in folders of any depth: paths relative to it with "/", sorted; without clutter.

    Symbolic links are followed.

    Raises:
        InputError: a link leads back to a folder that contains it, or a folder cannot be read.
    """
    return sorted(_walk(folder, "", ()), key=_by_name)


def _by_name(path: str) -> tuple[str, str]:
    """The place of a path among others, the same whether a disk keeps accents with their letters or beside them."""
    return nfc(path), path


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        return [entry for entry in os.scandir(folder) if not is_clutter(entry.name)]
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be read ({error.strerror}), expected images in it; correct the "
            f"path or its permissions"
        ) from None


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    entries = _entries(folder)
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise InputError(
            f"{folder} is a link to a folder that contains it, expected folders that end somewhere; remove the link"
        )
    for entry in entries:
        if is_folder(entry):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", (*above, here))
        else:
            yield prefix + entry.name


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------
def read_image(path: str | Path, content: bytes | None = None) -> Image.Image:
    """An image file in RGB: one of FORMATS, of at most MOST_BYTES and MOST_PIXELS; the first picture of several in it.

    As everywhere in the family the EXIF orientation is not applied and transparency is dropped. Unlike there, 16-bit gray
    keeps its upper byte, where Pillow's conversion would turn all that is above 255 white.

    Args:
        path: where the image is; its name in messages.
        content: the bytes of the file, where they have been read already, out of an archive say.

    Raises:
        InputError: the file is missing, empty, too large, no file, no image, broken, or has 32-bit pixels, whose range is
            not known.
    """
    try:
        file = regular(path, MOST_BYTES) if content is None else io.BytesIO(content)
        with Image.open(file, formats=_known_formats()) as image:
            return to_rgb(image, path)
    except UnidentifiedImageError:
        empty = os.path.getsize(path) == 0 if content is None else not content
        reason = "is empty (0 bytes)" if empty else "is no image of a known kind"
        raise InputError(f"{path} {reason}, expected an image; replace or remove it") from None
    except FileNotFoundError:
        raise InputError(f"there is no image {path}; check the path") from None
    except InputError:
        raise
    except Exception as error:  # bytes that are no valid image can raise anything
        raise _broken(path, error) from None


@cache
def _known_formats() -> list[str]:
    """Those of FORMATS that this Pillow has; it takes MPO for a JPEG at first."""
    Image.init()
    return [kind for kind in FORMATS if kind in Image.OPEN]


def to_rgb(image: Image.Image, name: str | Path = "the image") -> Image.Image:
    """A PIL image in RGB, as `read_image` gives that of a file; `name` is what messages call it. Raises InputError."""
    _check_size(*image.size, name)
    try:
        image.load()
        if image.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
        if image.mode in ("I", "F"):
            raise InputError(f"{name} has 32-bit pixels ({image.mode}), whose range is not known; convert it to 8 bits")
        return image if image.mode == "RGB" else image.convert("RGB")
    except InputError:
        raise
    except Exception as error:  # decoding begins only here
        raise _broken(name, error) from None


def _check_size(width: int, height: int, name: str | Path) -> None:
    found = f"{name} has {width:,} x {height:,} pixels"
    if min(width, height) < 1:
        raise InputError(f"{found}, expected some; replace or remove it")
    if width * height > MOST_PIXELS:
        raise InputError(f"{found}, expected at most {MOST_PIXELS:,}; make it smaller or remove it")
    if max(width, height) > MOST_STRETCHED * min(width, height):
        raise InputError(f"{found}, expected one side at most {MOST_STRETCHED:,} times the other; cut or remove it")


def _broken(name: str | Path, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError):
        reason = "there is not enough memory for it"
    elif not isinstance(
        error, OSError | SyntaxError | ValueError | Image.DecompressionBombError
    ):  # in which decoders put a message of their own
        reason = f"{type(error).__name__}: {reason}"
    return InputError(f"{name} cannot be read ({reason}); replace or remove it")
