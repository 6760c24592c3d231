"""Phase 1 with the teacher's features out of a store: an epoch without one, with an empty and with a full one.

    python -m bench teacher_store --classes 50 --batch 4 --repeats 5

One trainer of ViT-B/16's and ViT-L/14's shapes, with random weights, steps on the same random images by each way in turn.
Naming images, opening the store and publishing to it are counted; reading and cropping images, the same everywhere, are not.
How much faster a full store can make a step is counted, too: the operations of a step without it over those that it leaves.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from torch import Tensor

from bench.frame.benchmark import Benchmark, Table
from bench.frame.benchmark import count as whole
from bench.frame.figures import Figure, faster, median, ratio
from bench.frame.sides import difference
from bench.frame.timing import alternating, timed
from bench.training import steps
from bench.training.floor import operations
from caspl.ground.stores.rows import Rows
from caspl.trainers.teacher_store import Naming

NAMED = Naming(dict)


def epoch(trainer, batches: list[dict[str, Tensor]], place: Path | None) -> None:
    """A step on each batch, with the store in a folder, or without one."""
    kept = trainer.rows
    trainer.rows = reopened(kept, place) if place else None
    for batch in batches:
        steps.step(trainer, NAMED(batch.items()) if place else batch)
    if place:
        trainer.rows.publish()
    trainer.rows = kept


def reopened(rows: Rows, place: Path) -> Rows:
    return Rows(place, rows.facts, width=rows.shape.width, format=rows.shape.format)


def gradients(trainer, batch: dict[str, Tensor]) -> list[Tensor]:
    """The loss on a batch, and its gradients."""
    trainer.optim.zero_grad()
    loss, _ = trainer.backward(*trainer.parse_batch_train(batch))
    return [loss.detach(), *(p.grad.clone() for p in trainer.trained)]


def measure(args: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        options = ("TRAINER.CASPL.TEACHER_STORE", f"{folder}/full")
        trainer = steps.timed("CasPLBoost", classes=args.classes, options=options)
        batches = [steps.random_batch(trainer, args.batch) for _ in range(args.batches)]
        for number, batch in enumerate(batches):
            batch["img"] = batch["img"].roll(number, -1)
        new = count()
        ways: dict[str, Callable[[], Path | None]] = {
            "without": lambda: None,
            "empty": lambda: Path(folder, f"empty{next(new)}"),
            "full": lambda: Path(folder, "full"),
        }
        epoch(trainer, batches, Path(folder, "full"))
        paths = {name: timed(lambda way=way: epoch(trainer, batches, way())) for name, way in ways.items()}
        times = alternating(paths, args.repeats, warm_up=args.warm_up)
        trainer.rows = reopened(trainer.rows, Path(folder, "full"))
        found = gradients(trainer, batches[0])
        rows, trainer.rows = trainer.rows, None
        expected = gradients(trainer, batches[0])
        whole_step = operations(lambda: steps.step(trainer, batches[0]))
        trainer.rows = reopened(rows, Path(folder, "full"))
        rest = operations(lambda: steps.step(trainer, batches[0]))
    images = args.batch * args.batches
    return [
        faster(times, "without", "full", "faster with a full store", least=4),
        *(median(f"an image, {name}", [spent / images for spent in taken]) for name, taken in times.items()),
        ratio("empty store over none", times["empty"], times["without"]),
        _single("faster by operations", whole_step / rest, "x"),
        _single("operations of an image, without", whole_step / args.batch / 1e9, "GFLOP"),
        _single("operations of an image, full", rest / args.batch / 1e9, "GFLOP"),
        replace(_single("images out of the full store", rows.found, "images"), least=args.batch),
        replace(_single("difference of loss and gradients", difference(expected, found), "relative"), most=1e-4),
    ]


def _single(name: str, value: float, unit: str) -> Figure:
    return Figure(name=name, value=value, unit=unit)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--classes", type=whole, default=50, help="spread over ImageNet's list")
    parser.add_argument("--batch", type=whole, default=4, help="images of a step")
    parser.add_argument("--batches", type=whole, default=2, help="steps of an epoch")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"50": "--classes 50 --repeats 5"},
    trial="--classes 2 --batch 1 --batches 1",
    tables={
        "teacher_store": Table(
            head="classes",
            columns={
                "an image, no store": "an image, without",
                "an empty store": "an image, empty",
                "a full store": "an image, full",
                "faster": "faster with a full store",
                "by operations": "faster by operations",
                "loss and gradients differ": "difference of loss and gradients",
            },
        )
    },
)
