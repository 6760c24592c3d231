"""The scores of an evaluation, batch after batch, whichever process of a job has computed them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from dassl.data.loader import Loader
from tqdm import tqdm

from caspl.ground.processes import together

Scored = tuple[torch.Tensor, torch.Tensor, "list[int] | None"]


def scored(trainer: Any, loader: Any, what: str) -> Iterator[Scored]:
    """Scores (B, C), labels (B,) and places of each batch of a loader, in its order.

    The places are those of the images in the list that they are from, None where the loader does not say it. Of several
    processes each computes every so-maniest batch, and all get the scores of all.
    """
    with tqdm(total=len(loader), desc=what, unit="batch", leave=False, disable=None) as bar:
        for found in _all(trainer, loader):
            yield found
            bar.update()


def _all(trainer: Any, loader: Any) -> Iterator[Scored]:
    count, number = together.count(), together.number()
    if count == 1:
        for batch in loader:
            yield _score(trainer, batch)
        return
    shared = isinstance(loader, Loader) and loader.batch_sampler is not None
    own = iter(loader.every(count, number)) if shared else islice(loader, number, None, count)
    for first in range(0, len(loader), count):
        last = min(first + count, len(loader))
        found = together.gathered(
            lambda last=last, first=first: _score(trainer, next(own)) if first + number < last else None
        )
        for scores, label, index in found[: last - first]:
            yield scores.to(trainer.device), label.to(trainer.device), index


def _score(trainer: Any, batch: Any) -> Scored:
    input, label = trainer.parse_batch_test(batch)
    index = batch.get("index") if isinstance(batch, Mapping) else None
    places = index.tolist() if isinstance(index, torch.Tensor) and index.dim() == 1 else None
    return trainer.model_inference(input), label, places
