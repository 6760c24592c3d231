"""Accuracy, macro F1, per-class results and the confusion matrix."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from dassl.utils.checkpoint import save_plain
from yacs.config import CfgNode

from caspl.ground.errors import InputError

from .build import EVALUATOR_REGISTRY
from .predicted import Collector, Predicted

logger = logging.getLogger(__name__)

CONFUSION = "cmat.pt"  # in the output folder


class EvaluatorBase:
    """What a trainer calls: `reset`, then `process` for every batch, then `evaluate`."""

    def __init__(self, cfg: CfgNode) -> None:
        self.cfg = cfg

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError

    def process(self, mo: Any, gt: Any) -> None:
        """Take in a batch: the model's output and the ground truth."""
        raise NotImplementedError

    def evaluate(self) -> OrderedDict[str, float]:
        """Report and return the results; the first one selects models."""
        raise NotImplementedError

    def predicted(self) -> Predicted | None:
        """What was predicted for each image since `reset`, for the run's record; None where that is not kept (not in Dassl)."""
        return None


@EVALUATOR_REGISTRY.register()
class Classification(EvaluatorBase):
    """Results of single-label classification, reported as Dassl 0.6.3."""

    checks_scores = True  # so that nobody else need look at them batch by batch (not in Dassl)

    def __init__(self, cfg: CfgNode, lab2cname: dict[int, str] | None = None, **kwargs: Any) -> None:
        super().__init__(cfg)
        if cfg.TEST.PER_CLASS_RESULT and lab2cname is None:
            raise InputError("TEST.PER_CLASS_RESULT needs the class names, but the evaluator was given none.")
        self._lab2cname = lab2cname
        self.reset()

    def reset(self) -> None:
        self._collector = Collector()

    def process(self, mo: torch.Tensor, gt: torch.Tensor) -> None:
        """Take in scores `mo` (B, C) and labels `gt` (B,), int64.

        Raises:
            NotFiniteError: an image's highest score is not a finite number, so that it has no prediction. On CUDA `evaluate`
                raises it.
        """
        self._collector.add(mo, gt)

    def predicted(self) -> Predicted | None:
        return self._collector.predicted()

    def evaluate(self) -> OrderedDict[str, float]:
        """Log the result block and return it in percent.

        Returns:
            `accuracy`, `error_rate`, `macro_f1` (mean F1 of the classes present in the ground truth) and, with
            TEST.PER_CLASS_RESULT, `perclass_accuracy` (mean accuracy of those classes).
        """
        from sklearn.metrics import f1_score  # slow to import, and needed here only

        true, predicted = self._collector.numbers()
        total, correct = len(true), int((true == predicted).sum())
        accuracy = 100.0 * correct / total
        macro_f1 = 100.0 * float(f1_score(true, predicted, average="macro", labels=np.unique(true)))
        results = OrderedDict(accuracy=accuracy, error_rate=100.0 - accuracy, macro_f1=macro_f1)
        logger.info(
            "=> result\n"
            f"* total: {total:,}\n"
            f"* correct: {correct:,}\n"
            f"* accuracy: {accuracy:.1f}%\n"
            f"* error: {100.0 - accuracy:.1f}%\n"
            f"* macro_f1: {macro_f1:.1f}%"
        )
        if self.cfg.TEST.PER_CLASS_RESULT:
            results["perclass_accuracy"] = self._report_classes(true, predicted)
        if self.cfg.TEST.COMPUTE_CMAT:
            self._save_confusion(true, predicted)
        return results

    def _report_classes(self, true: np.ndarray, predicted: np.ndarray) -> float:
        """Log one line per class in the ground truth, and return their mean accuracy in percent."""
        lines, accuracies = ["=> per-class result"], []
        for label in np.unique(true).tolist():
            of_class = true == label
            total, correct = int(of_class.sum()), int((predicted[of_class] == label).sum())
            accuracies.append(100.0 * correct / total)
            lines.append(
                f"* class: {label} ({self._lab2cname[label]})\ttotal: {total:,}\tcorrect: {correct:,}\t"
                f"acc: {accuracies[-1]:.1f}%"
            )
        mean = float(np.mean(accuracies))
        logger.info("\n".join([*lines, f"* average: {mean:.1f}%"]))
        return mean

    def _save_confusion(self, true: np.ndarray, predicted: np.ndarray) -> None:
        """Write the confusion matrix, a float64 tensor with rows of true labels that sum to 1, to cmat.pt.

        Rows and columns are the labels that occur, in order. Dassl 0.6.3 writes a NumPy array, which
        torch.load(weights_only=True) refuses.
        """
        from sklearn.metrics import confusion_matrix

        path = os.path.join(self.cfg.OUTPUT_DIR, CONFUSION)
        save_plain(confusion_matrix(true, predicted, normalize="true"), path)
        logger.info(f"Confusion matrix is saved to {path}")
