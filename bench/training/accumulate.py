"""The memory and the time of a training step whose batch goes through the model in parts (OPTIM.ACCUMULATE).

    python -m bench accumulate --trainers PromptSRC MaPLe --classes 50 --batch 4 --repeats 3

Each number of parts is a process of its own, and they take turns. Memory is the peak of a step above what was held before the
first one: activations, gradients and momentum, not the weights.
"""

from __future__ import annotations

import argparse
from functools import partial

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, median, ratio
from bench.frame.sides import Step, sides
from bench.frame.timing import alternating
from bench.tower import plain
from bench.training import steps

PARTS = (1, 2, 4)
TRAINERS = ("PromptSRC", "MaPLe")


def row(trainer: str, parts: int) -> str:
    """What a trainer with so many parts is called: a side, and a row of the table."""
    return f"{trainer} in {parts}"


def prepare(args: argparse.Namespace, name: str) -> Step:
    """The step of a side."""
    of, _, parts = name.partition(" in ")
    trainer = steps.timed(of, classes=args.classes, backbone=args.backbone, options=("OPTIM.ACCUMULATE", parts))
    batch = steps.random_batch(trainer, args.batch)
    return lambda: steps.step(trainer, batch) or {}


def measure(args: argparse.Namespace) -> list[Figure]:
    figures = []
    for trainer in args.trainers:
        names = [row(trainer, parts) for parts in PARTS if parts <= args.batch]
        with sides(args, names, partial(prepare, args)) as found:
            times = alternating(found, args.repeats, warm_up=args.warm_up)
            held = {name: found[name].shown()["bytes"] / 1e9 for name in names}
        for name in names:
            figures.append(Figure(name=f"{name}: memory", value=held[name], unit="GB"))
            figures.append(median(f"{name}: step", times[name]))
            figures.append(ratio(f"{name}: time", times[name], times[names[0]]))
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainers", nargs="+", default=TRAINERS, choices=tuple(steps.FILES), metavar="TRAINER")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4, help="images of a step")
    parser.add_argument("--backbone", default=plain.VIT_B16, help="an open_clip architecture; weights are random")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"batch 4": "--batch 4 --repeats 3", "batch 32": "--batch 32 --repeats 2"},
    trial="--trainers MaPLe --classes 3 --batch 2",
    tables={
        "accumulate": Table(
            head="trainer, parts, images of a step",
            of=tuple(row(trainer, parts) for trainer in TRAINERS for parts in PARTS),
            columns={"memory of a step": "memory", "time": "step", "to the whole batch's": "time"},
        )
    },
)
