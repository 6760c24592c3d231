"""Reading training images: the family's recipe against ours, in one run.

    python -m bench loader --images 64 --repeats 10

JPEG files of `--size` are generated once. Both paths read them from memory, decode them and apply the training transform
(random resized crop of 224 pixels, bicubic; flip; tensor; normalise) with the same draws, one core each. The family's path is
Pillow and torchvision's first transforms, as Dassl composes them; ours is what a run's loader calls. They alternate pass by
pass, so that a busy machine slows both; the rate of a path is that of its fastest pass. Pixels are compared, and the steps of
ours are timed on their own.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from itertools import count

import numpy as np
import torch
from dassl.config import get_cfg_default
from dassl.data.transforms import build_transform
from PIL import Image
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode

from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure, faster
from bench.frame.timing import alternating
from caspl.ground.images import read_image

STEPS = ("crop and resize", "flip", "to tensor", "normalise")


def photos(count: int, width: int, height: int) -> list[bytes]:
    """JPEG files with structure and noise, as large as photographs of that size are (about 65 kB at 500x375)."""
    generator, files = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(
            (width, height), Image.BICUBIC
        )
        noisy = np.asarray(coarse).astype(int) + generator.integers(-12, 13, (height, width, 3))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def settings():
    """The INPUT block of the family's trainer configurations."""
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.INTERPOLATION = (224, 224), "bicubic"
    cfg.INPUT.PIXEL_MEAN = [0.48145466, 0.4578275, 0.40821073]
    cfg.INPUT.PIXEL_STD = [0.26862954, 0.26130258, 0.27577711]
    cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "normalize")
    return cfg


def family(cfg) -> Callable[[bytes], Tensor]:
    node = cfg.INPUT
    transform = v1.Compose(
        [
            v1.RandomResizedCrop(node.SIZE, scale=node.RRCROP_SCALE, interpolation=InterpolationMode.BICUBIC),
            v1.RandomHorizontalFlip(),
            v1.ToTensor(),
            v1.Normalize(mean=node.PIXEL_MEAN, std=node.PIXEL_STD),
        ]
    )
    return lambda file: transform(Image.open(io.BytesIO(file)).convert("RGB"))


class Path:
    """A way to read: each call is a pass over the files with the next draws, and gives its seconds for an image."""

    def __init__(self, read: Callable[[bytes], Tensor], files: list[bytes]):
        self.read, self.files, self.seeds, self.images = read, files, count(), []

    def __call__(self) -> float:
        torch.manual_seed(next(self.seeds))
        begin = time.perf_counter()
        self.images = [self.read(file) for file in self.files]
        return (time.perf_counter() - begin) / len(self.files)


def step_times(transform, files: list[bytes], repeats: int) -> dict[str, float]:
    """Milliseconds for an image in each step of ours, in the fastest pass."""
    functions = [lambda file: read_image("", file), *transform.transforms]
    times: list[list[float]] = [[] for _ in functions]
    for seed in range(repeats):
        torch.manual_seed(seed)
        images: list = files
        for function, passes in zip(functions, times, strict=True):
            begin = time.perf_counter()
            images = [function(image) for image in images]
            passes.append((time.perf_counter() - begin) / len(files) * 1000)
    return dict(zip(("decode", *STEPS), map(min, times), strict=True))


def measure(args: argparse.Namespace) -> list[Figure]:
    cfg, files = settings(), photos(args.images, *args.size)
    transform = build_transform(cfg)
    paths = {"family": Path(family(cfg), files), "ours": Path(lambda file: transform(read_image("", file)), files)}
    times = alternating(paths, args.repeats, warm_up=args.warm_up)
    different = sum(not torch.equal(*pair) for pair in zip(*(path.images for path in paths.values()), strict=True))
    steps = step_times(transform, files, args.repeats)
    return [
        faster(times, "family", "ours"),
        *(Figure(name=path, value=1 / min(taken), unit="images/s") for path, taken in times.items()),
        Figure(name="images that differ", value=different, unit="images", most=0),
        *(Figure(name=f"ours, {name}", value=spent, unit="ms", n=args.repeats) for name, spent in steps.items()),
        Figure(name="a file", value=sum(map(len, files)) / len(files) / 1e3, unit="kB"),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=[500, 375], metavar=("WIDTH", "HEIGHT"))


BENCH = Benchmark(__name__, __doc__, measure, arguments, trial="--images 2", repeats=10, threads=1)
