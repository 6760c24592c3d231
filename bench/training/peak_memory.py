"""The most memory that a process holds while it trains: Python, PyTorch and the frozen CLIP in fp32 included.

    python -m bench peak_memory --classes 1000 --trainers CoOp PromptSRC

One process for each trainer, which takes steps at the shape of ViT-B/16. `CoOp-CSC` has a context for each class. `--options`
are more of the configuration, for all of them, such as TRAIN.MEMORY 0.5.
"""

from __future__ import annotations

import argparse

import torch

from bench.frame import memory
from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure
from bench.frame.sides import sides
from bench.training import steps

BOUND = 4.0  # GB, which every trainer is to stay below
CASES = {name: () for name in steps.FILES} | {"CoOp-CSC": ("TRAINER.COOP.CSC", "True")}
OPTIONS = {  # what it takes to stay below it
    "CoCoOp": ("TRAINER.COCOOP.MEMORY", "1.5"),
    "CasPL_CoCoOp": ("TRAINER.COCOOP.MEMORY", "1.5"),
    "CasPLBoost": ("TRAIN.MEMORY", "0.2"),  # its teacher is a ViT-L/14
}


def measure(args: argparse.Namespace) -> list[Figure]:
    def prepare(case: str):
        options = [*CASES[case], *OPTIONS.get(case, ()), *args.options]
        trainer = steps.timed(case.removesuffix("-CSC"), classes=args.classes, options=options)
        batch = steps.random_batch(trainer, args.batch)

        def step() -> dict[str, list[torch.Tensor]]:
            steps.step(trainer, batch)
            return {"peak": [torch.tensor(memory.peak())]}

        return step

    return [_peak(case, prepare, args) for case in ([args.side] if args.side else args.trainers)]


def _peak(case: str, prepare, args: argparse.Namespace) -> Figure:
    with sides(args, (case,), prepare) as processes:
        for _ in range(args.steps):
            processes[case]()
        most = processes[case].shown()["peak"][0].item() / 1e9
    bound = {"most": BOUND} if args.classes >= 1000 and args.batch <= 4 else {}
    return Figure(name=f"{case}: peak", value=most, unit="GB", **bound)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainers", nargs="+", default=tuple(CASES), choices=tuple(CASES), metavar="TRAINER")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2, help="in each process")
    parser.add_argument("--options", nargs="*", default=[], metavar="KEY VALUE", help="more of the configuration")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    trial="--trainers CoOp --classes 3 --steps 1",
    repeats=None,
    tables={"peak_memory": Table(head="trainer", of=tuple(CASES), columns={"peak": "peak"})},
)
