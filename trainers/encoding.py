"""Image features of an evaluation, kept on the way for the record of the run, so that no image is encoded twice."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from caspl.ground.processes import together


class Encoding:
    """Mixin in front of a trainer of Dassl's: `model_inference` hands the features to `keep`.

    Attributes:
        image_features: of the last evaluation [N, E], float16 and of length 1, in the order in which images were evaluated;
            None unless TEST.FEATURES asks for them.
    """

    image_features: np.ndarray | None = None
    _kept: list[np.ndarray] | None = None  # batches of the evaluation under way; None: nobody asks for them

    @property
    def keeps(self) -> bool:
        """Whether an evaluation is under way whose features are asked for."""
        return self._kept is not None

    def keep(self, features: Tensor) -> None:
        """Normalised features [B, E] of a batch."""
        if self._kept is not None:
            self._kept.append(features.detach().to(torch.float16).cpu().numpy())

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
    def _of_all(own: list[np.ndarray]) -> np.ndarray | None:
        """The features of all batches in their order, of which each process of a job has computed every so-maniest."""
        shared = together.gathered(lambda: [torch.from_numpy(batch) for batch in own])
        batches = [batch.numpy() for turn in zip_longest(*shared) for batch in turn if batch is not None]
        return np.concatenate(batches) if batches else None
