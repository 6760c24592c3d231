"""Running averages of losses and times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch


class AverageMeter:
    """The last value and the average of a series.

    Attributes:
        val: the last value.
        avg: the mean over all values, each counted `n` times; with `ema`, 0.9 of the old average plus 0.1 of the value.
        sum: the sum of all values.
        count: how many there were.
    """

    def __init__(self, ema: bool = False) -> None:
        self.ema = ema
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        self.val = self.avg = self.sum = self.count = 0

    def update(self, val: float | torch.Tensor, n: int = 1) -> None:
        """Add `val`, a number or a tensor of one element, `n` times."""
        if isinstance(val, torch.Tensor):
            val = val.item()
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.avg * 0.9 + val * 0.1 if self.ema else self.sum / self.count


class MetricMeter:
    """One AverageMeter per name; its text is `name last (average)` for each."""

    def __init__(self, delimiter: str = " ") -> None:
        self.meters: dict[str, AverageMeter] = defaultdict(AverageMeter)
        self.delimiter = delimiter

    def update(self, input_dict: Mapping[str, float | torch.Tensor] | None) -> None:
        """Add one value per name; None adds nothing.

        Raises:
            TypeError: the argument is no dictionary.
        """
        if input_dict is None:
            return
        if not isinstance(input_dict, Mapping):
            raise TypeError(f"MetricMeter.update() takes a dictionary, not {type(input_dict).__name__}")
        for name, value in input_dict.items():
            self.meters[name].update(value)

    def __str__(self) -> str:
        return self.delimiter.join(f"{name} {meter.val:.4f} ({meter.avg:.4f})" for name, meter in self.meters.items())
