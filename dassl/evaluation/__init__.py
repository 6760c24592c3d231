"""Evaluators: they collect predictions and report results."""

from .build import EVALUATOR_REGISTRY, build_evaluator
from .evaluator import Classification, EvaluatorBase
from .predicted import Predicted

__all__ = ["EVALUATOR_REGISTRY", "Classification", "EvaluatorBase", "Predicted", "build_evaluator"]
