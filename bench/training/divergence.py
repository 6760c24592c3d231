"""What it costs to look at loss, gradients and prompts in every step: training steps with and without, in one process.

    python -m bench divergence --trainers CoOp PromptSRC --repeats 40

The demo's student on digits, whose steps are the shortest there are: the share of the checks is largest here. Rounds of steps
with and without take turns; the ratio is that of the two halves of a round, which a busy machine slows down alike. Printed are
its median and quartiles over rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time

from dassl.engine import build_trainer
from dassl.metrics import compute_accuracy
from dassl.utils import set_random_seed

import train
from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, faster, median
from bench.frame.timing import alternating, timed
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


def compare(name: str, folder: str, args: argparse.Namespace) -> list[Figure]:
    """Of one trainer: a step with and without checks, and the quartiles of their ratio over rounds."""
    trainer, batch = build(name, folder, args.device)
    steps = {"checked": lambda: trainer.forward_backward(batch), "unchecked": lambda: unchecked(trainer, batch)}
    # The time of this process on a CPU, where other processes then count less
    clock = time.process_time if args.device == "cpu" else time.perf_counter

    def several(step) -> None:
        for _ in range(args.steps):
            step()

    paths = {path: timed(lambda step=step: several(step), args.device, clock=clock) for path, step in steps.items()}
    times = alternating(paths, args.repeats, warm_up=args.warm_up)
    milliseconds = {path: [1000 * spent / args.steps for spent in taken] for path, taken in times.items()}
    return [
        faster(times, "checked", "unchecked", f"{name}: checked over unchecked"),
        *(median(f"{name}: {path}", milliseconds[path], "ms") for path in paths),
    ]


def measure(args: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, quiet(""):
        return [figure for name in args.trainers for figure in compare(name, folder, args)]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trainers", nargs="+", default=["CoOp", "PromptSRC"])
    parser.add_argument("--steps", type=int, default=20, help="of each in a round")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"CoOp": "--trainers CoOp --repeats 30", "PromptSRC": "--trainers PromptSRC --repeats 40"},
    trial="--steps 1",
    tables={
        "divergence": Table(
            head="a step of the demo",
            of=("CoOp", "PromptSRC"),
            columns={
                "with a look at loss, gradients and prompts": "checked",
                "without": "unchecked",
                "ratio": "checked over unchecked",
            },
        )
    },
    repeats=40,
    threads=1,
)
