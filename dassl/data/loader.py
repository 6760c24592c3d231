"""A mistake found in a loader's worker process, or a disk that refuses, arrives in the main process as the same error.

PyTorch makes a new exception there, whose message is the worker's whole trace. Here a worker gives the error as a value,
in the place of what it could not read, and the loader raises it when it meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, default_collate, get_worker_info

from caspl.ground.errors import InputError
from caspl.ground.processes.shares import share_of


@dataclass
class Mistake:
    """What a worker gives in the place of an item that it could not read."""

    error: InputError | OSError


def item_or_mistake(read: Callable[[], Any]) -> Any:
    """What `read` gives or, in a worker process, the Mistake that it raises."""
    try:
        return read()
    except (InputError, OSError) as error:
        if get_worker_info() is None:
            raise
        return Mistake(error)


def collate(items: list[Any]) -> Any:
    """A batch of items as PyTorch makes it; the first Mistake where there is one."""
    return next((item for item in items if isinstance(item, Mistake)), None) or default_collate(items)


class Loader(DataLoader):
    """PyTorch's loader, whose iterators raise the InputError or OSError of a worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, collate_fn=collate)

    def __iter__(self) -> Iterator[Any]:
        return _Batches(super().__iter__())

    def every(self, count: int, number: int) -> Loader:
        """A loader of those batches of this one whose number, modulo `count`, is `number`; other images are not loaded."""
        length = len(range(number, len(self), count))
        return self._of(_Changed(self.batch_sampler, lambda batches: islice(batches, number, None, count), length))

    def share(self, count: int, number: int) -> Loader:
        """A loader of the share `number`, from 0, of `count` in each batch; other images are not loaded."""

        def own(batches: Iterable[list[int]]) -> Iterator[list[int]]:
            for batch in batches:
                first, last = share_of(len(batch), count, number)
                yield batch[first:last]

        if isinstance(self.dataset, IterableDataset):
            dataset = self.dataset.share(count, number)
            return self._of(None, dataset=dataset, batch_size=dataset.own_size, drop_last=self.drop_last)
        return self._of(_Changed(self.batch_sampler, own, len(self)))

    def _of(self, batches: _Changed | None, **others: Any) -> Loader:
        others.setdefault("dataset", self.dataset)
        made = type(self)(batch_sampler=batches, num_workers=self.num_workers, pin_memory=self.pin_memory, **others)
        made.collate_fn = self.collate_fn
        return made


class _Changed:
    """The batches of a sampler, lists of places, through `change`, which gives `length` of them."""

    def __init__(
        self, sampler: BatchSampler, change: Callable[[Iterable[list[int]]], Iterator[list[int]]], length: int
    ) -> None:
        self.sampler, self.change, self.length = sampler, change, length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[int]]:
        return self.change(self.sampler)


class _Batches:
    """The batches of one pass. No generator: the pass begins, and draws its seed, when the iterator is made."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self.batches)

    def __next__(self) -> Any:
        batch = next(self.batches)
        if isinstance(batch, Mistake):
            raise batch.error
        return batch
