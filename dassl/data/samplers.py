"""The order in which a loader visits its images."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from dassl.config.defaults import choices_of
from torch.utils.data.sampler import RandomSampler, Sampler, SequentialSampler
from yacs.config import CfgNode

from caspl.ground.errors import InputError, unknown_name

AVAI_SAMPLERS = choices_of("DATALOADER.TRAIN_X.SAMPLER")


class RandomClassSampler(Sampler):
    """Batches of `batch_size // n_ins` classes with `n_ins` images each, until too few classes have images left.

    A class with fewer images repeats some. As Dassl 0.6.3, whose draws come from Python's `random`, and from NumPy
    for the repeats; one pass is drawn on construction to learn its length.

    Args:
        data_source: items with a `label`.
        batch_size: images per batch, at least `n_ins`.
        n_ins: images per class in a batch.

    Raises:
        InputError: the batch is smaller than `n_ins`, or there are fewer classes than a batch needs.
    """

    def __init__(self, data_source: Sequence[Any], batch_size: int, n_ins: int) -> None:
        if batch_size < n_ins:
            raise InputError(
                f"RandomClassSampler: the batch size, {batch_size}, must be at least N_INS, the images per class, "
                f"which is {n_ins}."
            )
        self.data_source = data_source
        self.batch_size = batch_size
        self.n_ins = n_ins
        self.ncls_per_batch = batch_size // n_ins
        self.index_dic: dict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(data_source):
            self.index_dic[item.label].append(index)
        self.labels = list(self.index_dic)
        if len(self.labels) < self.ncls_per_batch:
            raise InputError(
                f"RandomClassSampler: a batch of {batch_size} with {n_ins} images per class needs "
                f"{self.ncls_per_batch} classes, but the data has {len(self.labels)}."
            )
        self.length = len(list(iter(self)))

    def __iter__(self) -> Iterator[int]:
        groups = {label: self._groups(self.index_dic[label]) for label in self.labels}
        open_labels = list(self.labels)
        order: list[int] = []
        while len(open_labels) >= self.ncls_per_batch:
            for label in random.sample(open_labels, self.ncls_per_batch):
                order.extend(groups[label].pop(0))
                if not groups[label]:
                    open_labels.remove(label)
        return iter(order)

    def _groups(self, indices: list[int]) -> list[list[int]]:
        """Return one class's indices, shuffled, in groups of `n_ins`; an incomplete last group is dropped."""
        shuffled: Any = list(indices)
        if len(shuffled) < self.n_ins:
            shuffled = np.random.choice(shuffled, size=self.n_ins, replace=True).tolist()
        random.shuffle(shuffled)
        return [shuffled[i : i + self.n_ins] for i in range(0, len(shuffled) - self.n_ins + 1, self.n_ins)]

    def __len__(self) -> int:
        return self.length


def build_sampler(
    sampler_type: str,
    cfg: CfgNode | None = None,
    data_source: Sequence[Any] | None = None,
    batch_size: int = 32,
    n_domain: int = 0,
    n_ins: int = 16,
) -> Sampler:
    """Return the sampler of that name over `data_source`; `n_ins` is for RandomClassSampler only.

    `cfg` and `n_domain` are accepted for Dassl's signature and have no effect on these samplers.

    Raises:
        InputError: an unknown name; the sentence lists the choices.
    """
    if sampler_type == "RandomSampler":
        return RandomSampler(data_source)
    if sampler_type == "SequentialSampler":
        return SequentialSampler(data_source)
    if sampler_type == "RandomClassSampler":
        return RandomClassSampler(data_source, batch_size, n_ins)
    raise InputError(unknown_name(sampler_type, AVAI_SAMPLERS, what="sampler"))
