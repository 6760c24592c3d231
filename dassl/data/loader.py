"""A mistake found in a loader's worker process, or a disk that refuses, arrives in the main process as the same error.

PyTorch makes a new exception there, whose message is the worker's whole trace. Here a worker gives the error as a value,
in the place of what it could not read, and the loader raises it when it meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, default_collate, get_worker_info

from caspl.ground.errors import InputError


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
