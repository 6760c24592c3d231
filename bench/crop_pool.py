"""A training step with CROP_POOL, from the first epoch on, against one that encodes its images.

    python bench/crop_pool.py --classes 50 --batch 32 --repeats 5

The same trainer takes the same batch twice, once as images and once as their features. Steps alternate, and medians are taken.
Reading and cropping of images, which the pool does without, too, are left out. Weights are random, of ViT-B/16's shape.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import torch
from tabulate import tabulate

import steps
from caspl.ground import door
from floor import seconds

TRAINERS = ("CoOp", "KgCoOp", "ProGrad", "CoCoOp")


def pooled(trainer, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The batch with features in place of images, as a pool of crops gives it."""
    with torch.no_grad():
        encoders = trainer.encoders().items()
        features = {name: trainer.model.prompted.image_features(batch["img"], groups) for name, groups in encoders}
    return {**batch, **features}


def compared(name: str, classes: int, images: int, repeats: int) -> tuple[float, float]:
    """Median seconds of a step on images, and on features."""
    trainer = steps.timed(name, classes=classes)
    batch = steps.random_batch(trainer, images)
    sides = batch, pooled(trainer, batch)
    turns = [[seconds(lambda b=side: steps.step(trainer, b)) for side in sides] for _ in range(repeats + 1)]
    return tuple(map(statistics.median, zip(*turns[1:], strict=True)))


def main() -> None:
    parser = door.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainers", nargs="+", default=TRAINERS, choices=TRAINERS, metavar="TRAINER")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name in args.trainers:
        images, features = compared(name, args.classes, args.batch, args.repeats)
        rows.append([name, images, features, images / features])
    print(tabulate(rows, ["", "seconds, images", "seconds, pool", "times faster"], floatfmt=".2f"))


if __name__ == "__main__":
    sys.exit(door.run(main))
