"""How long it takes to see that 2,000 runs are finished, as those of planning.py's table, by records and by logs.

python -m bench sweep_state [--log-kilobytes 100]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure
from bench.sweeps import planning
from caspl.results.records import NAME, write
from caspl.sweeps.jobs import Job, Kind, Plan
from caspl.sweeps.state import listing
from tests.records_made import record

RESULT = "Evaluate on the *test* set\n=> result\n* total: 250\n* correct: 196\n* accuracy: 78.4%\n"


def moved(job: Job, top: str) -> Job:
    """A job whose outputs lie below another folder."""
    return replace(job, folder=f"{top}/{job.folder}", needs=job.needs and f"{top}/{job.needs}")


def finish(job: Job, log: str) -> None:
    """What a finished run leaves."""
    folder = Path(job.folder)
    (folder / "prompt_learner").mkdir(parents=True)
    if job.epoch is not None:
        (folder / "prompt_learner" / f"model.pth.tar-{job.epoch}").touch()
    if job.kind is Kind.BOOSTING:
        (folder / "boosting.safetensors").touch()
    (folder / "settings.txt").write_text(f"{job.settings}\n")
    (folder / "log.txt").write_text(log)
    write(folder, record())


def seen(plan: Plan, what: str) -> list[Figure]:
    start = time.perf_counter()
    skipped = [is_skipped for _, is_skipped in listing(plan)]
    spent = time.perf_counter() - start
    return [
        Figure(name=what, value=spent, unit="s"),
        Figure(name=f"{what}: finished", value=sum(skipped), unit="jobs", least=len(plan)),
    ]


def measure(args: argparse.Namespace) -> list[Figure]:
    log = "epoch [1/50] batch [1/20] loss 1.0\n" * (args.log_kilobytes * 1024 // 35) + RESULT
    with tempfile.TemporaryDirectory() as top:
        jobs = [moved(job, f"{top}/{copy}") for copy in "ab" for job in planning.table()]
        plan = Plan(tuple(jobs[: args.runs]))
        for job in plan:
            finish(job, log)
        found = seen(plan, "by their records")
        for job in plan:
            Path(job.folder, NAME).unlink()
        return found + seen(plan, "by their logs")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-kilobytes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=2_000)


BENCH = Benchmark(__name__, __doc__, measure, arguments, trial="--runs 20", repeats=None)
