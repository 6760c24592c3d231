"""The last job of a sweep: the table and what else it ends with, and the runs that have failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ....ground.texts import tell
from ...state import finished
from ..course import failure_list
from ..task import FAILED, Outcome
from .node import kept
from .order import Order, read
from .scripts import LOGS


def show(folder: Path) -> int:
    """Carry out the ending of a sweep and list what has failed; the exit status is 1 where something has."""
    order = read(folder)
    shown = [subprocess.run(command).returncode == 0 for command in order.ending]
    failed = failures(folder, order)
    total = sum(len(task) for tasks in order.arrays.values() for task in tasks.values())
    for name, outcome in failed.items():
        tell(f"{name} failed: {outcome.reason}", sys.stderr)
    refused = [name for name, outcome in failed.items() if outcome.refused]
    for line in failure_list(list(failed), refused, total):
        tell(line, sys.stderr)
    return 1 if failed or not all(shown) else 0


def failures(folder: Path, order: Order) -> dict[str, Outcome]:
    """The folders of the jobs that are not finished, in the order of the plan, and why."""
    jobs = {job.folder: job for job in order.jobs}
    failed: dict[str, Outcome] = {}
    for number in sorted(number for tasks in order.arrays.values() for task in tasks.values() for number in task):
        job = order.jobs[number]
        if finished(job, jobs.get(job.needs)) is not None:
            continue
        outcome = kept(folder, number)
        if job.needs in failed:
            outcome = Outcome(FAILED, reason=f"it needs {job.needs}, which failed")
        elif outcome is None or outcome.well:
            outcome = Outcome(FAILED, reason=f"SLURM has ended or cancelled it; sacct and {folder / LOGS} say more")
        failed[job.folder] = outcome
    return failed
