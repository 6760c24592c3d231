"""What a model predicted for each image: the labels of its highest scores, and their probabilities. Not in Dassl."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

TOP = 5  # labels that are kept of an image; fewer where there are fewer classes


@dataclass(frozen=True)
class Predicted:
    """N images in the order in which they were evaluated; K is TOP, or the number of classes where that is smaller.

    Attributes:
        labels: true labels [N], int64.
        top: labels of the highest scores [N, K], int32, the highest first.
        probabilities: theirs [N, K], float32: the softmax of the scores over all classes.
    """

    labels: np.ndarray
    top: np.ndarray
    probabilities: np.ndarray


def highest(scores: torch.Tensor, predicted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels [B, K] and probabilities [B, K] of the highest of `scores` [B, C], whose argmax is `predicted` [B].

    Of several equal scores the one that was predicted comes first.
    """
    top = scores.topk(min(TOP, scores.shape[1]), dim=1).indices
    places = torch.arange(top.shape[1], device=top.device)
    late = torch.where(top == predicted[:, None], len(places), places)  # behind all others: it stands in front already
    others = top.gather(1, late.argsort(dim=1))[:, : len(places) - 1]
    top = torch.cat([predicted[:, None], others], dim=1)
    return top, scores.float().softmax(dim=1).gather(1, top)


class Collector:
    """Takes in batch after batch and keeps, of each image, what `Predicted` holds."""

    def __init__(self) -> None:
        self._batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, scores: torch.Tensor, predicted: torch.Tensor, labels: list[int]) -> list[int]:
        """A batch; gives the predicted labels as numbers, so that they are fetched from the device once."""
        top, probabilities = highest(scores.detach(), predicted)
        fetched = top.to(torch.int32).cpu().numpy()
        self._batches.append((np.asarray(labels, np.int64), fetched, probabilities.cpu().numpy()))
        return fetched[:, 0].tolist()

    def predicted(self) -> Predicted | None:
        """All batches; None where there are none, or of different numbers of classes."""
        if len({top.shape[1] for _, top, _ in self._batches}) != 1:
            return None
        return Predicted(*(np.concatenate(parts) for parts in zip(*self._batches, strict=True)))
