"""Registry of trainers."""

from __future__ import annotations

import logging
from typing import Any

from dassl.utils.registry import Registry
from dassl.utils.tools import check_availability
from yacs.config import CfgNode

logger = logging.getLogger(__name__)

# Classes called with the configuration; see SimpleTrainer
TRAINER_REGISTRY = Registry("TRAINER")


def build_trainer(cfg: CfgNode) -> Any:
    """Return the trainer that TRAINER.NAME names, with data and model built.

    Raises:
        InputError: no trainer of that name is registered.
    """
    check_availability(cfg.TRAINER.NAME, TRAINER_REGISTRY.registered_names())
    if cfg.VERBOSE:
        logger.info(f"Loading trainer: {cfg.TRAINER.NAME}")
    return TRAINER_REGISTRY.get(cfg.TRAINER.NAME)(cfg)
