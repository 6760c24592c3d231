"""What is said of each trained batch: a line of the log, scalars. Not in Dassl, where it stands in the loop."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dassl.utils.meters import AverageMeter, MetricMeter

from caspl.ground.devices.transfers import Figures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A batch that was trained.

    Attributes:
        number: from 0.
        figures: what `forward_backward` gave of it.
        rate: the learning rate behind it.
        times, average: seconds for the batch and for its data, and their means over the epoch so far.
    """

    number: int
    figures: Mapping[str, Any] | None
    rate: float
    times: tuple[float, float]
    average: tuple[float, float]


class Reports:
    """Reports the batches of an epoch: a line every TRAIN.PRINT_FREQ of them (of each in a shorter epoch), scalars of each.

    Figures that are under way from a GPU are looked at when the next batch has been trained, or with `finish`.
    """

    def __init__(self, trainer: Any, batches: int) -> None:
        self.trainer, self.batches = trainer, batches
        self.losses, self.seconds, self.data_seconds = MetricMeter(), AverageMeter(), AverageMeter()
        self._unreported: list[Trained] = []

    def add(self, figures: Mapping[str, Any] | None, seconds: float, data_seconds: float) -> None:
        """The trainer has trained its batch number `batch_idx`."""
        self.seconds.update(seconds)
        self.data_seconds.update(data_seconds)
        means = self.seconds.avg, self.data_seconds.avg
        rate = self.trainer.get_current_lr()
        self._unreported.append(Trained(self.trainer.batch_idx, figures, rate, (seconds, data_seconds), means))
        self._report_all_but(1 if isinstance(figures, Figures) else 0)

    def finish(self) -> None:
        """Report what is left."""
        self._report_all_but(0)

    def _report_all_but(self, left: int) -> None:
        while len(self._unreported) > left:
            self._report(self._unreported.pop(0))

    def _report(self, batch: Trained) -> None:
        trainer, total = self.trainer, self.batches
        self.losses.update(batch.figures)
        frequency, number = trainer.cfg.TRAIN.PRINT_FREQ, batch.number + 1
        if frequency > 0 and (number % frequency == 0 or total < frequency):
            remaining = total - number + (trainer.max_epoch - trainer.epoch - 1) * total
            (seconds, data), (mean, mean_data) = batch.times, batch.average
            logger.info(
                f"epoch [{trainer.epoch + 1}/{trainer.max_epoch}] "
                f"batch [{number}/{total}] "
                f"time {seconds:.3f} ({mean:.3f}) "
                f"data {data:.3f} ({mean_data:.3f}) "
                f"{self.losses} "
                f"lr {batch.rate:.4e} "
                f"eta {datetime.timedelta(seconds=int(mean * remaining))}"
            )
        step = trainer.epoch * total + batch.number
        for name, meter in self.losses.meters.items():
            trainer.write_scalar(f"train/{name}", meter.avg, step)
        trainer.write_scalar("train/lr", batch.rate, step)
