"""What it costs to look at loss, gradients and prompts in every step: training steps with and without, in one process.

    python bench/divergence.py --trainers CoOp PromptSRC --rounds 40

The demo's student on digits, whose steps are the shortest there are: the share of the checks is largest here. Rounds of steps
with and without take turns; the ratio is that of the two halves of a round, which a busy machine slows down alike. Printed are
its median and quartiles over rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable

import plain  # makes the repository's modules importable

# isort: split
import numpy as np
import torch
from dassl.engine import build_trainer
from dassl.metrics import compute_accuracy
from dassl.utils import set_random_seed

import train
from caspl.ground import door
from caspl.ground.quiet import quiet


def build(name: str, folder: str, device: str):
    """A trainer of the demo, as it stands before its first step, and a batch."""
    data, own = "configs/datasets/digits.yaml", f"configs/trainers/{name}/digits.yaml"
    files = ["--dataset-config-file", data, "--config-file", own]
    keys = ["USE_CUDA", str(device != "cpu"), "DATASET.NUM_SHOTS", "16", "DATASET.SUBSAMPLE_CLASSES", "base"]
    flags = ["--root", folder, "--output-dir", f"{folder}/{name}", "--trainer", name, "--seed", "1"]
    cfg = train.setup_cfg(train.parse_args([*flags, *files, *keys]))
    set_random_seed(1)
    trainer = build_trainer(cfg)
    trainer.before_train()
    trainer.close_writer()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 2  # never the last one of an epoch, where the rate changes
    return trainer, next(iter(trainer.train_loader_x))


def unchecked(trainer, batch) -> dict[str, float]:
    """PromptTrainer.forward_backward without a look at any number."""
    images, labels = trainer.parse_batch_train(batch)
    trainer.optim.zero_grad()
    loss, logits = trainer.backward(images, labels)
    trainer.scaler.step(trainer.optim)
    trainer.scaler.update()
    return {"loss": loss.item(), "acc": compute_accuracy(logits, labels)[0].item()}


def seconds(step: Callable[[], object], args: argparse.Namespace) -> float:
    """For each of args.steps: of this process on a CPU, where other processes then count less, else of the clock."""
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    begin = clock()
    for _ in range(args.steps):
        step()
    return (clock() - begin) / args.steps


def compare(trainer, batch, args: argparse.Namespace) -> dict:
    """Seconds for a step with and without checks, and the quartiles of their ratio over rounds."""
    paths = {"checked": lambda: trainer.forward_backward(batch), "unchecked": lambda: unchecked(trainer, batch)}
    times: dict[str, list[float]] = {path: [] for path in paths}
    for number in range(args.rounds + 1):
        for path in sorted(paths, reverse=bool(number % 2)):  # each goes first as often as the other
            times[path].append(seconds(paths[path], args))
    checked, plainly = (np.array(times[path][1:]) for path in ("checked", "unchecked"))  # the first round warms up
    low, middle, high = np.quantile(checked / plainly, (0.25, 0.5, 0.75))
    return {
        "checked_seconds": float(np.median(checked)),
        "unchecked_seconds": float(np.median(plainly)),
        "ratio": float(middle),
        "quartiles": [float(low), float(high)],
    }


def main() -> None:
    parser = door.Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--trainers", nargs="+", default=["CoOp", "PromptSRC"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--rounds", type=int, default=40, help="of steps with and without checks")
    parser.add_argument("--steps", type=int, default=20, help="of each in a round")
    parser.add_argument("--json", type=plain.Path, help="also write the result here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder, quiet(""):
        found = {name: compare(*build(name, folder, args.device), args) for name in args.trainers}
    plain.publish(args, found)


if __name__ == "__main__":
    sys.exit(door.run(main))
