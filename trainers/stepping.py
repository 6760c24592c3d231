"""A step on a batch: at once, shared out among the processes of a job, or in parts where the memory for all of it is not there.

BATCH_SIZE images decide a step, whatever the parts. Every loss here is a mean over images plus terms that depend on none, so
the loss of a part counts with its share of the images, gradients are summed over parts and processes, and the step is that on
the whole batch, up to rounding.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from dassl.metrics import compute_accuracy
from torch import Tensor

from caspl.ground.devices import transfers
from caspl.ground.errors import InputError
from caspl.ground.processes import together
from caspl.ground.processes.shares import share_of
from caspl.ground.tensors import finite
from caspl.ground.tensors.checksum import checksum

from .scaling import scaled_step

log = logging.getLogger(__name__)

# With a lower factor, the gradients of a loss of 1 would not be normal numbers in half precision
SMALLEST_SCALE = torch.finfo(torch.float16).tiny


def stretch(batch: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    """The images of a batch, as a loader makes it, from place `first` to before `last`, with all that belongs to them."""
    return {name: entry[first:last] for name, entry in batch.items()}


def in_parts(batch: Mapping[str, Any], count: int) -> Iterator[Mapping[str, Any]]:
    """`count` parts of a batch, as even as can be and in its order, but never more than it has images."""
    images = len(batch["img"])
    for number in range(min(count, images)):
        yield stretch(batch, *share_of(images, min(count, images), number))


class Stepping(finite.Watched):
    """Mixin in front of a trainer of Dassl's whose `loss(images, labels)` gives a loss and logits.

    OPTIM.ACCUMULATE is the number of parts of a batch, or of this process's share of it.

    Attributes:
        whole_batch: images of a batch in all processes, where the loader gives a share of it; 0: the loader gives all of them.
    """

    shares_batches = True
    whole_batch = 0

    def forward_backward(self, batch: Mapping[str, Any]) -> Mapping[str, float]:
        """A step on a batch. Raises DivergedError at the first number that is not finite, or at absurd prompts.

        On CUDA it does so where its numbers are first looked at, see `finite.Watched.figures`.
        """
        self.optim.zero_grad()
        whole, figures = self.whole_batch or len(batch["img"]), {}
        for part in self.batch_parts(batch):
            images, labels = self.parse_batch_train(part)
            share = len(images) / whole
            loss, logits = self.backward(images, labels, share)
            found = {"loss": loss.detach()}
            if self.labelled:
                found["acc"] = compute_accuracy(logits, labels)[0]
            weighted = found if share == 1 else {name: value * share for name, value in found.items()}
            figures = {name: figures[name] + value if figures else value for name, value in weighted.items()}
        together.sum_up([*figures.values(), *self.gradients()])
        self.complete_gradients()
        unread = self.step(figures["loss"])
        then = partial(self.note, self.epoch, whole)
        summary = self.figures(then, **figures, **unread, parameters=finite.largest_norm(self.trained))
        if self.batch_idx + 1 == self.num_batches:
            self.update_lr()
        self.last_images = images
        return summary

    def note(self, epoch: int, images: int, numbers: Mapping[str, float]) -> dict[str, float]:
        """Called with the numbers of each step when they are known: those to report."""
        self.course.add(epoch, images, numbers["loss"], numbers.get("acc"))
        return {name: numbers[name] for name in ("loss", "acc") if name in numbers}

    def batch_parts(self, batch: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The parts of a batch that go through the model in this process, one after another."""
        if together.count() > 1 and not self.whole_batch:
            batch = stretch(batch, *share_of(len(batch["img"]), together.count(), together.number()))
        count = self.cfg.OPTIM.get("ACCUMULATE", 1)  # a host's configuration has no such key
        return iter([batch]) if count == 1 else in_parts(batch, count)

    def backward(self, images: Tensor, labels: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Add the gradients of a part that is this share of its batch, scaled by `self.scaler`; gives its loss and logits."""
        with self.precision.autocast():
            loss, logits = self.loss(images, labels)
        self.scaler.scale(loss if share == 1 else loss * share).backward()
        return loss, logits

    def gradients(self) -> list[Tensor]:
        """All gradients of a batch, which are summed over the processes in place."""
        return [p.grad for p in self.trained if p.grad is not None]

    def complete_gradients(self) -> None:
        """Called when the gradients of all parts and processes are summed: what is to be done with them before the step."""

    def step(self, loss: Tensor) -> dict[str, Tensor]:
        """Step on the gradients, unless they are not finite: under a scaler that is a step left out, else divergence.

        Gives what is to be looked at with the figures of the step. On CUDA that is the gradients, too: a step on some that are
        not finite is made, and ends the training a step later.
        """
        if self.scaler.is_enabled():
            scaled_step(self.scaler, self.optim)
            self.scaler.update()
            return {"scale": self.scaler._get_scale_async()}
        gradients = finite.largest_norm(p.grad for p in self.trained if p.grad is not None)
        if transfers.is_waited_for(loss.device):
            self.check_numbers(loss=loss, gradients=gradients)
        self.optim.step()
        return {} if transfers.is_waited_for(loss.device) else {"gradients": gradients}

    def found_wrong(self, numbers: Mapping[str, float]) -> str:
        scale = numbers.get("scale", 1.0)
        if scale < SMALLEST_SCALE:
            return f"gradients are not finite at a loss scale of {scale:.2g} either"
        return super().found_wrong(numbers)

    # ------------------------------------------------------------ several processes
    def before_train(self) -> None:
        """As Dassl's. Raises InputError where the processes of a job can't share the batches, or have not the same to do."""
        size, there = self.cfg.DATALOADER.TRAIN_X.BATCH_SIZE, len(self.train_loader_x.dataset)
        count, images = together.count(), min(size, there)
        if count > max(images, 1):
            raise InputError(
                f"{count} processes are to share a batch of {images} (DATALOADER.TRAIN_X.BATCH_SIZE {size}, {there:,} training "
                f"images); start at most {images}, or take larger batches"
            )
        super().before_train()
        if count > 1:
            self._compare_processes()

    def begin_epochs(self) -> None:
        """Let the loader give this process its share of a batch, where a crop does not depend on those before it."""
        super().begin_epochs()
        loader, size = self.train_loader_x, self.cfg.DATALOADER.TRAIN_X.BATCH_SIZE
        if together.count() == 1 or self.whole_batch:
            return
        if not self.crops:
            log.info(
                "Each of %d processes loads all images of a batch, for the random crops of a single one; with "
                "TRAINER.CASPL.CROPS seeded it loads its share alone",
                together.count(),
            )
        elif hasattr(loader, "share"):
            self.whole_batch = min(size, len(loader.dataset))
            self.train_loader_x = loader.share(together.count(), together.number())

    def _compare_processes(self) -> None:
        """Raise InputError where another process, on another machine, has other images, weights or prompts than the first."""
        items = getattr(self.train_loader_x.dataset, "data_source", ())
        listed = (
            [(os.path.basename(item.impath), item.label) for item in items] if isinstance(items, list) else len(items)
        )
        facts = {
            "training images": json.dumps(listed),
            "CLIP": self.networks(),
            "prompts": dict(self.learned().state_dict()),
            "finished epochs": self.start_epoch,
        }
        sums = {what: checksum(fact) for what, fact in facts.items()}
        everyone = together.gathered(lambda: sums)
        for number, found in enumerate(everyone):
            if other := [what for what in sums if found[what] != everyone[0][what]]:
                raise InputError(
                    f"process {number} (RANK) does not have the {' and '.join(other)} of process 0; all machines of a job have "
                    f"to read the same files"
                )
