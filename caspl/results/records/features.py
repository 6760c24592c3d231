"""The file beside a record with the features of each tested image, which TEST.FEATURES asks for: safetensors, two tensors.

    features    [N, E], float16: of the image tower behind its prompts and projection, each of length 1 (L2-normalised)
    labels      [N], int64: the true ones

N images in the order of the dataset's list, as in the predictions. Equal features are equal files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...checkpoints.headers import MOST_CLASSES
from ...ground.errors import InputError, cause
from ...ground.files import regular, replacing
from ...ground.tensors.sealed import check_table
from .files import UNALTERED, sha256_of
from .schema import Features

NAME = "features.safetensors"
TENSORS = {"features": np.dtype(np.float16), "labels": np.dtype(np.int64)}
LARGEST = 2**36  # bytes
LENGTHS = (0.99, 1.01)  # that a feature of length 1 may have in float16


@dataclass(frozen=True)
class Table:
    """What a file holds."""

    features: np.ndarray  # [N, E], float16
    labels: np.ndarray  # [N], int64


def write(folder: str | Path, table: Table) -> Features:
    """Write the file into the folder of a run, in one step, and give what its record says of it.

    Raises OSError where it can't be written.
    """
    path = Path(folder) / NAME
    arrays = {name: np.ascontiguousarray(getattr(table, name), kind) for name, kind in TENSORS.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(arrays))
    return Features(NAME, *table.features.shape, sha256_of(path))


def read(folder: str | Path, said: Features) -> Table:
    """The file in the folder of a run, of which its record has `said` something.

    Raises InputError, in one sentence with the file, where there is none, where it is not the one that the record speaks of, or
    holds other tensors.
    """
    path = Path(folder) / said.file
    try:
        if sha256_of(path) != said.sha256:
            raise InputError(f"{path} is not the file of its run, as the checksum in the record says; {UNALTERED}")
        check_table(path)
        tensors = load(regular(path, LARGEST).read_bytes())
        return _checked(tensors, said)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}, of which the record beside it speaks; copy it, too") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); {UNALTERED}") from None
    except (SafetensorError, ValueError, KeyError) as error:  # InputErrors are ValueErrors, too
        raise error if isinstance(error, InputError) else InputError(f"{path}: {cause(error)}; {UNALTERED}") from None


def _checked(tensors: dict[str, np.ndarray], said: Features) -> Table:
    """Raises ValueError, with a phrase, for tensors that are not as `said`."""
    shapes = {"features": (said.images, said.width), "labels": (said.images,)}
    for name, kind in TENSORS.items():
        found = tensors.get(name)
        if found is None or found.dtype != kind or found.shape != shapes[name]:
            what = "none" if found is None else f"{found.dtype} {list(found.shape)}"
            raise ValueError(f"its tensor {name} is {what}, expected {kind} {list(shapes[name])}")
    if len(tensors) > len(TENSORS):
        raise ValueError(f"it has {len(tensors)} tensors, expected {' and '.join(TENSORS)}")
    table = Table(tensors["features"], tensors["labels"])
    lengths = np.linalg.norm(table.features.astype(np.float32), axis=1)
    if not ((lengths >= LENGTHS[0]) & (lengths <= LENGTHS[1])).all():  # NaN is neither
        raise ValueError("it has features of another length than 1")
    if table.labels.min() < 0 or table.labels.max() >= MOST_CLASSES:
        raise ValueError(f"it has a label out of 0 to {MOST_CLASSES - 1:,}")
    return table
