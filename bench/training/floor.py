"""The arithmetic floor of a training step: its matrix products at this machine's peak, and nothing beside them.

    python -m bench floor --trainers PromptSRC MaPLe --classes 50

For each trainer: floating-point operations of a step, its seconds, and how many times the floor that is, seconds * peak /
operations. Operations are those of the matrix products, convolutions and attention that the step runs. Peak is the best rate
of a matrix product in fp32, among large ones and those of ViT-B/16's layers, by the same threads; it is measured before every
step, since clocks vary, and the median is taken over the steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, median
from bench.frame.timing import timed
from bench.training import steps

aten = torch.ops.aten
ON_CPU = {  # attention's kernels on a CPU, which PyTorch's table of formulas lacks
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *args, **more: sdpa_flop_count(q, k, v),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda out, q, k, v, *args, **more: (
        sdpa_backward_flop_count(out, q, k, v)
    ),
}
PRODUCTS = (  # rows, inner, columns: a large one, and those of ViT-B/16's layers for four images
    (2048, 2048, 2048),
    (788, 768, 2304),
    (788, 768, 3072),
    (788, 3072, 768),
)
TARGETS = {"MaPLe": {"most": 1.3}, "PromptSRC": {"most": 1.3}}
TRAINERS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")


AT_FOUR = ("MaPLe", "PromptSRC", "KgCoOp", "ProGrad", "IVLP", "VPT", "CasPLBoost")  # images a step


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in one call, backward passes included."""
    with FlopCounterMode(display=False, custom_mapping=ON_CPU) as counter:
        call()
    return counter.get_total_flops()


def peak(dtype: torch.dtype = torch.float32, repeats: int = 3) -> float:
    """Floating-point operations a second of the fastest matrix product out of PRODUCTS, by torch's threads."""
    return max(_rate(*shape, dtype, repeats) for shape in PRODUCTS)


def _rate(rows: int, inner: int, columns: int, dtype: torch.dtype, repeats: int) -> float:
    x, weight = torch.ones(rows, inner, dtype=dtype), torch.ones(columns, inner, dtype=dtype)
    product = timed(lambda: F.linear(x, weight))
    return 2 * rows * inner * columns / min(product() for _ in range(repeats + 1))


def compared(name: str, call: Callable[[], object], args: argparse.Namespace) -> list[Figure]:
    """Figures of a step, called `name`: how many times the floor it takes, its time, its operations, the floor's time."""
    needed, step = operations(call), timed(call)
    turns = [(peak(), step()) for _ in range(args.warm_up + args.repeats)][args.warm_up :]
    return [
        median(
            f"{name}: times the floor", [rate * took / needed for rate, took in turns], "x", **TARGETS.get(name, {})
        ),
        median(f"{name}: step", [took for _, took in turns]),
        Figure(name=f"{name}: operations", value=needed / 1e9, unit="GFLOP"),
        median(f"{name}: floor", [needed / rate for rate, _ in turns]),
        median(f"{name}: peak", [rate / 1e9 for rate, _ in turns], "GFLOP/s"),
    ]


def measure(args: argparse.Namespace) -> list[Figure]:
    figures = []
    for name in args.trainers:
        trainer = steps.timed(name, classes=args.classes)
        batch = steps.random_batch(trainer, args.batch)
        figures += compared(name, lambda t=trainer, b=batch: steps.step(t, b), args)
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainers", nargs="+", default=TRAINERS, choices=tuple(steps.FILES), metavar="TRAINER")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={
        "batch 32": "--trainers CoOp --classes 50 --batch 32",
        "batch 1": "--trainers CoCoOp --classes 50 --batch 1",
        "batch 4": f"--trainers {' '.join(AT_FOUR)} --classes 50 --batch 4",
    },
    trial="--trainers CoOp --classes 3 --batch 1",
    repeats=4,
    tables={
        "floor": Table(
            head="trainer",
            of=("CoOp", "CoCoOp", *AT_FOUR),
            columns={
                "step": "step",
                "operations": "operations",
                "floor": "floor",
                "times the floor": "times the floor",
            },
        )
    },
)
