"""Top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def compute_accuracy(
    output: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor, topk: Sequence[int] = (1,)
) -> list[torch.Tensor]:
    """Return, for each k, how often the true label is among the k highest scores, as Dassl 0.6.3.

    Args:
        output: scores (B, C), or a list or tuple whose first entry they are.
        target: labels (B,), int64.
        topk: the values of k.

    Returns:
        One tensor (1,) per k, in percent.
    """
    if isinstance(output, (tuple, list)):
        output = output[0]
    predicted = output.topk(max(topk), dim=1).indices  # [B, C] -> [B, k]
    correct = predicted.eq(target.view(-1, 1))
    return [correct[:, :k].float().sum().view(1).mul_(100.0 / target.size(0)) for k in topk]
