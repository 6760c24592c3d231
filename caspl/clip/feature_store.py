"""Image features on disk: with nothing learned in the image tower, those of a fixed test set never change.

One file then serves every seed, number of shots and method with the same image tower: plain CLIP, or boosted by the same
prompts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ..ground.files import regular, replacing
from ..ground.stores import mark_used
from ..ground.tensors.sealed import check_seal, check_table, sealed
from ..ground.tensors.values import impossible

log = logging.getLogger(__name__)
LARGEST_FEATURE = 1.01  # they are normalised, and rounded to whatever precision


class FeatureStore:
    """Features [N, E] in files of a folder, named by a digest of everything that decides them."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()

    def get(self, facts: dict, images: Sequence[str], compute: Callable[[], Tensor]) -> Tensor:
        """The features of the images with these paths, in this order; computed and kept if they are not there yet.

        `facts` (plain values) says which tower they are from and how images are prepared. A file that was replaced or
        changed since counts as another image.
        """
        path = self.folder / f"{digest([json.dumps(facts, sort_keys=True), *map(_state, images)])}.safetensors"
        try:
            features = _read(path, len(images))
            mark_used(path)
            return features
        except FileNotFoundError:
            pass
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            log.warning("%s is damaged and will be replaced (%s)", path, error)
        features = compute().detach().cpu().contiguous()
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(sealed(save({"features": features}, metadata={"facts": json.dumps(facts)})))
        except OSError as error:  # an evaluation is worth more than keeping what it used
            log.warning("Features of %d images are not kept: %s (%s)", len(features), path, error.strerror)
        else:
            log.info("Features of %d images kept in %s", len(features), path)
        return features


def _read(path: Path, images: int) -> Tensor:
    """The features in a file. Raises ValueError where they are not those of so many images, or not what was written."""
    check_table(regular(path))
    check_seal(path)
    features = load_file(path)["features"]
    if features.dim() != 2 or len(features) != images or not features.numel():
        raise ValueError(f"it has the shape {tuple(features.shape)}, expected {images} rows")
    if problems := impossible({"features": features}, LARGEST_FEATURE):
        raise ValueError(problems[0])
    return features


def digest(parts: Iterable[str]) -> str:
    """32 hexadecimal digits of SHA-256 over a list of texts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:32]


def _state(path: str) -> str:
    status = os.stat(path)
    return f"{os.path.abspath(path)}\n{status.st_size}\n{status.st_mtime_ns}"
