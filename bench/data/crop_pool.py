"""A training step with CROP_POOL, from the first epoch on, against one that encodes its images.

    python -m bench crop_pool --classes 50 --batch 32

The same trainer takes the same batch twice, once as images and once as their features. Steps take turns, and medians are taken.
Reading and cropping of images, which the pool does without, too, are left out. Weights are random, of ViT-B/16's shape.
"""

from __future__ import annotations

import argparse

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, faster, median
from bench.frame.timing import alternating, timed
from bench.training import steps

TRAINERS = ("CoOp", "KgCoOp", "ProGrad", "CoCoOp")


def compared(name: str, args: argparse.Namespace) -> list[Figure]:
    """Figures of a step on images, and on features."""
    trainer = steps.timed(name, classes=args.classes)
    batch = steps.random_batch(trainer, args.batch)
    sides = {"images": batch, "pool": batch | steps.pooled(trainer, batch)}
    paths = {side: timed(lambda b=given: steps.step(trainer, b)) for side, given in sides.items()}
    times = alternating(paths, args.repeats, warm_up=args.warm_up)
    return [
        faster(times, "images", "pool", f"{name}: faster"),
        *(median(f"{name}: {side}", times[side]) for side in sides),
    ]


def measure(args: argparse.Namespace) -> list[Figure]:
    return [figure for name in args.trainers for figure in compared(name, args)]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainers", nargs="+", default=TRAINERS, choices=TRAINERS, metavar="TRAINER")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"": "--classes 50 --batch 32"},
    trial="--trainers CoOp --classes 3 --batch 1",
    tables={
        "crop_pool": Table(
            head="trainer",
            of=TRAINERS,
            columns={"images": "images", "features of the pool": "pool", "faster": "faster"},
        )
    },
)
