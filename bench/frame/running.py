"""Many runs, one after the other, with a line for each, and their records in results.json as soon as they are there."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.frame import results
from bench.frame.benchmark import Benchmark
from bench.frame.results import Record
from bench.frame.sides import ROOT

LOOK = 0.2  # seconds between two looks at a run


@dataclass(frozen=True)
class Run:
    """A run of a benchmark, by its label."""

    benchmark: Benchmark
    label: str

    @property
    def title(self) -> str:
        return f"{self.benchmark.name} {self.label}".strip()


@dataclass
class Outcome:
    """How many runs ended in which way."""

    done: int = 0
    missed: int = 0
    failed: int = 0
    skipped: int = 0


def run_all(
    runs: list[Run], given: Mapping[str, str], path: Path | None, known: Mapping[str, Record], *, trial: bool
) -> Outcome:
    """Do the runs; records go to `path`. `known` says how long each took before. Prints a line for each."""
    outcome = Outcome()
    for number, run in enumerate(runs, 1):
        head, begin = f"[{number:{len(str(len(runs)))}}/{len(runs)}] {run.title}", time.monotonic()
        if said := run.benchmark.missing(run.label, given):
            outcome.skipped += 1
            print(f"{head}: skipped, {said}", flush=True)
            continue
        before = known.get(run.benchmark.command(run.label))
        record, error = _one(run, given, head, before.seconds if before and not trial else None, trial)
        spent = f"{time.monotonic() - begin:.0f} s"
        if record is None:
            outcome.failed += 1
            print(f"{head}: FAILED, {error} ({spent})", flush=True)
            continue
        if path:
            results.add(path, {record.command: record})
        outcome.done += 1
        said = [figure for figure in record.figures if not figure.met]
        outcome.missed += bool(said) and not trial
        first, *_ = record.figures
        marks = "".join(f"; {figure.name} {figure} ({figure.target})" for figure in said)
        print(f"{head}: {first.name} {first}{'' if trial else marks} ({spent})", flush=True)
    return outcome


def _one(
    run: Run, given: Mapping[str, str], head: str, expected: float | None, trial: bool
) -> tuple[Record | None, str]:
    """The record of a run in a process of its own, or what it said at its end."""
    with tempfile.TemporaryDirectory() as folder:
        file, errors = Path(folder) / "record.json", Path(folder) / "errors.txt"
        words = [given.get(word.strip("{}"), word) if word.startswith("{") else word for word in _words(run, trial)]
        command = [sys.executable, "-m", "bench", run.benchmark.name, *words, "--json", str(file)]
        with errors.open("w") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr)
        try:
            for line in _waiting(process, head, expected):
                print(line, end="", flush=True)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if not file.exists():
            said = errors.read_text(errors="replace").strip().splitlines()
            return None, said[-1] if said else f"status {process.returncode}"
        (record,) = results.read(file).values()
        return (record if trial else replace(record, command=run.benchmark.command(run.label))), ""


def _words(run: Run, trial: bool) -> list[str]:
    return shlex.split(run.benchmark.runs[run.label]) + (run.benchmark.smallest if trial else [])


def _waiting(process: subprocess.Popen, head: str, expected: float | None) -> Iterator[str]:
    """What a terminal shows while a run is under way: nothing where there is none."""
    begin, shows = time.monotonic(), sys.stdout.isatty()
    while process.poll() is None:
        time.sleep(LOOK)
        if shows:
            of = f" of about {expected:.0f}" if expected else ""
            yield f"\r\x1b[K{head} ... {time.monotonic() - begin:.0f}{of} s"
    if shows:
        yield "\r\x1b[K"
