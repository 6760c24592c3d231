"""Data loaders for a run, built from the configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tabulate import tabulate
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset
from yacs.config import CfgNode

from caspl.ground.errors import InputError
from caspl.ground.files import allow_open_files
from caspl.ground.stores import check_place
from caspl.ground.stores.facts import NAME as FACTS_FILE

from .datasets import build_dataset
from .loader import Loader
from .samplers import build_sampler
from .stored import StoredImages, StoreLoader
from .transforms.transforms import build_transform
from .wrappers import DatasetWrapper, StreamWrapper

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
    return (StoreLoader if isinstance(dataset, StoredImages) else Loader)(
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
        stores = cfg.TEST.IMAGE_STORE and custom_tfm_test is None and dataset_wrapper is None
        if custom_tfm_test is None:
            custom_tfm_test = build_transform(cfg, is_train=False)
        else:
            logger.info("* Using custom transform for testing")
        if stores and not (cfg.INPUT.NO_TRANSFORM or cfg.DATALOADER.RETURN_IMG0):
            check_place(cfg.TEST.IMAGE_STORE, "TEST.IMAGE_STORE", f"*/{FACTS_FILE}")
            test_wrapper = StoredImages
        else:
            test_wrapper = dataset_wrapper

        def loader(node: CfgNode, data: Sequence[Any], is_train: bool) -> DataLoader:
            sizes = dict(n_domain=node.N_DOMAIN, n_ins=node.N_INS) if is_train else {}
            return build_data_loader(
                cfg,
                sampler_type=node.SAMPLER,
                data_source=data,
                batch_size=node.BATCH_SIZE,
                tfm=custom_tfm_train if is_train else custom_tfm_test,
                is_train=is_train,
                dataset_wrapper=dataset_wrapper if is_train else test_wrapper,
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
