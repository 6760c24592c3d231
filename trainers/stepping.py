"""A step on a batch: at once, or in parts where the memory of all of it is not there.

BATCH_SIZE images decide a step, whatever the parts. Every loss here is a mean over images plus terms that depend on none, so
the loss of a part counts with its share of the images, gradients are summed over the parts, and the step is that on the whole
batch, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from dassl.metrics import compute_accuracy
from torch import Tensor

from caspl.ground.tensors import finite

# With a lower factor, the gradients of a loss of 1 would not be normal numbers in half precision
SMALLEST_SCALE = torch.finfo(torch.float16).tiny


def in_parts(batch: Mapping[str, Any], count: int) -> Iterator[tuple[dict[str, Any], float]]:
    """`count` parts of a batch as a loader makes it, as even as can be and in its order, each with its share of the images.

    There are never more parts than images.
    """
    images = len(batch["img"])
    count = min(count, images)
    for number in range(count):
        first, last = (images * n // count for n in (number, number + 1))
        yield {name: entry[first:last] for name, entry in batch.items()}, (last - first) / images


class Stepping(finite.Watched):
    """Mixin in front of a trainer of Dassl's whose `loss(images, labels)` gives a loss and logits.

    OPTIM.ACCUMULATE is the number of parts of a batch.
    """

    def forward_backward(self, batch: Mapping[str, Any]) -> dict[str, float]:
        """A step on a batch. Raises DivergedError at the first number that is not finite, or at absurd prompts."""
        self.optim.zero_grad()
        figures: dict[str, Tensor] = {}
        count = self.cfg.OPTIM.get("ACCUMULATE", 1)  # a host's configuration has no such key
        for part, share in [(batch, 1.0)] if count == 1 else in_parts(batch, count):
            images, labels = self.parse_batch_train(part)
            loss, logits = self.backward(images, labels, share)
            found = {"loss": loss.detach()}
            if self.labelled:
                found["acc"] = compute_accuracy(logits, labels)[0]
            weighted = found if share == 1 else {name: value * share for name, value in found.items()}
            figures = {name: figures[name] + value if figures else value for name, value in weighted.items()}
        self.complete_gradients()
        self.step(figures["loss"])
        summary = self.check_numbers(**figures, parameters=finite.largest_norm(self.trained))
        del summary["parameters"]
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        self.course.add(self.epoch, len(batch["img"]), summary["loss"], summary.get("acc"))
        self.last_images = images
        return summary

    def backward(self, images: Tensor, labels: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Add the gradients of a part that is this share of its batch, scaled by `self.scaler`; gives its loss and logits."""
        with self.precision.autocast():
            loss, logits = self.loss(images, labels)
        self.scaler.scale(loss if share == 1 else loss * share).backward()
        return loss, logits

    def complete_gradients(self) -> None:
        """Called when the gradients of all parts are summed: what is to be done with them before the step."""

    def step(self, loss: Tensor) -> None:
        """Step on the gradients, unless they are not finite: under a scaler that is a step left out, else divergence."""
        if not self.scaler.is_enabled():
            self.check_numbers(
                loss=loss, gradients=finite.largest_norm(p.grad for p in self.trained if p.grad is not None)
            )
        self.scaler.step(self.optim)
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < SMALLEST_SCALE:
            self.diverged(f"gradients are not finite at a loss scale of {self.scaler.get_scale():.2g} either")
