"""What a model predicted for each image: the labels of its highest scores, and their probabilities. Not in Dassl."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from caspl.ground.devices.transfers import is_waited_for
from caspl.ground.tensors.finite import checked_scores, refuse, without_answer

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
    """Takes in batch after batch and keeps, of each image, what `Predicted` holds.

    Batches stay on their device, 48 bytes of an image, until they are asked for: an evaluation waits for a GPU in the end.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._unanswered: list[torch.Tensor] = []  # of CUDA: how many images of each batch have no prediction

    def add(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        """A batch: scores [B, C] and labels [B].

        Raises NotFiniteError where an image's highest score is no finite number, at once or, on CUDA, when the numbers are
        asked for.
        """
        if is_waited_for(scores.device):
            checked_scores(scores)
        else:
            self._unanswered.append(without_answer(scores))
        top, probabilities = highest(scores.detach(), scores.max(1)[1])
        # A copy of the labels, since those that a loader's worker has put into shared memory hold a file open
        self._batches.append((labels.to(torch.int64, copy=True), top.to(torch.int32), probabilities))

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """True labels [N] and predicted ones [N], both int64; of no batches both are empty."""
        if self._unanswered:
            counts = torch.stack(self._unanswered).tolist()
            for bad, (labels, _, _) in zip(counts, self._batches, strict=True):
                refuse(bad, len(labels))
        if not self._batches:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        labels, top, _ = zip(*self._batches, strict=True)
        return _fetched(labels), _fetched([batch[:, 0] for batch in top])

    def predicted(self) -> Predicted | None:
        """All batches; None where there are none, or of different numbers of classes."""
        if len({top.shape[1] for _, top, _ in self._batches}) != 1:
            return None
        labels, top, probabilities = zip(*self._batches, strict=True)
        return Predicted(_fetched(labels), torch.cat(top).cpu().numpy(), torch.cat(probabilities).cpu().numpy())


def _fetched(numbers: Sequence[torch.Tensor]) -> np.ndarray:
    """Whole numbers of all batches as int64 on the CPU."""
    return torch.cat(list(numbers)).to(torch.int64).cpu().numpy()
