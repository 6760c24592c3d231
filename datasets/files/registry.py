"""Dassl's registry of datasets: entering one, and finding and reading one by its name."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence

from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase
from yacs.config import CfgNode

from caspl.border.registration import enter
from caspl.ground.errors import InputError
from caspl.ground.keys import check, put

from .keys import KEYS, extend_cfg


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


def read_dataset(name: str, root: str, shots: int = -1, seed: int = 1, options: Sequence[str] = ()) -> DatasetBase:
    """The dataset `name` under `root`, as a run with these shots and this seed reads it.

    `options` are keys of the section DATASET, each with its value, as in the command of a run.

    Raises:
        InputError: it is not there, or not as expected.
    """
    cfg = get_cfg_default()
    cfg.SEED = seed
    cfg.DATASET.ROOT, cfg.DATASET.NAME, cfg.DATASET.NUM_SHOTS = root, name, shots
    kind = dataset_class(name)
    extend_cfg(cfg)
    if options:
        _put_options(cfg, options)
    return kind(cfg)


def _put_options(cfg: CfgNode, options: Sequence[str]) -> None:
    known = [key.name for key in KEYS]
    for name, *value in zip(options[::2], options[1::2], strict=False):
        if name not in known:
            raise InputError(f"there is no key {name!r} of a dataset, expected one of {', '.join(known)}; correct it")
        try:
            put(cfg, name, literal_eval(*value))
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            put(cfg, name, *value)
    if len(options) % 2:
        raise InputError(f"{options[-1]!r} stands alone, expected keys with a value each; add it")
    check(cfg, KEYS)
