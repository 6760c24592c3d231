"""Registry of evaluators."""

from __future__ import annotations

import logging
from typing import Any

from dassl.utils.registry import Registry
from dassl.utils.tools import check_availability
from yacs.config import CfgNode

logger = logging.getLogger(__name__)

# Classes called with the configuration and keywords such as `lab2cname`; see EvaluatorBase
EVALUATOR_REGISTRY = Registry("EVALUATOR")


def build_evaluator(cfg: CfgNode, **kwargs: Any) -> Any:
    """Return the evaluator that TEST.EVALUATOR names; `kwargs` go to its constructor.

    Raises:
        InputError: no evaluator of that name is registered.
    """
    check_availability(cfg.TEST.EVALUATOR, EVALUATOR_REGISTRY.registered_names())
    if cfg.VERBOSE:
        logger.info(f"Loading evaluator: {cfg.TEST.EVALUATOR}")
    return EVALUATOR_REGISTRY.get(cfg.TEST.EVALUATOR)(cfg, **kwargs)
