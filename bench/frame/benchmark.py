"""The declaration of a benchmark, and what it does when it is run alone."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import torch
from tabulate import tabulate

from bench.frame import results
from bench.frame.figures import Figure, shown
from bench.frame.results import Record
from bench.frame.sides import ROOT, ChildError
from caspl.ground import door
from caspl.ground.errors import InputError

MEASURED = (
    "caspl",
    "trainers",
    "datasets",
    "dassl",
    "configs",
    "bench",
    ":!bench/results.json",
)  # what a commit stands for


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a document shows: a row for each run (or for each of `of`, the part of figures' names in front of ": ")."""

    head: str  # over the labels of rows
    columns: Mapping[str, str]  # the name of a figure by the head of its column
    of: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()  # their labels; (): all


@dataclass(frozen=True)
class Benchmark:
    """A module's measurement. See bench/__init__.py."""

    module: str
    doc: str
    measure: Callable[[argparse.Namespace], Iterable[Figure]]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    runs: Mapping[str, str] = field(default_factory=lambda: {"": ""})
    trial: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    gpu: bool = False
    extra: str = ""
    repeats: int | None = 3
    warm_up: int = 1
    threads: int = 2
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]

    @property
    def about(self) -> str:
        """Its sentence."""
        return " ".join(self.doc.strip().split("\n\n")[0].split())

    def command(self, label: str) -> str:
        """What runs it, with what only the user has in braces; the key of its record."""
        return f"python -m bench {self.name} {self.runs[label]}".strip()

    @property
    def smallest(self) -> list[str]:
        """The options that, behind others, make a run a matter of seconds."""
        repeats = [] if self.repeats is None else ["--repeats", "1", "--warm-up", "0"]
        return [*shlex.split(self.trial), *repeats, "--threads", "1"]

    def missing(self, label: str, given: Mapping[str, object]) -> str:
        """What a run lacks on this machine and of the user, in words; empty: nothing."""
        names = [name for name in re.findall(r"{(\w+)}", self.runs[label]) if name not in given]
        if names:
            return "; ".join(f"needs {self.needs[name]}: --given {name}=..." for name in names)
        if self.gpu and not torch.cuda.is_available():
            return "needs a GPU"
        if self.extra and find_spec(self.extra) is None:
            return f"needs the package {self.extra}"
        return ""

    def parser(self) -> argparse.ArgumentParser:
        parser = door.Parser(
            prog=f"python -m bench {self.name}",
            description=self.doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.arguments(parser)
        if self.repeats is not None:
            parser.add_argument("--repeats", type=count, default=self.repeats)
            parser.add_argument(
                "--warm-up", type=int, default=self.warm_up, help="repeats in front that are not counted"
            )
        parser.add_argument("--threads", type=count, default=self.threads, help="of the CPU")
        parser.add_argument("--device", default="cpu", help="cpu or cuda")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the record of the run here")
        for hidden in ("--side", "--result"):
            parser.add_argument(hidden, help=argparse.SUPPRESS)
        return parser

    def main(self, argv: list[str]) -> int:
        """Measure, print the figures, write the record where --json says. 1: a figure misses its target."""
        args = self.parser().parse_args(argv)
        if args.device != "cpu" and not torch.cuda.is_available():
            raise InputError(f"--device {args.device}: PyTorch finds no GPU here; leave it out")
        torch.set_num_threads(args.threads)
        load, begin = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, time.perf_counter()
        try:
            figures = tuple(self.measure(args))
        except ChildError as error:
            raise InputError(f"{error}") from None
        record = Record(
            benchmark=self.name,
            command=" ".join(["python -m bench", self.name, *_without_json(argv)]),
            figures=figures,
            threads=args.threads,
            device=torch.cuda.get_device_name() if args.device.startswith("cuda") else "cpu",
            processor=processor(),
            torch=torch.__version__,
            commit=commit(),
            date=date.today().isoformat(),
            seconds=round(time.perf_counter() - begin, 1),
            load=round(load, 1),
        )
        print(as_text(record))
        if args.json:
            results.write(args.json, {record.command: record})
        return 0 if all(figure.met for figure in figures) else 1


def count(word: str) -> int:
    """A number of things, one or more, as argparse takes it."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {word}")
    return int(word)


def as_text(record: Record) -> str:
    rows = [
        [
            f.name,
            shown(f.value, f.unit),
            *("" if v is None else shown(v, f.unit) for v in (f.low, f.high)),
            f.n,
            f.target,
        ]
        for f in record.figures
    ]
    table = tabulate(rows, ["", "value", "quartile", "quartile", "n", "target"], disable_numparse=True)
    return f"{table}\n\n{record.facts} ({record.seconds:.0f} s, load {record.load} at the beginning)"


def processor() -> str:
    """Its name, as the system has it."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def commit() -> str:
    """Of the checkout, with "+" where what is measured has been changed since; empty where git knows of none."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--", *MEASURED) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _without_json(argv: list[str]) -> list[str]:
    place = argv.index("--json") if "--json" in argv else len(argv)
    return [*argv[:place], *argv[place + 2 :]]
