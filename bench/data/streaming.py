"""Memory over time while UnlabeledImages streams many small images from tar shards.

    python -m bench streaming --images 100000 --shards 10 --workers 2

Shards of JPEG images of 32 pixels are written to a temporary folder (or `--folder`, and kept there). Then a run's own loader
passes over all of them, while the resident memory of this process and of its loader workers is read at every tenth of the way.
`growth` is what came on top after the first tenth, when buffers are full, at most.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from dassl.config import get_cfg_default
from dassl.data import DataManager
from PIL import Image

import caspl.datasets  # noqa: F401, registration
from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure


def write_shards(folder: Path, images: int, shards: int) -> None:
    generator = np.random.default_rng(0)
    pool = []
    for _ in range(200):  # different files over and over: what they show does not matter
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "JPEG")
        pool.append(file.getvalue())
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"s-{shard:04d}.tar", "w") as archive:
            for number in range(shard * images // shards, (shard + 1) * images // shards):
                content = pool[number % len(pool)]
                member = tarfile.TarInfo(f"{number:08d}.jpg")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def resident() -> float:
    """Megabytes of this process and its children, what they share divided among them; without the libraries' files, which
    they may share with anybody."""
    processes = [os.getpid()]
    for task in Path("/proc/self/task").iterdir():
        processes += map(int, (task / "children").read_text().split())
    total = 0
    for process in processes:
        with suppress(OSError):  # a worker that has read its part is gone
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return total / 1024


def configuration(folder: Path, workers: int, batch: int):
    cfg = get_cfg_default()
    cfg.DATASET.PATHS, cfg.DATASET.CLASSNAMES = ("shards",), "names.txt"
    cfg.DATASET.ROOT, cfg.DATASET.NAME, cfg.VERBOSE = str(folder), "UnlabeledImages", False
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (32, 32), ("random_resized_crop", "random_flip", "normalize")
    cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.TRAIN_X.BATCH_SIZE = workers, batch
    return cfg


def measure(args: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / "shards").exists():
            write_shards(folder / "shards", args.images, args.shards)
        (folder / "names.txt").write_text("something\nanother\n")
        begin = time.perf_counter()
        loader = DataManager(configuration(folder, args.workers, args.batch)).train_loader_x
        counting = time.perf_counter() - begin
        # The first full garbage collection in a forked worker copies, once, the pages that it has inherited (some 100 MB)
        gc.freeze()
        marks, memory, seen, begin = len(loader) // 10, [], 0, time.perf_counter()
        for number, batch in enumerate(loader, 1):
            seen += len(batch["img"])
            if number % marks == 0 and len(memory) < 10:
                memory.append(resident())
        seconds = time.perf_counter() - begin
        megabytes = sum(path.stat().st_size for path in (folder / "shards").glob("*.tar")) / 2**20
    return [
        Figure(name="growth", value=max(memory[1:]) - memory[0], unit="MB"),
        Figure(name="images seen", value=seen, unit="images", least=args.images, most=args.images),
        Figure(name="a second", value=seen / seconds, unit="images"),
        Figure(name="to count the images", value=counting, unit="s"),
        Figure(name="shards", value=megabytes, unit="MB"),
        *(Figure(name=f"held at {tenth * 10} %", value=held, unit="MB") for tenth, held in enumerate(memory, 1)),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where shards are kept; default: a temporary folder")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"2 workers": "--workers 2", "no workers": "--workers 0"},
    trial="--images 2000",
    repeats=None,
    threads=1,
)
