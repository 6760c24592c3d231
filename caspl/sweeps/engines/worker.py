"""What happens where a job runs, the same for every engine: one run in its folder, and what became of it.

A `Worker` is a process for one job. Its stdin begins with a line, the task as JSON, and stays open for as long as the job is
wanted: when it ends, as it does with the process at its other end, however that ends, so does the run. Its stdout has a line
for each thing that happens, as JSON:

    worker = Worker(task)
    outcome = worker.outcome(begun=print)   # waits
    worker.let_go()                         # at any time: the run is ended, gently and after PATIENCE by force

Scripts that are nobody's children, as SLURM's, call `carry_out` themselves.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ...ground.errors import cause
from ...ground.files import regular, replacing
from ...ground.locks import FolderLock, lock_folder
from ...ground.processes.place import alone
from ...results.reading.logs import newest_log
from ..state import SETTINGS_FILE, finished, result_of, started
from .task import (
    BUSY,
    FAILED,
    RESUME,
    RUN,
    SKIP,
    Begun,
    Event,
    Outcome,
    Task,
    event_as_line,
    event_of_line,
    task_as_line,
    task_of_line,
)

ERRORS = "stderr.txt"  # of a folder: what its run wrote there, kept where there is something
PATIENCE = 10.0  # seconds that a run has to end by itself
ASKING = 0.3  # seconds for which others may hold the lock of a folder who only ask whether it is free
LAST_WORDS = 6  # lines
TAIL = 2**20  # bytes of what a run said that are looked at
DIVERGED = b"error: training has diverged"  # train.py's sentence
PACKAGES = Path(__file__).resolve().parents[3]  # the folder that this package is imported from
WORKER = "import sys; sys.path.insert(0, sys.argv.pop()); from caspl.sweeps.engines import worker; worker.main()"
PR_SET_PDEATHSIG = 1  # of Linux' prctl


# ---------------------------------------------------------------------------------------------------------------------
# The job
# ---------------------------------------------------------------------------------------------------------------------
class Stop:
    """Ends a run: what runs in its process group gets SIGINT, and after PATIENCE seconds SIGKILL."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.group = 0  # of the run; 0: none is under way

    def now(self) -> None:
        """To be called from another thread than the one that waits for the run, which has to take notice of its end."""
        if self.wanted.is_set():
            return
        self.wanted.set()
        until = time.monotonic() + PATIENCE
        _signal_group(self.group, signal.SIGINT)
        while _signal_group(self.group, 0) and time.monotonic() < until:
            time.sleep(0.05)
        _signal_group(self.group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    """Whether there is somebody in a process group, who gets a signal."""
    with suppress(ProcessLookupError, PermissionError):  # on macOS nobody may signal a zombie
        if group:
            os.killpg(group, number)
            return True
    return False


def carry_out(
    task: Task,
    tell: Callable[[Event], object] = lambda event: None,
    *,
    stop: Stop | None = None,
    wait: Callable[[], object] | None = None,
) -> Outcome:
    """Run a job, unless its run is finished or another sweep is at it, and say what became of it.

    `tell` gets to know when the run is started. A job in whose folder another sweep is at work is given back as `busy`; with
    `wait`, which is called once, it is waited for. Folders are seen from the working directory.
    """
    stop, folder = stop or Stop(), task.job.folder
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return Outcome(FAILED, reason="its folder can't be made")
    lock = _lock(folder, stop, wait)
    if lock is None:
        return Outcome(BUSY)
    try:
        if (accuracy := finished(task.job, task.needed)) is not None:
            return Outcome(SKIP, accuracy)
        word = RESUME if started(task.job) else RUN
        tell(Begun(word))
        return _conclude(task, word, _run(task, stop, lock.descriptors))
    except OSError as error:
        return Outcome(
            FAILED, reason=f"{os.fsdecode(error.filename or folder)} can't be written or read ({cause(error)})"
        )
    finally:
        lock.release()


def _lock(folder: str, stop: Stop, wait: Callable[[], object] | None) -> FolderLock | None:
    """The lock of a folder; None where another sweep has it."""
    until, told = time.monotonic() + ASKING, False
    while (lock := lock_folder(folder)) is None and not stop.wanted.wait(0.05):
        if time.monotonic() < until or told:
            continue
        if wait is None:
            return None
        wait()
        told = True
    return lock


def _run(task: Task, stop: Stop, locks: Sequence[int]) -> int:
    """The exit status of the run, 128 + the number of the signal that ended it; it holds `locks`, too.

    What it prints stands in its log, too. It gets a process group of its own, and ends as a whole.
    """
    path = os.path.join(task.job.folder, ERRORS)
    if os.path.exists(path):
        regular(path)  # a pipe would keep the worker waiting for ever
    with open(path, "wb") as errors:
        process = subprocess.Popen(
            [*task.program, *task.job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**alone(os.environ), **task.environment},
            pass_fds=tuple(locks),
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
    stop.group = process.pid
    if stop.wanted.is_set():  # meanwhile
        _signal_group(stop.group, signal.SIGKILL)
    status = process.wait()
    if stop.wanted.is_set():
        _signal_group(stop.group, signal.SIGKILL)  # whoever is left
    stop.group = 0
    return _status(status)


def _status(returned: int) -> int:
    """As a shell counts: 128 + the number of the signal that ended a process."""
    return returned if returned >= 0 else 128 - returned


def _end_with_parent() -> Callable[[], None] | None:
    """On Linux, what lets a process end with the one that starts it, also where that one is killed."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):
        prctl = ctypes.CDLL(None).prctl
        return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    return None


# ---------------------------------------------------------------------------------------------------------------------
# What became of it
# ---------------------------------------------------------------------------------------------------------------------
def _conclude(task: Task, word: str, status: int) -> Outcome:
    folder = task.job.folder
    log = newest_log(folder)
    if status:
        refused = status == 2 or status == 1 and _diverged(folder)
        return Outcome(FAILED, reason=f"exit status {status}", last_words=_last_words(folder, log), refused=refused)
    accuracy = result_of(folder)
    if accuracy is None:
        return Outcome(FAILED, reason="no result in its log", last_words=_last_words(folder, log))
    _keep_settings(task)
    return Outcome(word, accuracy)


def _keep_settings(task: Task) -> None:
    folder = Path(task.job.folder)
    with replacing(folder / SETTINGS_FILE) as file:
        file.write_text(f"{task.job.settings}\n", encoding="utf-8", errors="surrogateescape")
    if not (folder / ERRORS).stat().st_size:
        (folder / ERRORS).unlink()


def _diverged(folder: str) -> bool:
    return any(line.startswith(DIVERGED) for line in _tail(Path(folder, ERRORS)).splitlines())


def _last_words(folder: str, log: Path | None) -> tuple[str, ...]:
    """Of what a run wrote to stderr, else to its log."""
    said = _tail(Path(folder, ERRORS)) or (_tail(log) if log else b"")
    return tuple(line.decode("utf-8", "replace") for line in said.splitlines()[-LAST_WORDS:])


def _tail(path: Path) -> bytes:
    """The end of a file, at most TAIL bytes; empty where it can't be read."""
    with suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        return file.read()
    return b""


# ---------------------------------------------------------------------------------------------------------------------
# The process
# ---------------------------------------------------------------------------------------------------------------------
class Worker:
    """A process that carries out one task, and what it tells. It ends its run when this one has gone or has let go of it.

    `inherited` are descriptors that it holds for as long as the run is under way, locks say. The process has a session of its
    own, which Ctrl-C does not reach. Raises OSError where none can be started.
    """

    def __init__(self, task: Task, inherited: Sequence[int] = ()):
        self.task = task
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(PACKAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=tuple(inherited),
            start_new_session=True,
            cwd=task.directory,
        )
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        with suppress(BrokenPipeError):  # it has ended, as `read` will see
            self._stdin.write(f"{task_as_line(task)}\n".encode())
            self._stdin.flush()

    def fileno(self) -> int:
        """What `select` waits for: there is something to read."""
        return self._stdout.fileno()

    def read(self) -> Event:
        """Wait for the next thing that happens; an Outcome is the last one."""
        line = self._stdout.readline()
        with suppress(ValueError):
            event = event_of_line(line.decode())
            if isinstance(event, Outcome):
                self.close()
            return event
        self.close()
        status = _status(self.process.returncode)
        return Outcome(FAILED, reason=f"its worker ended without a word (exit status {status})")

    def outcome(self, begun: Callable[[Begun], object] = lambda event: None) -> Outcome:
        """Wait for the end; `begun` gets to know when the run is started."""
        while isinstance(event := self.read(), Begun):
            begun(event)
        return event

    def let_go(self) -> None:
        """The run is not wanted any more; `close` waits until it has ended."""
        with suppress(OSError):
            self._stdin.close()

    def close(self) -> None:
        """Wait until the process has ended, which `let_go` brings about."""
        self.let_go()
        try:
            self.process.wait(PATIENCE + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._stdout.close()


def main() -> None:
    """The process that `Worker` starts."""
    stop = Stop()
    lifeline: BinaryIO = sys.stdin.buffer
    task = task_of_line(lifeline.readline().decode())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent by hand, as the group is this process's own
        signal.signal(number, lambda *_: threading.Thread(target=stop.now).start())
    threading.Thread(target=_watch, args=(lifeline, stop), daemon=True).start()

    def tell(event: Event) -> None:
        with suppress(OSError):  # nobody reads: the lifeline is about to end, too
            print(event_as_line(event), flush=True)

    outcome = carry_out(task, tell, stop=stop)
    if not stop.wanted.is_set():
        tell(outcome)
    os._exit(128 + signal.SIGTERM if stop.wanted.is_set() else 0)  # the thread that watches stdin would be waited for


def _watch(lifeline: BinaryIO, stop: Stop) -> None:
    while lifeline.read1():
        pass
    stop.now()
