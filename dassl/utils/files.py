"""Reading and writing files; whatever is written appears whole or not at all."""

from __future__ import annotations

import io
import json
import os
import platform
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import InputError

_STALE_SECONDS = 24 * 60 * 60


@contextmanager
def replace_atomically(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder, which takes the place of `path` when the block succeeds.

    A process killed at any moment leaves the old file or the new one, never half of one. The folder is made if
    needed. Temporary files that killed processes left behind for this `path` are removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{_node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())  # else a power cut could leave the new name with no content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _node() -> str:
    return "".join(c for c in platform.node() if c.isalnum())[:16] or "local"


def _remove_leftovers(path: Path) -> None:
    """Delete temporary files of `path` whose writer is gone.

    A writer of this machine is gone when its process is; one of another machine, on a shared disk, when the file has
    not changed for a day.
    """
    prefix = f".{path.name}."
    for entry in path.parent.iterdir():
        if not (entry.name.startswith(prefix) and entry.name.endswith(".tmp")):
            continue
        parts = entry.name[len(prefix) :].split(".")
        if len(parts) != 4 or not parts[1].isdigit():
            continue
        with suppress(OSError):  # another process may be removing the same file
            dead = parts[0] == _node() and not _is_running(int(parts[1]))
            if dead or time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                entry.unlink()


def _is_running(process_id: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 asks on POSIX only; elsewhere it would end the process
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it runs, but is someone else's
    return True


def mkdir_if_missing(dirname: str | Path) -> None:
    """Make the folder `dirname` and those above it; fine if it exists, and for "" (the present folder)."""
    if dirname:
        os.makedirs(dirname, exist_ok=True)


def listdir_nohidden(path: str | Path, sort: bool = False) -> list[str]:
    """Return the names in folder `path` that do not start with a dot, in the disk's order or sorted."""
    names = [name for name in os.listdir(path) if not name.startswith(".")]
    return sorted(names) if sort else names


def check_isfile(fpath: str | Path) -> bool:
    """Return whether `fpath` is a file, and warn if it is not."""
    found = os.path.isfile(fpath)
    if not found:
        warnings.warn(f'No file found at "{fpath}"', stacklevel=2)
    return found


def read_json(fpath: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: the file is not JSON; the sentence gives the line.
    """
    with open(fpath, encoding="utf-8") as file:
        try:
            return json.load(file)
        except json.JSONDecodeError as error:
            raise InputError(f"{fpath} is not valid JSON: {error.msg}, line {error.lineno}.") from None
        except UnicodeDecodeError:
            raise InputError(f"{fpath} is not valid JSON: it is not UTF-8 text.") from None


def write_json(obj: Any, fpath: str | Path) -> None:
    """Write `obj` to a JSON file in one step, with the same text as Dassl 0.6.3; folders are made as needed."""
    with replace_atomically(fpath) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(obj, file, indent=4, separators=(",", ": "))


def read_image(path: str | Path, content: bytes | None = None) -> Image.Image:
    """Return an image file as a PIL image in RGB.

    As everywhere in the family the EXIF orientation is not applied and transparency is dropped. Unlike there, 16-bit
    grayscale keeps its upper eight bits, where Pillow's conversion would turn all that is above 255 white.

    Args:
        path: where the image is; its name in messages.
        content: the bytes of the file, where they have been read already, out of an archive say.

    Raises:
        InputError: the file is missing, is no readable image, or has pixels whose range is not known.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            image.load()
            if image.mode.startswith("I;16"):
                return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
            if image.mode in ("I", "F"):
                raise InputError(
                    f"The image {path} has 32-bit pixels (mode {image.mode}), whose range is not known; convert it to 8 bits."
                )
            return image if image.mode == "RGB" else image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"The image {path} does not exist.") from None
    except UnidentifiedImageError:
        empty = not content if content is not None else os.path.getsize(path) == 0
        reason = "is empty (0 bytes)" if empty else "is not an image, or of an unknown kind"
        raise InputError(f"{path} {reason}.") from None
    except InputError:
        raise
    # Pillow's decoders raise SyntaxError, ValueError and others for broken data
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"The image {path} cannot be read ({' '.join(str(error).split())}).") from None
