"""What a task of an array does on its machine: its runs, side by side, until they have ended or SLURM wants it back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ....ground.errors import InputError, cause
from ....ground.files import replacing
from ....ground.texts import tell
from ...jobs import THREADS, Job, threads_of
from ...state import RESUME_FILE, finished
from ..task import BUSY, FAILED, Outcome, Task, event_as_line, event_of_line
from ..worker import Stop, carry_out
from .order import Order, read

OUTCOMES = "outcomes"  # folder of what became of the runs, a file for each, by its number in the plan
TOO_SHORT = "its time was over before it had come any further; ask for more, as by --sbatch --time=8:00:00"
TIME_IS_OVER = signal.SIGUSR1  # by `--signal`, a minute before SLURM ends the task


def run_task(folder: Path, array: str, index: int) -> int:
    """Carry out the runs of a task, and give the exit status: 0 if one ended well, so that what needs it may run.

    128 + the number of the signal where it was ended. Where its time is over, it goes back to the queue, if one of its runs has
    come further by an epoch at least, and goes on there.

    Raises InputError where the order has no such task.
    """
    order = read(folder)
    try:
        numbers = order.arrays[array][index]
    except KeyError:
        raise InputError(f"{folder} has no task {index} in an array {array}; submit it by its submit.sh") from None
    ending = _Ending(len(numbers))
    for number in numbers:
        _forget(folder, number)
    before = [_epochs(order.jobs[number]) for number in numbers]
    with ThreadPoolExecutor(len(numbers)) as threads:
        runs = [
            threads.submit(_run, order, number, stop, len(numbers))
            for number, stop in zip(numbers, ending.stops, strict=True)
        ]
        outcomes = [run.result() for run in runs]
    if ending.number and not all(outcome.well for outcome in outcomes):
        if ending.number != TIME_IS_OVER:
            return 128 + ending.number
        further = before != [_epochs(order.jobs[number]) for number in numbers]
        if further or any(outcome.well or outcome.word == BUSY for outcome in outcomes):
            return _go_on_later()
        outcomes = [Outcome(FAILED, reason=TOO_SHORT) for _ in numbers]
    for number, outcome in zip(numbers, outcomes, strict=True):
        _keep(folder, number, outcome)
        _say(order.jobs[number], outcome)
    return 0 if any(outcome.well for outcome in outcomes) else 1


class _Ending:
    """Ends the runs of this process when SLURM asks it to."""

    def __init__(self, runs: int) -> None:
        self.number = 0  # of the signal; 0: none has come
        self.stops = [Stop() for _ in range(runs)]
        for number in (signal.SIGTERM, signal.SIGINT, TIME_IS_OVER):
            signal.signal(number, self)

    def __call__(self, number: int, _: object) -> None:
        self.number = self.number or number
        for stop in self.stops:
            threading.Thread(target=stop.now).start()


def _run(order: Order, number: int, stop: Stop, beside: int) -> Outcome:
    job = order.jobs[number]
    jobs = {other.folder: other for other in order.jobs}
    needed = jobs.get(job.needs)
    if needed is not None and finished(needed, jobs.get(needed.needs)) is None:
        return Outcome(FAILED, reason=f"it needs {needed.folder}, which failed")
    task = Task(job, needed, order.program, environment=_threads(beside))
    return carry_out(task, stop=stop, wait=lambda: tell(f"wait for another sweep in {job.folder}", sys.stderr))


def _threads(runs: int) -> dict[str, str]:
    """The cores that SLURM gives to this task, divided among its runs, unless the user has said how many each takes."""
    cores = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if THREADS in os.environ or not cores.isdecimal():
        return {}
    return {THREADS: str(threads_of(runs, int(cores)))}


def _epochs(job: Job) -> int:
    """What changes when a run has come further by an epoch."""
    with suppress(OSError):
        return os.stat(os.path.join(job.folder, RESUME_FILE)).st_mtime_ns
    return 0


def _go_on_later() -> int:
    me = f"{os.environ.get('SLURM_ARRAY_JOB_ID', '')}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    print(f"time is over; {me} goes back to the queue and goes on from the last epoch", flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which SLURM now ends this process
    try:
        subprocess.run(["scontrol", "requeue", me], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or cause(error)
        tell(f"scontrol requeue {me} has failed ({said.strip()}); the command of the sweep goes on later", sys.stderr)
        return 128 + TIME_IS_OVER
    time.sleep(60)  # whoever ends by himself before would be taken for failed
    return 128 + TIME_IS_OVER


def _say(job: Job, outcome: Outcome) -> None:
    tell(f"{outcome.word if outcome.well else FAILED:<6} {outcome.accuracy:>6}  {job.folder}")
    sys.stdout.flush()
    if not outcome.well:
        tell(f"{job.folder} failed: {outcome.reason}", sys.stderr)
        for line in outcome.last_words:
            tell(f"    {line}", sys.stderr)


def _keep(folder: Path, number: int, outcome: Outcome) -> None:
    with replacing(folder / OUTCOMES / f"{number}.json") as file:
        file.write_text(event_as_line(outcome) + "\n", encoding="utf-8")


def _forget(folder: Path, number: int) -> None:
    """What became of it before: SLURM may end this process before it can say anything."""
    (folder / OUTCOMES / f"{number}.json").unlink(missing_ok=True)


def kept(folder: Path, number: int) -> Outcome | None:
    """What became of a run, by its number in the plan, when a task of this sweep was last at it; None: nobody has said."""
    with suppress(OSError, ValueError, TypeError):
        event = event_of_line((folder / OUTCOMES / f"{number}.json").read_text(encoding="utf-8"))
        return event if isinstance(event, Outcome) else None
    return None
