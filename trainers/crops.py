"""Random crops that follow from the image and the epoch alone, so that what is computed of one can be kept and found again.

In the family crops, flips and colours come out of the one random stream of a run, from which prompts and the order of images
are drawn, too: with another length of a prompt, or number of workers, every crop is another. TRAINER.CASPL.CROPS seeded draws
those of an image from TRAINER.CASPL.CROP_SEED, the epoch and the image's pixels instead, and leaves the stream alone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image

from caspl.ground.keys import Key

STREAM, SEEDED = "stream", "seeded"
KEYS = [
    Key(
        "TRAINER.CASPL.CROPS",
        STREAM,
        "Where the random crops of training images come from: stream (the run's random stream, as in the family), or seeded "
        "(CROP_SEED, the epoch and the image alone); for every prompt learner",
        choices=(STREAM, SEEDED),
    ),
    Key(
        "TRAINER.CASPL.CROP_SEED",
        1,
        "The seed of seeded crops, whatever SEED is",
        least=0,
        most=2**31 - 1,
        read_with=("TRAINER.CASPL.CROPS", (SEEDED,)),
    ),
]


@contextmanager
def drawing_from(seed: bytes) -> Iterator[None]:
    """Inside, the random streams of Python, NumPy and PyTorch's CPU begin at `seed` (16 bytes); behind it, where they were."""
    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    random.seed(seed)
    np.random.seed(np.frombuffer(seed, np.uint32))
    torch.default_generator.manual_seed(int.from_bytes(seed[:8], "little"))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


class Seeded:
    """A transform of PIL images whose random numbers follow from a seed, the epoch and the pixels of the image.

    Attributes:
        epoch: from 0; a loader's workers know the one that it had when a pass began.
    """

    def __init__(self, transform: Callable[[Image.Image], Any], seed: int):
        self.transform, self.seed, self.epoch = transform, seed, 0

    def __repr__(self) -> str:
        return f"Seeded({self.transform}, seed={self.seed})"

    def __call__(self, image: Image.Image) -> Any:
        digest = hashlib.blake2b(f"{self.seed} {self.epoch} {image.size}".encode(), digest_size=16)
        digest.update(image.tobytes())
        with drawing_from(digest.digest()):
            return self.transform(image)


class Cropping:
    """Mixin in front of a trainer of Dassl's: training images are cropped as TRAINER.CASPL.CROPS says.

    Attributes:
        crops: the seeded transforms of the training loader; none with crops out of the stream.
    """

    crops: list[Seeded]

    def build_data_loader(self) -> None:
        super().build_data_loader()
        cfg, self.crops = self.cfg, []
        if cfg.TRAINER.CASPL.CROPS != SEEDED:
            return
        dataset = self.train_loader_x.dataset
        if dataset.transform is None:  # INPUT.NO_TRANSFORM
            return
        several = isinstance(dataset.transform, list | tuple)
        self.crops = [
            Seeded(each, cfg.TRAINER.CASPL.CROP_SEED)
            for each in (dataset.transform if several else [dataset.transform])
        ]
        dataset.transform = self.crops if several else self.crops[0]

    def before_epoch(self) -> None:
        self.crop_for(self.epoch)
        super().before_epoch()

    def crop_for(self, epoch: int) -> None:
        """Let the next pass over the training images have the crops of that epoch."""
        for crop in self.crops:
            crop.epoch = epoch
