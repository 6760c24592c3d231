"""Data loaders for a run, built from the configuration."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
from tabulate import tabulate
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torch.utils.data import Dataset as TorchDataset
from yacs.config import CfgNode

from caspl.ground.errors import InputError
from caspl.ground.files import allow_open_files
from caspl.ground.images import read_image
from caspl.ground.processes.shares import share_of

from .datasets import build_dataset
from .loader import Loader, Mistake, item_or_mistake
from .samplers import build_sampler
from .transforms.transforms import build_plain_transform, build_transform

logger = logging.getLogger(__name__)


def build_data_loader(
    cfg: CfgNode,
    sampler_type: str = "SequentialSampler",
    data_source: Sequence[Any] | None = None,
    batch_size: int = 64,
    n_domain: int = 0,
    n_ins: int = 2,
    tfm: Callable | Sequence[Callable] | None = None,
    is_train: bool = True,
    dataset_wrapper: type | None = None,
) -> DataLoader:
    """Return a loader over items with `impath`, `label` and `domain`, as Dassl 0.6.3.

    In training an incomplete last batch is dropped, unless it is the only one.

    Args:
        cfg: configuration.
        sampler_type: see `build_sampler`, also for `n_domain` and `n_ins`. A stream has an order of its own.
        data_source: the items, or a stream of them, see `StreamWrapper`.
        batch_size: images per batch.
        tfm: transform of the images, or several.
        is_train: whether the loader is for training.
        dataset_wrapper: class in place of DatasetWrapper.

    Raises:
        InputError: there are no items.
    """
    if not data_source:
        raise InputError(f"There are no {'training' if is_train else 'evaluation'} images to load.")
    if isinstance(data_source, IterableDataset):
        dataset: TorchDataset = StreamWrapper(cfg, data_source, tfm, is_train, batch_size)
        sampler = None
    else:
        dataset = (dataset_wrapper or DatasetWrapper)(cfg, data_source, transform=tfm, is_train=is_train)
        sampler = build_sampler(
            sampler_type, cfg=cfg, data_source=data_source, batch_size=batch_size, n_domain=n_domain, n_ins=n_ins
        )
    allow_open_files(cfg.DATALOADER.NUM_WORKERS, "DATALOADER.NUM_WORKERS")
    return Loader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        drop_last=is_train and len(data_source) >= batch_size,
        pin_memory=torch.cuda.is_available() and cfg.USE_CUDA,
    )


class DataManager:
    """The dataset of a run with its loaders, as Dassl 0.6.3.

    Attributes:
        dataset: the dataset that DATASET.NAME names.
        train_loader_x: loader of labelled training images.
        train_loader_u: loader of unlabelled training images, or None.
        val_loader: loader of validation images, or None.
        test_loader: loader of test images, or None where the dataset's `test` is None: it is for training only.

    Args:
        cfg: configuration.
        custom_tfm_train: transform, or several, in place of the configured one for training.
        custom_tfm_test: the same for validation and test.
        dataset_wrapper: class in place of DatasetWrapper.

    Raises:
        InputError: the split for training or for testing is empty, or the configuration names something unknown.
    """

    takes_training_only = True  # streams, and datasets whose `test` is None, which Dassl 0.6.3 cannot load

    def __init__(
        self,
        cfg: CfgNode,
        custom_tfm_train: Callable | Sequence[Callable] | None = None,
        custom_tfm_test: Callable | Sequence[Callable] | None = None,
        dataset_wrapper: type | None = None,
    ) -> None:
        dataset = build_dataset(cfg)
        for split in ("train_x", "test"):
            if not getattr(dataset, split) and not (split == "test" and dataset.test is None):
                raise InputError(
                    f"The split {split} of {cfg.DATASET.NAME} is empty; check the dataset's folder in "
                    f'DATASET.ROOT "{cfg.DATASET.ROOT}".'
                )

        if custom_tfm_train is None:
            custom_tfm_train = build_transform(cfg, is_train=True)
        else:
            logger.info("* Using custom transform for training")
        if custom_tfm_test is None:
            custom_tfm_test = build_transform(cfg, is_train=False)
        else:
            logger.info("* Using custom transform for testing")

        def loader(node: CfgNode, data: Sequence[Any], is_train: bool) -> DataLoader:
            sizes = dict(n_domain=node.N_DOMAIN, n_ins=node.N_INS) if is_train else {}
            return build_data_loader(
                cfg,
                sampler_type=node.SAMPLER,
                data_source=data,
                batch_size=node.BATCH_SIZE,
                tfm=custom_tfm_train if is_train else custom_tfm_test,
                is_train=is_train,
                dataset_wrapper=dataset_wrapper,
                **sizes,
            )

        nodes = cfg.DATALOADER
        node_u = nodes.TRAIN_X if nodes.TRAIN_U.SAME_AS_X else nodes.TRAIN_U
        self.dataset = dataset
        self.train_loader_x = loader(nodes.TRAIN_X, dataset.train_x, True)
        self.train_loader_u = loader(node_u, dataset.train_u, True) if dataset.train_u else None
        self.val_loader = loader(nodes.TEST, dataset.val, False) if dataset.val else None
        self.test_loader = loader(nodes.TEST, dataset.test, False) if dataset.test is not None else None

        self._num_classes = dataset.num_classes
        self._num_source_domains = len(cfg.DATASET.SOURCE_DOMAINS)
        self._lab2cname = dataset.lab2cname

        if cfg.VERBOSE:
            self.show_dataset_summary(cfg)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self._num_classes

    @property
    def num_source_domains(self) -> int:
        """Number of domains in DATASET.SOURCE_DOMAINS."""
        return self._num_source_domains

    @property
    def lab2cname(self) -> dict[int, str]:
        """Class name of each label."""
        return self._lab2cname

    def show_dataset_summary(self, cfg: CfgNode) -> None:
        """Log a table of the dataset's name and sizes."""
        table: list[list[Any]] = [["Dataset", cfg.DATASET.NAME]]
        if cfg.DATASET.SOURCE_DOMAINS:
            table.append(["Source", cfg.DATASET.SOURCE_DOMAINS])
        if cfg.DATASET.TARGET_DOMAINS:
            table.append(["Target", cfg.DATASET.TARGET_DOMAINS])
        table.append(["# classes", f"{self.num_classes:,}"])
        for split in ("train_x", "train_u", "val", "test"):
            items = getattr(self.dataset, split)
            if items:
                table.append([f"# {split}", f"{len(items):,}"])
        logger.info(tabulate(table))


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

    def __len__(self) -> int:
        return len(self.data_source)

    def __getitem__(self, idx: int) -> dict[str, Any] | Mistake:
        item = self.data_source[idx]
        return item_or_mistake(lambda: self._load(item, idx, read_image(item.impath)))

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
