"""The arithmetic floor of a training step: its matrix products at this machine's peak, and nothing beside them.

    python bench/floor.py --trainers PromptSRC MaPLe --classes 50

For each trainer: floating-point operations of a step, its seconds, and how many times the floor that is, seconds * peak /
operations. Operations are those of the matrix products, convolutions and attention that the step runs. Peak is the best rate
of a matrix product in fp32, among large ones and those of ViT-B/16's layers, by the same threads; it is measured before every
step, since clocks vary, and the median is taken over the steps.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

import steps
from caspl.ground import door

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
TRAINERS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")


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
    best = min(seconds(lambda: F.linear(x, weight)) for _ in range(repeats + 1))
    return 2 * rows * inner * columns / best


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def share(call: Callable[[], object], repeats: int) -> dict[str, float]:
    """`operations` of a call, median `seconds` and `peak` of `repeats` calls, and `over_floor`, the median of their ratio."""
    needed = operations(call)
    turns = [(peak(), seconds(call)) for _ in range(repeats + 1)][1:]
    return {
        "operations": needed,
        "seconds": statistics.median(took for _, took in turns),
        "peak": statistics.median(rate for rate, _ in turns),
        "over_floor": statistics.median(rate * took / needed for rate, took in turns),
    }


def main() -> None:
    parser = door.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainers", nargs="+", default=TRAINERS, choices=tuple(steps.FILES), metavar="TRAINER")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name in args.trainers:
        trainer = steps.timed(name, classes=args.classes)
        batch = steps.random_batch(trainer, args.batch)
        found = share(lambda t=trainer, b=batch: steps.step(t, b), args.repeats)
        rows.append([name, found["operations"] / 1e9, found["seconds"], found["peak"] / 1e9, found["over_floor"]])
    print(tabulate(rows, ["", "GFLOP", "seconds", "peak GFLOP/s", "times the floor"], floatfmt=".2f"))


if __name__ == "__main__":
    sys.exit(door.run(main))
