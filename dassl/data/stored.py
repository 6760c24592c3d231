"""Test images on disk as they are before they become numbers: decoded, resized, cropped, 8 bits a channel. Not in Dassl.

One store serves every evaluation of the same images with the same size and interpolation, whatever the method, the seed and
the normalisation. The first to need an image decodes it; who comes at the same time waits. What is left to be done for an image
that is there takes so little that no other processes are started for it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import v2
from tqdm import tqdm
from yacs.config import CfgNode

from caspl.ground.errors import cause
from caspl.ground.images import read_image
from caspl.ground.locks import HeldError, locked
from caspl.ground.stores.facts import Facts
from caspl.ground.stores.rows import Rows

from .loader import Loader, Mistake, item_or_mistake
from .transforms.operations import PILToFloat, pixels
from .wrappers import DatasetWrapper

logger = logging.getLogger(__name__)

PATIENCE = 600.0  # seconds without a new image after which another process is waited for no longer
DECODED_AT_ONCE = 32  # images


class StoredImages(DatasetWrapper):
    """Items for evaluation, whose images come out of the store TEST.IMAGE_STORE as far as they are there.

    `transform` is one that `build_transform` makes for testing: nothing in it is random.
    """

    def __init__(self, cfg: CfgNode, data_source: Sequence[Any], transform: v2.Compose, is_train: bool = False) -> None:
        super().__init__(cfg, data_source, transform, is_train)
        steps = transform.transforms
        at = next(place for place, step in enumerate(steps) if isinstance(step, PILToFloat))
        self.crop, self.rest = v2.Compose(steps[:at]), v2.Compose(steps[at:])
        self.names = [_name(item.impath) for item in data_source]
        self._rows, self._process = None, 0

    def __getstate__(self) -> dict:
        return {**vars(self), "_rows": None, "_process": 0}

    @property
    def rows(self) -> Rows:
        """The store, opened by this process: forks share the places in open files."""
        if self._process != os.getpid():
            node, (height, width) = self.cfg.TEST, self.cfg.INPUT.SIZE
            facts = {"crop": str(self.crop), "Pillow": PIL.__version__}
            self._rows, self._process = (
                Rows(
                    node.IMAGE_STORE,
                    Facts("images", facts, {"size": f"{height} x {width}"}),
                    width=3 * height * width,
                    format="uint8",
                    most=node.IMAGE_STORE_GB,
                ),
                os.getpid(),
            )
        return self._rows

    def _image(self, idx: int) -> Image.Image | torch.Tensor:
        """The cropped pixels, uint8 (3, H, W), where they are stored; else the image."""
        row, there = self.rows.get([self.names[idx]])
        if not there[0]:
            return super()._image(idx)
        return torch.from_numpy(row).view(3, *self.cfg.INPUT.SIZE)

    def _transform_image(self, tfm: Callable, img0: Any) -> Any:
        return self.rest(img0) if isinstance(img0, torch.Tensor) else super()._transform_image(tfm, img0)

    # ------------------------------------------------------------ filling
    def fill(self) -> bool:
        """Whether all images are stored now. Those that are not are decoded, if there is room for them, by one process."""
        if not (missing := len(self.rows.missing(self.names))):
            return True
        if not self.rows.has_room(missing):
            return False
        try:
            self.rows.facts.write(self.rows.folder)
        except OSError as error:
            logger.warning(f"Test images are not stored: {self.rows.folder} cannot be written ({cause(error)})")
            return False
        with ExitStack() as stack:
            if self._is_our_turn(stack):
                self._store(self.rows.missing(self.names))  # without those that another has stored meanwhile
        return not len(self.rows.missing(self.names))

    @property
    def lock(self) -> Path:
        """Whoever has it stores these images."""
        return self.rows.folder / f".filling-{blake2b(b''.join(self.names), digest_size=8).hexdigest()}"

    def _is_our_turn(self, stack: ExitStack) -> bool:
        """Wait for other processes that store these images; False: one is at it, and has not come further for PATIENCE."""
        try:
            stack.enter_context(locked(self.lock, patience=1.0))
            return True
        except HeldError as error:
            logger.info(f"The test images are being stored in {self.rows.folder}, by {error.holder}; this run waits")
        left = len(self.names) + 1
        while (missing := len(self.rows.missing(self.names))) < left:
            try:
                stack.enter_context(locked(self.lock, patience=PATIENCE))
                return True
            except HeldError:
                left = missing
        return False

    def _store(self, places: np.ndarray) -> None:
        batches = Loader(
            _Crops([self.data_source[place].impath for place in places], self.crop),
            batch_size=DECODED_AT_ONCE,
            num_workers=self.cfg.DATALOADER.NUM_WORKERS,
            generator=torch.Generator(),  # the run's own random numbers stay where they are
        )
        stored = 0
        try:
            for numbers, crops in tqdm(batches, desc="storing images", unit="batch", leave=False, disable=None):
                self.rows.add([self.names[place] for place in places[numbers.numpy()]], crops.flatten(1).numpy())
                stored += len(numbers)
                if not self.rows.adds:
                    return
        finally:
            self.rows.publish()
        if stored:
            logger.info(f"{stored:,} of {len(self.names):,} test images are now stored in {self.rows.folder}")


class StoreLoader(Loader):
    """A loader of StoredImages. What is all stored is read by this process, without others."""

    def __iter__(self) -> Iterator[Any]:
        workers = self.num_workers
        self.num_workers = 0 if self.dataset.fill() else workers
        try:
            return super().__iter__()
        finally:
            self.num_workers = workers


class _Crops(Dataset):
    """Places in a list of images, and the cropped pixels there."""

    def __init__(self, paths: Sequence[str], crop: Callable[[Image.Image], Image.Image]) -> None:
        self.paths, self.crop = paths, crop

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[int, torch.Tensor] | Mistake:
        return item_or_mistake(lambda: (place, pixels(self.crop(read_image(self.paths[place])))))


def _name(path: str) -> bytes:
    """16 bytes for an image as it is now: a file that was replaced or changed since counts as another one."""
    state = os.path.abspath(path)
    with suppress(OSError):  # told when it is read
        status = os.stat(path)
        state += f"\n{status.st_size}\n{status.st_mtime_ns}"
    return blake2b(state.encode("utf-8", "surrogateescape"), digest_size=16).digest()
