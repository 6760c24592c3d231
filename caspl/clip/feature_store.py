"""Features on disk that are the same whenever they are asked for: of images, where nothing in the image tower learns, and of
hand-written texts.

One file then serves every seed, number of shots and method: for a fixed test set all those with the same image tower, plain
CLIP's or boosted by the same prompts; for texts all those with the same CLIP.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ..ground.files import regular, replacing
from ..ground.locks import HeldError, locked
from ..ground.stores import mark_used, no_room
from ..ground.tensors.sealed import check_seal, check_table, sealed
from ..ground.tensors.values import impossible

log = logging.getLogger(__name__)
FILES = "*.safetensors"  # of a store
LARGEST_FEATURE = 1.01  # they are normalised, and rounded to whatever precision
# Seconds for which another process is waited for that computes the same. A lock ends with its process, so this is for one that
# hangs; on shared cores a thousand classes with sixty templates each take more than minutes.
PATIENCE = 3600.0


class FeatureStore:
    """Features [N, E] in files of a folder, named by a digest of everything that decides them."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()

    def get(self, facts: dict, images: Sequence[str], compute: Callable[[], Tensor]) -> Tensor:
        """The features of the images with these paths, as `find`; `facts` says, too, how images are prepared.

        A file that was replaced or changed since counts as another image.
        """
        return self.find(facts, [_image(path) for path in images], compute, f"{len(images):,} images")

    def find(self, facts: dict, rows: Sequence[str], compute: Callable[[], Tensor], what: str) -> Tensor:
        """The features of which `rows` say what each is of, in this order; computed and kept if they are not there yet.

        `facts` (plain values) says how they come about: by which tower, in which format. `what` calls them in the log: "3,000
        texts". One process at a time computes them; another one waits for it, for PATIENCE seconds.
        """
        path = self.folder / f"{digest([json.dumps(facts, sort_keys=True), *rows])}.safetensors"
        seen = _state(path)
        if (found := _found(path, len(rows), what)) is not None:
            return found
        with _alone(path, what):
            if _state(path) != seen and (found := _found(path, len(rows), what)) is not None:
                return found
            begin = time.monotonic()
            features = compute().detach().cpu().contiguous()
            _keep(path, features, facts, f"{what}, computed in {time.monotonic() - begin:.1f} s,")
        return features


def digest(parts: Iterable[str]) -> str:
    """32 hexadecimal digits of SHA-256 over a list of texts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:32]


def _image(path: str) -> str:
    """A file as it is now."""
    status = os.stat(path)
    return f"{os.path.abspath(path)}\n{status.st_size}\n{status.st_mtime_ns}"


def _found(path: Path, rows: int, what: str) -> Tensor | None:
    try:
        features = _read(path, rows)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        log.warning("%s is damaged and will be replaced (%s)", path, error)
        return None
    mark_used(path)
    log.info("Features of %s found in %s", what, path)
    return features


def _read(path: Path, rows: int) -> Tensor:
    """The features in a file. Raises ValueError where they are not those of so many rows, or not what was written."""
    check_table(regular(path))
    check_seal(path)
    features = load_file(path)["features"]
    if features.dim() != 2 or len(features) != rows or not features.numel():
        raise ValueError(f"it has the shape {tuple(features.shape)}, expected {rows} rows")
    if problems := impossible({"features": features}, LARGEST_FEATURE):
        raise ValueError(problems[0])
    return features


def _keep(path: Path, features: Tensor, facts: dict, what: str) -> None:
    try:
        why = no_room(path.parent, features.nbytes)
        if not why:
            with replacing(path) as temporary:
                temporary.write_bytes(sealed(save({"features": features}, metadata={"facts": json.dumps(facts)})))
    except OSError as error:  # a run is worth more than keeping what it used
        why = error.strerror
    if why:
        log.warning("Features of %s are not kept: %s (%s)", what, path, why)
    else:
        log.info("Features of %s kept in %s", what, path)


@contextmanager
def _alone(path: Path, what: str) -> Iterator[None]:
    """One process at a time is in this block for the same `path`, where its disk has locks, and nobody takes too long."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_suffix(".lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock))
        except HeldError as error:
            log.info("Features of %s are being computed by %s; waiting for them", what, error.holder)
            with suppress(HeldError):  # both compute them then, and one of two equal files stays
                stack.enter_context(locked(lock, patience=PATIENCE))
        yield


def _state(path: Path) -> tuple[int, ...] | None:
    """By which a file is told from one that has taken its place; None where there is none."""
    with suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None
