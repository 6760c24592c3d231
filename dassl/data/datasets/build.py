"""Registry of datasets."""

from __future__ import annotations

import logging
from typing import Any

from dassl.utils.registry import Registry
from dassl.utils.tools import check_availability
from yacs.config import CfgNode

logger = logging.getLogger(__name__)

# Classes called with the configuration; see DatasetBase for what they provide
DATASET_REGISTRY = Registry("DATASET")


def build_dataset(cfg: CfgNode) -> Any:
    """Return the dataset that DATASET.NAME names.

    Raises:
        InputError: no dataset of that name is registered.
    """
    check_availability(cfg.DATASET.NAME, DATASET_REGISTRY.registered_names())
    if cfg.VERBOSE:
        logger.info(f"Loading dataset: {cfg.DATASET.NAME}")
    return DATASET_REGISTRY.get(cfg.DATASET.NAME)(cfg)
