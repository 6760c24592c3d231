"""Images a second of phase 1 in one process and in two that share each batch, with the same threads in all.

    python -m bench devices --classes 50 --batch 4 --processes 2 --repeats 5

ViT-B/16 taught by ViT-L/14, random weights and images, gradients summed by gloo on this machine: what sharing costs where the
devices are a CPU's cores, of which one process makes use, too. `one thread` is a process on one of these devices.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
from functools import partial

import torch

from bench.frame.benchmark import Benchmark, Table, count
from bench.frame.figures import Figure, median, ratio
from bench.frame.sides import Step, sides
from bench.frame.timing import alternating
from bench.tower import plain
from bench.training import steps
from caspl.ground.processes import together
from caspl.ground.processes.place import HOST, LOCAL, PORT, RANK, SIZE

ALONE, SINGLE, SHARED = "one process", "one thread", "several processes"


def trained(args: argparse.Namespace, threads: int) -> Step:
    """A step of phase 1 on a batch."""
    torch.set_num_threads(threads)
    trainer = steps.timed(args.trainer, classes=args.classes, backbone=args.backbone)
    batch = steps.random_batch(trainer, args.batch)
    return lambda: steps.step(trainer, batch) or {}


def prepare(args: argparse.Namespace, name: str) -> Step:
    """The step of a side. That of several processes is of the first one, in whose wake the others do theirs."""
    if name != SHARED:
        return trained(args, 1 if name == SINGLE else args.threads)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for number in range(1, args.processes):
        multiprocessing.get_context("spawn").Process(target=follow, args=(args, number, port), daemon=True).start()
    _take_place(args, 0, port)
    joined = together.joined()  # until this process ends
    joined.__enter__()
    step = trained(args, max(args.threads // args.processes, 1))

    def first() -> dict:
        together.once(lambda: None)  # the others wait for it
        return step()

    return first


def follow(args: argparse.Namespace, number: int, port: int) -> None:
    """The life of a process that is not the first: it ends when that has ended."""
    _take_place(args, number, port)
    with together.joined():
        step = trained(args, max(args.threads // args.processes, 1))
        while True:
            together.once(lambda: None)
            step()


def _take_place(args: argparse.Namespace, number: int, port: int) -> None:
    place = {RANK: number, SIZE: args.processes, LOCAL: number, HOST: "127.0.0.1", PORT: port}
    os.environ.update({name: str(value) for name, value in place.items()})


def measure(args: argparse.Namespace) -> list[Figure]:
    names = (ALONE, SINGLE, SHARED)
    with sides(args, names, partial(prepare, args)) as found:
        times = alternating(found, args.repeats, warm_up=args.warm_up)
    return [
        ratio("faster than one thread", times[SINGLE], times[SHARED]),
        ratio("faster than one process", times[ALONE], times[SHARED]),
        *(median(name, [args.batch / spent for spent in times[name]], "images/s") for name in names),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainer", default="CasPLBoost", choices=tuple(steps.FILES), metavar="TRAINER")
    parser.add_argument("--processes", type=count, default=2)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4, help="images of a step, in all processes")
    parser.add_argument("--backbone", default=plain.VIT_B16, help="an open_clip architecture; weights are random")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"batch 4": "--batch 4 --repeats 5", "batch 32": "--batch 32 --repeats 2"},
    trial="--trainer VPT --classes 3 --batch 2",
    tables={
        "devices": Table(
            head="images of a step",
            columns={
                **{name: name for name in (ALONE, SINGLE, SHARED)},
                "to one thread": "faster than one thread",
                "to one process": "faster than one process",
            },
        )
    },
)
