"""Dassl's registry of datasets: entering one, and finding and reading one by its name."""

from __future__ import annotations

from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase

from caspl.ground.errors import InputError
from caspl.registration import enter


def register(dataset: type) -> type:
    """Class decorator: register a dataset, unless the host has one of that name (CoOp's own, in CoOp's checkout)."""
    enter(DATASET_REGISTRY, dataset)
    return dataset


def dataset_class(name: str) -> type[DatasetBase]:
    """The registered dataset of that name.

    Raises:
        InputError: there is none.
    """
    known = sorted(DATASET_REGISTRY.registered_names())
    if name not in known:
        raise InputError(f"no dataset is called {name!r}, expected one of {', '.join(known)}")
    return DATASET_REGISTRY.get(name)


def read_dataset(name: str, root: str, shots: int = -1, seed: int = 1) -> DatasetBase:
    """The dataset `name` under `root`, as a run with these shots and this seed reads it.

    Raises:
        InputError: it is not there, or not as expected.
    """
    cfg = get_cfg_default()
    cfg.SEED = seed
    cfg.DATASET.ROOT, cfg.DATASET.NAME, cfg.DATASET.NUM_SHOTS = root, name, shots
    return dataset_class(name)(cfg)
