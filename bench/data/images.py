"""Images once: the test images of a sweep out of TEST.IMAGE_STORE, and training images out of DATALOADER.CACHE.

    python -m bench images --images 64 --evaluations 16

JPEG files of `--size` are generated once. An evaluation opens the dataset anew, as each run of a sweep does, and reads all test
images as the model gets them; what a model does with them is left out. Evaluations with and without a store take turns, the
first of them fills it, and every file that is decoded is counted. An epoch reads as many training images, with the same draws
on both sides, behind one that is not counted. All is read in the main process, and all pixels are compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from dassl.data import DataManager
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from yacs.config import CfgNode

import caspl.datasets  # noqa: F401, registration
from bench.data.loader import photos, settings
from bench.frame.benchmark import Benchmark, count
from bench.frame.figures import Figure, faster, median
from bench.frame.timing import alternating

BATCH, NAMES = 32, ("cat", "dog")


def write(folder: Path, images: int, size: tuple[int, int]) -> None:
    """Class folders of photographs, as many to train with as to test."""
    for at, file in enumerate(photos(2 * images, *size)):
        place = folder / ("train", "test")[at % 2] / NAMES[at // 2 % len(NAMES)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at}.jpg").write_bytes(file)


def data_of(root: Path, **keys: object) -> DataManager:
    """The data of a run; `keys` as TEST__IMAGE_STORE."""
    cfg: CfgNode = settings()
    cfg.DATASET.NAME, cfg.DATASET.ROOT = "ImageFolder", str(root)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.TRAIN_X.BATCH_SIZE = cfg.DATALOADER.TEST.BATCH_SIZE = BATCH
    for name, value in {"DATALOADER__CACHE": 0.0, **keys}.items():
        node, key = name.split("__")
        setattr(cfg[node], key, value)
    return DataManager(cfg)


@contextmanager
def decoded(counts: Counter, side: str) -> Iterator[None]:
    """Inside, each file that is opened as an image counts for a side."""
    opened = Image.open

    def counted(*args: object, **kwargs: object) -> Image.Image:
        counts[side] += 1
        return opened(*args, **kwargs)

    with mock.patch.object(Image, "open", counted):
        yield


class Pass:
    """A pass over a loader; `fresh` gives the loader. Calling it gives seconds an image, and keeps what was read."""

    def __init__(self, side: str, counts: Counter, fresh: Callable[[], DataLoader]):
        self.side, self.counts, self.fresh = side, counts, fresh
        self.images = torch.empty(0)

    def __call__(self) -> float:
        torch.manual_seed(0)
        with decoded(self.counts, self.side):
            begin = time.perf_counter()
            read: list[Tensor] = [batch["img"] for batch in self.fresh()]
            spent = time.perf_counter() - begin
        self.images = torch.cat(read)
        return spent / len(self.images)


def measure(args: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "images"
        write(root, args.images, args.size)
        counts: Counter = Counter()
        stores = {"files": "", "store": str(Path(temporary) / "store")}
        tests = {
            side: Pass(side, counts, lambda store=store: data_of(root, TEST__IMAGE_STORE=store).test_loader)
            for side, store in stores.items()
        }
        times = alternating(tests, args.evaluations, warm_up=0)
        later = {side: taken[1:] or taken for side, taken in times.items()}
        data = {"files": data_of(root), "memory": data_of(root, DATALOADER__CACHE=4.0)}
        data["memory"].train_loader_x.dataset.keep_images()  # as a trainer does in front of several epochs
        epochs = {
            side: Pass(f"{side}, training", counts, lambda own=own: own.train_loader_x) for side, own in data.items()
        }
        trained = alternating(epochs, args.repeats, warm_up=max(args.warm_up, 1))
    different = sum(
        int((one.images != other.images).flatten(1).any(1).sum()) for one, other in (tests.values(), epochs.values())
    )
    return [
        Figure(name="evaluations", value=args.evaluations, unit=""),
        Figure(name="decoded an image, without a store", value=counts["files"] / args.images, unit=""),
        Figure(name="decoded an image, with a store", value=counts["store"] / args.images, unit="", most=1),
        Figure(name="images that differ", value=different, unit="images", most=0),
        Figure(name="all evaluations: faster", value=sum(times["files"]) / sum(times["store"]), unit="x"),
        faster(later, "files", "store", "an evaluation behind the first: faster"),
        *(median(f"{side}: an image", [1e3 * t for t in taken], "ms") for side, taken in later.items()),
        faster(trained, "files", "memory", "a training epoch: faster"),
        *(median(f"{side}: a training image", [1e3 * t for t in taken], "ms") for side, taken in trained.items()),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=count, default=256, help="to train with, and to test")
    parser.add_argument("--size", type=count, nargs=2, default=[500, 375], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--evaluations", type=count, default=16)


BENCH = Benchmark(__name__, __doc__, measure, arguments, trial="--images 4 --evaluations 2", repeats=5, threads=1)
