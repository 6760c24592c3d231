"""The engine for clusters that forbid daemons: scripts for `sbatch`, with an array for runs of a kind.

    OUTPUT/sweep-slurm/<digest>/
        order.json      what each task of an array runs (order.py)
        task.sh         the script of all arrays; to be edited where a site wants more than `--sbatch` can say
        table.sh        the script of the last job
        submit.sh       submits them: for machines on which nothing of ours may run, any shell will do
        submitted.txt   number and name of each array that sbatch has taken
        logs/, outcomes/, table-<number>.txt

Nothing of ours waits: SLURM holds back each task until the one that it needs has ended well, and a last job shows the table.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ....ground.errors import InputError
from ....ground.files import check_writable, read_text, replacing
from ....ground.texts import counted, shown, tell
from ...jobs import Job, Plan
from ...state import listing
from ..options import EngineOptions
from . import order as orders
from .arrays import LONGEST, Array, arrays
from .heads import options
from .order import Order
from .queue import longest_array, queued
from .scripts import LOGS, SUBMIT, TABLE, TASK, submit_script, table_script, task_script

FOLDER = "sweep-slurm"  # below the output folder


def run(plan: Plan, program: Sequence[str], wanted: EngineOptions, table: Callable[[], bool]) -> int:
    """Submit what of a plan is neither finished nor in the queue, or print how.

    Raises InputError for mistakes in the options. Where sbatch refuses something, that is told, and the exit status is 2.
    """
    given = options(wanted.sbatch)
    setup = read_text(wanted.setup, "--setup") if wanted.setup else ""
    check_writable(wanted.output, "--output", folder=True)
    sweeps = Path(wanted.output).absolute() / FOLDER
    if "\\" in str(sweeps):  # it drops them from the names of logs, and then no task can begin
        raise InputError(
            f"--output {shown(wanted.output)} has a backslash in its path, with which SLURM finds no log; choose another folder"
        )
    waiting, longest = (queued(sweeps), longest_array()) if wanted.submit else ({}, LONGEST)
    listed = list(listing(plan))
    jobs = [job for job, skipped in listed if not skipped and job.folder not in waiting]
    finished = sum(skipped for _, skipped in listed)
    _tell_left_out(finished, len(listed) - finished - len(jobs))
    if not jobs:
        return 0 if finished < len(listed) or table() else 1
    pack = min(wanted.jobs_per_gpu, wanted.jobs or wanted.jobs_per_gpu)
    tasks = arrays(jobs, pack=pack, longest=longest, queued=waiting)
    order = orders.order(plan.jobs, tasks, program, wanted.ending)
    folder = _write(sweeps, order, tasks, wanted, given, setup)
    return _submit(folder) if wanted.submit else _print(folder, jobs, tasks)


def _tell_left_out(finished: int, waiting: int) -> None:
    if finished:
        print(f"{counted(finished, 'run')} finished already, left out", file=sys.stderr)
    if waiting:
        print(f"{counted(waiting, 'run')} in the queue already, left out", file=sys.stderr)


def _write(
    sweeps: Path, order: Order, tasks: Sequence[Array], wanted: EngineOptions, given: list[list[str]], setup: str
) -> Path:
    """The folder in which all files of a sweep are now: the same sweep has the same."""
    said = [orders.as_json(order), wanted.sbatch, setup, str(wanted.jobs), sys.executable]
    folder = sweeps / hashlib.sha256("\0".join(said).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    at_once = wanted.jobs and max(1, wanted.jobs // wanted.jobs_per_gpu)
    gpu = any(job.resources.gpus for job in order.jobs)
    here = str(Path.cwd())
    scripts = {
        TASK: task_script(folder, here, sys.executable, given, gpu=gpu, setup=setup),
        TABLE: table_script(folder, here, sys.executable, given, setup=setup),
        SUBMIT: submit_script(folder, here, tasks, at_once=at_once),
    }
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    orders.write(folder, order)
    for name, text in scripts.items():
        _keep_edited(folder / name, text)
        with replacing(folder / name) as file:
            file.write_text(text, encoding="utf-8", errors="surrogateescape")
    return folder


def _keep_edited(script: Path, text: str) -> None:
    """Put aside what is about to be replaced by another `text`: whoever has edited it thinks that it holds."""
    if script.is_file() and script.read_bytes() != text.encode("utf-8", "surrogateescape"):
        aside = script.with_name(f"{script.name}.old")
        os.replace(script, aside)
        tell(
            f"warning: {script} was edited, or is of another version; it is written anew, and what it was is in {aside.name} "
            f"beside it. An edited script is submitted by {SUBMIT}; --sbatch and --setup hold for every command",
            sys.stderr,
        )


def _print(folder: Path, jobs: Sequence[Job], tasks: Sequence[Array]) -> int:
    for name in (TASK, SUBMIT):
        tell(f"# {folder / name}")
        tell((folder / name).read_text(encoding="utf-8", errors="surrogateescape"))
    command = shlex.join(["sh", str(folder / SUBMIT)])
    tell(
        f"nothing is submitted yet: {counted(len(jobs), 'run')} as {counted(len(tasks), 'array')}; where sbatch is, give "
        f"`{command}`, or give the command of the sweep with --submit",
        sys.stderr,
    )
    return 0


def _submit(folder: Path) -> int:
    """By the script, which says what went wrong, and what is in the queue then."""
    script = subprocess.Popen(["sh", str(folder / SUBMIT)])
    try:
        return script.wait()
    except KeyboardInterrupt:
        script.terminate()
        script.wait()
        raise
