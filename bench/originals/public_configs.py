"""Which configuration files of public repositories are read here, and why the others are not.

    python -m bench public_configs ../CoOp ../KgCoOp ../ProGrad ...

The arguments are checkouts. Each file below configs/trainers/<Trainer>/ goes through the checks of train.py with the trainer of
its folder, as the repositories' scripts have it, and each below configs/datasets/ with CoOp. Prints a table: file, trainer,
"read" or what is refused. Exit status 1 where a file is refused for anything but a method that is not here. Nothing is run.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

from tabulate import tabulate

import train
from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure
from bench.originals.checkouts import ORIGINALS
from caspl.configs import find
from caspl.ground.errors import InputError

READ, ELSEWHERE, OTHERWISE = "read", "refused for another method", "refused otherwise"
OF_ANOTHER_METHOD = re.compile(r"it belongs to|which no method here reads|is a key of the method")
DOMAINS = ("da", "dg", "ssl")  # Dassl's own folders: of methods for several domains and their datasets


def files(checkout: Path) -> list[tuple[Path, str, bool]]:
    """Each configuration file, the trainer of its folder (CoOp for datasets), and whether it is a dataset's."""
    found = []
    for path in sorted(checkout.rglob("*.y*ml")):
        place = re.search(r"(?:^|/)configs/(trainers|datasets)/(?:([^/]+)/)?", path.relative_to(checkout).as_posix())
        if place and place[2] not in DOMAINS and (place[2] or place[1] == "datasets"):
            found.append((path, place[2] if place[1] == "trainers" else "CoOp", place[1] == "datasets"))
    return found


def answer(path: Path, trainer: str, of_dataset: bool) -> str:
    """What the checks of train.py say to a file; "read" where they have nothing against it."""
    dataset = path if of_dataset else find("configs/datasets/digits.yaml")
    words = ["--trainer", trainer, "--dataset-config-file", str(dataset)]
    try:
        train.setup_cfg(train.parse_args(words if of_dataset else [*words, "--config-file", str(path)]))
    except InputError as error:
        said = str(error).replace(f"Configuration file {path}: ", "")
        return re.sub(r"; available: .*", "", said)
    return READ


def kind(said: str) -> str:
    """Which of the three an answer is: each of its clauses has to be about another method for the second."""
    if said == READ:
        return READ
    clauses = [clause for clause in said.split("; ") if clause != "leave it out"]
    return ELSEWHERE if all(OF_ANOTHER_METHOD.search(clause) for clause in clauses) else OTHERWISE


def measure(args: argparse.Namespace) -> list[Figure]:
    rows = []
    for checkout in args.checkouts:
        found = files(checkout)
        if not found:
            raise InputError(f"{checkout} holds no configs/trainers and no configs/datasets; give a checkout")
        rows += [(path.relative_to(checkout.parent), trainer, answer(path, trainer, d)) for path, trainer, d in found]
    print(tabulate(rows, headers=("file", "trainer", "answer"), maxcolwidths=None))
    counts = Counter(kind(said) for *_, said in rows)
    return [
        Figure(name=OTHERWISE, value=counts[OTHERWISE], unit="files", most=0),
        *(Figure(name=each, value=counts[each], unit="files") for each in (READ, ELSEWHERE)),
        Figure(name="all", value=len(rows), unit="files"),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"": "{originals}"},
    needs={"originals": ORIGINALS},
    repeats=None,
)
