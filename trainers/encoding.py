"""Image features of an evaluation, kept on the way for the record of the run, so that no image is encoded twice."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from caspl.ground.devices.transfers import is_waited_for
from caspl.ground.processes import together
from caspl.ground.tensors.finite import checked_scores


class Encoding:
    """Mixin in front of a trainer of Dassl's: `model_inference` hands the features to `keep`.

    Attributes:
        image_features: of the last evaluation [N, E], float16 and of length 1, in the order in which images were evaluated;
            None unless TEST.FEATURES asks for them.
    """

    image_features: np.ndarray | None = None
    _kept: list[Tensor] | None = None  # batches of the evaluation under way; None: nobody asks for them

    @property
    def keeps(self) -> bool:
        """Whether an evaluation is under way whose features are asked for."""
        return self._kept is not None

    def keep(self, features: Tensor) -> None:
        """Normalised features [B, E] of a batch."""
        if self._kept is not None:
            self._kept.append(features.detach().to(torch.float16))

    def checked(self, scores: Tensor) -> Tensor:
        """`scores` [B, C] as they are. Raises NotFiniteError where they give no accuracy.

        On CUDA that is left to an evaluator that does it when it is asked for results, as our Dassl's does.
        """
        later = getattr(self.evaluator, "checks_scores", False) and not is_waited_for(scores.device)
        return scores if later else checked_scores(scores)

    def test(self, split: str | None = None) -> float:
        """As Dassl's."""
        self.image_features = None
        self._kept = [] if self.cfg.TEST.get("FEATURES", False) else None  # a host's configuration has no such key
        try:
            result = super().test(split)
            self.image_features = self._of_all(self._kept) if self._kept is not None else None
        finally:
            self._kept = None
        return result

    @staticmethod
    def _of_all(own: list[Tensor]) -> np.ndarray | None:
        """The features of all batches in their order, of which each process of a job has computed every so-maniest."""
        shared = together.gathered(lambda: own)
        batches = [batch.cpu() for turn in zip_longest(*shared) for batch in turn if batch is not None]
        return torch.cat(batches).numpy() if batches else None
