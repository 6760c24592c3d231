"""Items of a dataset, or of a stream, as dictionaries that a loader can batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, get_worker_info
from yacs.config import CfgNode

from caspl.ground.errors import InputError
from caspl.ground.images import read_image
from caspl.ground.processes.shares import share_of

from .decoded import DecodedImages
from .loader import Mistake, item_or_mistake
from .transforms.transforms import build_plain_transform


class DatasetWrapper(TorchDataset):
    """Items as dictionaries that a loader can batch, as Dassl 0.6.3.

    Keys: `img` (and `img2`, `img3`, ... for further transforms), `label`, `domain`, `impath`, `index`, and `img0`,
    resized only, with DATALOADER.RETURN_IMG0. With DATALOADER.K_TRANSFORMS above 1 each training image is a list of
    that many augmented versions.

    Args:
        cfg: configuration.
        data_source: items with `impath`, `label` and `domain`.
        transform: a transform of PIL images or a list of them; None leaves PIL images.
        is_train: whether the items are for training.
    """

    def __init__(
        self,
        cfg: CfgNode,
        data_source: Sequence[Any],
        transform: Callable | Sequence[Callable] | None = None,
        is_train: bool = False,
    ) -> None:
        self.cfg = cfg
        self.data_source = data_source
        self.transform = transform
        self.is_train = is_train
        self.k_tfm = cfg.DATALOADER.K_TRANSFORMS if is_train else 1
        self.return_img0 = cfg.DATALOADER.RETURN_IMG0
        if self.k_tfm > 1 and transform is None:
            raise InputError(
                f"DATALOADER.K_TRANSFORMS is {self.k_tfm}, but there is no transform to apply so often; "
                "is INPUT.NO_TRANSFORM set?"
            )
        self.to_tensor = build_plain_transform(cfg)
        self.decoded = DecodedImages(cfg.DATALOADER.CACHE if is_train else 0)

    def __len__(self) -> int:
        return len(self.data_source)

    def __getitem__(self, idx: int) -> dict[str, Any] | Mistake:
        item = self.data_source[idx]
        return item_or_mistake(lambda: self._load(item, idx, self._image(idx)))

    def keep_images(self) -> None:
        """Decode the images that there is room for in memory, since they will be read several times."""
        self.decoded.keep([item.impath for item in self.data_source], self.cfg.DATALOADER.NUM_WORKERS)

    def _image(self, idx: int) -> Image.Image:
        return self.decoded.read(self.data_source[idx].impath)

    def _load(self, item: Any, idx: int, img0: Any) -> dict[str, Any]:
        output = {"label": item.label, "domain": item.domain, "impath": item.impath, "index": idx}
        if self.transform is None:
            output["img"] = img0
        else:
            transforms = self.transform if isinstance(self.transform, (list, tuple)) else [self.transform]
            for number, tfm in enumerate(transforms, start=1):
                output["img" if number == 1 else f"img{number}"] = self._transform_image(tfm, img0)
        if self.return_img0:
            output["img0"] = self.to_tensor(img0)
        return output

    def _transform_image(self, tfm: Callable, img0: Any) -> Any:
        images = [tfm(img0) for _ in range(self.k_tfm)]
        return images[0] if len(images) == 1 else images


class StreamWrapper(DatasetWrapper, IterableDataset):
    """The items of a stream as dictionaries that a loader can batch, with the keys of DatasetWrapper (not in Dassl).

    A stream gives its items one after another, in an order that follows from a seed. It is an IterableDataset with a
    length and a method `read(first, last, seed)`, whose items have the attribute `content`, the bytes of the image
    file, besides `impath`, `label` and `domain`. Every worker reads a part of the order that is a whole number of batches,
    so that a pass has the same number of batches however many workers there are.

    Args:
        cfg, data_source, transform, is_train: as for DatasetWrapper.
        batch_size: images per batch of the loader.
    """

    def __init__(
        self,
        cfg: CfgNode,
        data_source: Any,
        transform: Callable | Sequence[Callable] | None,
        is_train: bool,
        batch_size: int,
    ) -> None:
        super().__init__(cfg, data_source, transform, is_train)
        self.batch_size = batch_size
        self.part = 1, 0  # of how many shares of each batch, and which

    def share(self, count: int, number: int) -> StreamWrapper:
        """The share `number`, from 0, of `count` in each batch; of the others' images nothing but their bytes is read."""
        own = copy.copy(self)
        own.part = count, number
        return own

    @property
    def own_size(self) -> int:
        """Images of this share in a whole batch."""
        first, last = share_of(self.batch_size, *self.part)
        return last - first

    def __len__(self) -> int:
        total, size = len(self.data_source), self.batch_size
        if self.part == (1, 0):
            return total
        first, last = share_of(min(size, total), *self.part)
        return max(total // size, 1) * (last - first)

    def __iter__(self) -> Iterator[dict[str, Any] | Mistake]:
        try:
            yield from self._items()
        except (InputError, OSError) as error:
            if get_worker_info() is None:
                raise
            yield from repeat(Mistake(error), self.own_size)  # at least one batch of it is whole, and so not dropped

    def keep_images(self) -> None:
        """A stream has them in archives, and is too long for a memory."""

    def _items(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        if info is None:
            worker, workers, seed = 0, 1, int(torch.empty((), dtype=torch.int64).random_())
        else:
            worker, workers, seed = info.id, info.num_workers, info.seed - info.id  # the loader's, the same for all
        total, size = len(self.data_source), self.batch_size
        batches = max(total // size, 1) if self.is_train else -(-total // size)
        # The first workers read one more, where it does not come out even: the loader asks them in turn from the first on
        count, more = divmod(batches, workers)
        first, last = (size * (w * count + min(w, more)) for w in (worker, worker + 1))
        last = min(last, total)
        begin, end = share_of(min(size, total), *self.part)
        for index, item in enumerate(self.data_source.read(first, last, seed), first):
            if begin <= index % size < end:
                yield self._load(item, index, read_image(item.impath, item.content))
