"""Whether seeded crops, and a pool of few crops, cost accuracy: base-to-new runs on the embedded digits.

    python -m bench crops_on_digits --output output/crops --seeds 10

Each seed has a phase 1 of its own, and is trained with crops of the run's random stream and with seeded ones in both phases;
CoOp and its twin with pools of 4 and 8 crops an image, too. Accuracy is the harmonic mean of base and new classes. A difference
is that of the same seeds, with its 95 % interval (Student's t) in place of quartiles. What is finished in the output folder is
not run again: a run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

from scipy.stats import t
from tqdm import trange

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, quartiles
from bench.frame.sides import ROOT
from caspl.ground.errors import InputError
from caspl.results.records.files import found

SEEDED = ("TRAINER.CASPL.CROPS", "seeded")
POOLED = ("CoOp", "CasPL_CoOp")
METHODS = (*POOLED, "CasPL_PromptSRC")
ARMS = {"stream": (), "seeded": SEEDED, "pool of 8": SEEDED, "pool of 4": SEEDED}


def methods_of(arm: str) -> Sequence[str]:
    return POOLED if arm.startswith("pool") else METHODS


def sweep(folder: Path, verb: str, seed: int, args: argparse.Namespace, *more: str) -> None:
    command = [sys.executable, "-m", "caspl", "sweep", verb, "--datasets", "digits", "--seeds", str(seed)]
    command += ["--root", str(args.output / "data"), "--output", str(folder), "--jobs", str(args.jobs), *more]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise InputError(f"{' '.join(command)} has ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")


def run(arm: str, seed: int, args: argparse.Namespace) -> None:
    """Both phases of a seed; the pools go on from the seeded phase 1."""
    epochs = ["OPTIM.MAX_EPOCH", str(args.epochs)] if args.epochs else []
    folder, keys = args.output / arm.replace(" ", "_") / f"seed{seed}", [*ARMS[arm], *epochs]
    first = args.output / ("stream" if arm == "stream" else "seeded") / f"seed{seed}" / "phase1"
    if arm == "stream" or arm == "seeded":
        sweep(first, "phase1", seed, args, "--", *keys)
    else:
        keys += ["TRAINER.COOP.CROP_POOL", arm.rpartition(" ")[2]]
    boosting = ["--boosting", str(first / "boost" / "digits" / "digits" / f"seed{seed}")]
    sweep(folder, "base2new", seed, args, "--trainers", " ".join(methods_of(arm)), *boosting, "--no-table", "--", *keys)


def harmonic_mean(arm: str, method: str, seed: int, args: argparse.Namespace) -> float:
    """Of the accuracies on base and new classes, in percent."""
    folder = args.output / arm.replace(" ", "_") / f"seed{seed}" / "base2new"
    accuracies = []
    for part in ("train_base", "test_new"):
        (path,) = (folder / part).glob(f"digits/shots_*/{method}/digits/seed{seed}/run.json")
        accuracies.append(found(path.parent).result.accuracy)
    return statistics.harmonic_mean(accuracies)


def mean(name: str, values: Sequence[float]) -> Figure:
    low, _, high = quartiles(values)
    return Figure(name=name, value=statistics.mean(values), unit="%", n=len(values), low=low, high=high)


def difference(name: str, values: Sequence[float], against: Sequence[float]) -> Figure:
    """The mean of paired differences with its 95 % interval."""
    gained = [a - b for a, b in zip(values, against, strict=True)]
    middle, n = statistics.mean(gained), len(gained)
    reach = t.ppf(0.975, n - 1) * statistics.stdev(gained) / sqrt(n) if n > 1 else 0.0
    return Figure(name=name, value=middle, unit="points", n=n, low=middle - reach, high=middle + reach)


def measure(args: argparse.Namespace) -> list[Figure]:
    args.output = args.output.absolute()
    for seed in trange(1, args.seeds + 1, desc="seeds", disable=None):
        for arm in ARMS:
            run(arm, seed, args)
    figures = []
    for method in METHODS:
        of = {
            arm: [harmonic_mean(arm, method, seed, args) for seed in range(1, args.seeds + 1)]
            for arm in ARMS
            if method in methods_of(arm)
        }
        for arm, values in of.items():
            figures.append(mean(f"{method}: {arm}", values))
            if arm != "stream":
                figures.append(difference(f"{method}: {arm} less stream", values, of["stream"]))
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, default=Path("output/crops_on_digits"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--epochs", type=int, default=0, help="of all trainings; 0: those of the configurations")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"": "--seeds 10"},
    trial="--seeds 1 --epochs 1 --output output/crops_trial",
    repeats=None,
    threads=1,
    tables={
        "crops_on_digits": Table(
            head="method",
            of=METHODS,
            columns={"stream": "stream", "seeded": "seeded", "difference": "seeded less stream"},
        ),
        "pools_on_digits": Table(
            head="method",
            of=POOLED,
            columns={
                "seeded": "seeded",
                "8 crops": "pool of 8",
                "8 less stream": "pool of 8 less stream",
                "4 crops": "pool of 4",
                "4 less stream": "pool of 4 less stream",
            },
        ),
    },
)
