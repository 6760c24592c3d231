"""The same numbers in a host: every CasPL trainer there and here, on digits, with the same seed.

    python -m bench host ../CoOp --python ../environments/torch26/bin/python

`../CoOp` is a checkout whose train.py has the line `import caspl.plugin` and whose Dassl can be imported there; the environment
has PyTorch, what that Dassl needs, and this project's wheel. Prints each trainer's accuracies and the largest difference of any
trained number. Nothing is timed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure
from bench.frame.sides import ROOT
from caspl.checkpoints.boosting import read_boosting
from caspl.checkpoints.run import read_run
from caspl.prompting.cascade import Deployed

METHODS = ("CoOp", "CoCoOp", "VPT", "IVLP", "MaPLe", "PromptSRC", "KgCoOp", "ProGrad")


def run(python: str, checkout: Path, output: Path, trainer: str, *options: str) -> str:
    """Train in `checkout`; gives the test accuracy as it was printed."""
    command = [python, "train.py", "--root", output / "data", "--seed", "1", "--trainer", trainer]
    command += ["--dataset-config-file", "configs/datasets/digits.yaml", "--output-dir", output / trainer]
    command += ["--config-file", f"configs/trainers/{trainer}/digits.yaml", *options]
    done = subprocess.run(list(map(str, command)), cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{trainer} in {checkout} failed:\n{done.stderr}")
    return re.findall(r"\* accuracy: ([\d.]+)%", done.stdout)[-1]


def numbers(folder: Path) -> dict:
    """What a run has learned, by name."""
    if (folder / "prompts.safetensors").exists():
        return Deployed(read_run(folder / "prompts.safetensors")[0]).state_dict()
    return read_boosting(folder)[0]


def measure(args: argparse.Namespace) -> list[Figure]:
    table, figures = [], []
    with tempfile.TemporaryDirectory() as folder:
        sides = {"there": (args.python, args.host), "here": (sys.executable, ROOT)}
        for trainer in ("CasPLBoost", *(f"CasPL_{name}" for name in METHODS)):
            found = {}
            for side, place in sides.items():
                output = Path(folder) / side
                options = ["OPTIM.MAX_EPOCH", args.epochs, "DATASET.NUM_SHOTS", args.shots]
                if trainer != "CasPLBoost":
                    options += ["DATASET.SUBSAMPLE_CLASSES", "base", "TRAINER.CASPL.BOOSTING", output / "CasPLBoost"]
                found[side] = run(*place, output, trainer, *options), numbers(output / trainer)
            (there, a), (here, b) = found["there"], found["here"]
            difference = max(float((value - b[name]).abs().max()) for name, value in a.items())
            table.append([trainer, there, here])
            figures.append(Figure(name=trainer, value=difference, unit="largest difference", most=1e-6))
    print(tabulate(table, ["trainer", "accuracy there", "accuracy here"]))
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", type=Path, help="the other checkout")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs it (default: this one)")
    parser.add_argument("--epochs", default="3")
    parser.add_argument("--shots", default="4", help="images of each base class in phase 2, of each class in phase 1")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"": "{host}"},
    needs={"host": "a checkout of the family whose train.py has the line `import caspl.plugin`"},
    trial="--epochs 1 --shots 1",
    repeats=None,
)
