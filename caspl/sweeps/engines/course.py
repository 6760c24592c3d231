"""A plan is carried out: one course for every engine that has its jobs under its eyes, whatever pool they run in.

    Course(plan, pool, screen, program).run()

starts what can be started, waits for one to end, and so on: finished jobs are skipped, those that another sweep is at are left
to it and asked for again, a job whose need has failed fails, the others go on. A pool knows where jobs run and how many at a
time. `carry_out` does this for a command, from the first signal that may come to the exit status.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from ...ground.locks import lock_folder
from ..jobs import Job, Plan
from ..state import NO_ACCURACY, finished, unneeded
from .task import BUSY, FAILED, SKIP, Begun, Event, Outcome, Task

WAITING, RUNNING, ENDED, BROKEN = "waiting", "running", "ended", "failed"
INTERRUPTED = "interrupted; the same command skips what is finished and resumes what was under way"
OF_TRAIN = "another --output-dir"  # what train.py advises where a folder holds a run with other settings
INSTEAD = "in a sweep that is another --name, where it has one and phase 1 is not concerned, or another --output"
AGAIN = 0.5  # seconds after which a folder that another sweep is at is asked for again
STATUS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}  # with which a sweep ends that gets one of these


class Pool(Protocol):
    """Where jobs run. One thread calls all of this."""

    def full(self) -> bool:
        """Whether as many jobs are under way as may be at a time; what else is to be done, as skipping, waits, too."""
        ...

    def free(self, job: Job) -> bool:
        """Whether there is a place for this job now, which is then kept until the next `start` or `wait`."""
        ...

    def start(self, task: Task) -> None:
        """Begin a job, in the place that `free` has found."""
        ...

    def wait(self, seconds: float) -> Sequence[tuple[Job, Event]]:
        """What has happened to jobs that were started; waits until there is something, or a place for one more job, or so long.

        Of each job that was started there is one Outcome in the end, and may be a Begun before.
        """
        ...

    def stop(self) -> None:
        """End whatever is under way, by SIGINT, ten seconds later by SIGKILL, and return when it has ended."""
        ...


class Screen(Protocol):
    """What the user sees."""

    pace: float  # seconds after which `tick` wants to be called again

    def line(self, text: str) -> None:
        """On stdout."""
        ...

    def say(self, text: str) -> None:
        """On stderr."""
        ...

    def expect(self, jobs: Sequence[Job]) -> None:
        """All that is to be done, told once."""
        ...

    def waits(self, job: Job) -> None:
        """Another sweep is at a job."""
        ...

    def begun(self, job: Job, begun: Begun) -> None:
        """A run was started."""
        ...

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job is over; its line comes next."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...

    def close(self) -> None:
        """Nothing more is shown, but what is said; may be called twice."""
        ...


class Course:
    """What has become of the jobs of a plan, and what is next."""

    def __init__(self, plan: Plan, pool: Pool, screen: Screen, program: Sequence[str]):
        self.jobs = {job.folder: job for job in plan}
        self.pool, self.screen, self.program = pool, screen, tuple(program)
        left_out = unneeded(plan)
        self.state = {folder: ENDED if folder in left_out else WAITING for folder in self.jobs}
        self.total, self.finished = len(self.jobs) - len(left_out), 0
        self.refused: set[str] = set()  # folders of jobs that would fail again
        self._waits: dict[str, float] = {}  # folder that another sweep is at -> when it was last asked for

    def run(self) -> None:
        """Carry the plan out. What is under way is ended where something goes wrong, or Ctrl-C is pressed."""
        self.screen.expect([job for job in self.jobs.values() if self.state[job.folder] == WAITING])
        try:
            self._start_ready()
            while any(state in (WAITING, RUNNING) for state in self.state.values()):
                for job, event in self.pool.wait(min(AGAIN, self.screen.pace) if self._waits else self.screen.pace):
                    self._take(job, event)
                self._start_ready()
                self.screen.tick()
        except KeyboardInterrupt:
            self.screen.close()
            self.screen.say(INTERRUPTED)  # what is under way may take seconds to end
            raise
        finally:
            self.screen.close()
            self.pool.stop()

    def list_failed(self) -> bool:
        """Say which jobs have failed, and whether trying again helps; True where there are some."""
        failed = [folder for folder, state in self.state.items() if state == BROKEN]
        for line in failure_list(failed, self.refused, self.total):
            self.screen.say(line)
        return bool(failed)

    def _start_ready(self) -> None:
        """As many jobs as there are places for; needs come before the jobs that need them."""
        for folder, job in self.jobs.items():
            if self.state[folder] != WAITING:
                continue
            if self.pool.full():
                return
            before = self.state[job.needs] if job.needs else ENDED
            if before == BROKEN:
                self._conclude(job, Outcome(FAILED, reason=f"it needs {job.needs}, which failed"))
            elif before == ENDED and not self._start(job):
                return

    def _start(self, job: Job) -> bool:
        """Skip a job, leave it to another sweep, or start it; False: there is no place."""
        if job.folder in self._waits and time.monotonic() - self._waits[job.folder] < AGAIN:
            return True
        needed = self.jobs.get(job.needs)
        if (accuracy := finished(job, needed)) is not None:
            self._conclude(job, Outcome(SKIP, accuracy))
        elif _taken(job.folder):
            self._leave(job)
        elif not self.pool.free(job):
            return False
        else:
            self._waits.pop(job.folder, None)
            self.state[job.folder] = RUNNING
            self.pool.start(Task(job, needed, self.program))
        return True

    def _leave(self, job: Job) -> None:
        """To another sweep, without a place in the meantime."""
        if job.folder not in self._waits:
            self.screen.say(f"wait for another sweep in {job.folder}")
            self.screen.waits(job)
        self._waits[job.folder] = time.monotonic()
        self.state[job.folder] = WAITING

    def _take(self, job: Job, event: Event) -> None:
        if isinstance(event, Begun):
            self.screen.begun(job, event)
        elif event.word == BUSY:
            self._leave(job)
        else:
            self._conclude(job, event)

    def _conclude(self, job: Job, outcome: Outcome) -> None:
        folder = job.folder
        self.finished += 1
        self._waits.pop(folder, None)
        self.state[folder] = ENDED if outcome.well else BROKEN
        if outcome.refused:
            self.refused.add(folder)
        accuracy = outcome.accuracy if outcome.well else NO_ACCURACY
        count = f"{self.finished:{len(str(self.total))}}/{self.total}"
        self.screen.ended(job, outcome)
        self.screen.line(f"[{count}] {outcome.word:<6} {accuracy:>6}  {folder}")
        if not outcome.well:
            self.screen.say(f"{folder} failed: {outcome.reason}")
            for words in (*outcome.last_words, *_in_a_sweep(outcome.last_words)):
                self.screen.say(f"    {words}")


def _in_a_sweep(last_words: Sequence[str]) -> Iterator[str]:
    """What takes the place of an option of train.py that a sweep gives itself."""
    if any(OF_TRAIN in words for words in last_words):
        yield INSTEAD


def failure_list(failed: Sequence[str], refused: Collection[str], total: int) -> list[str]:
    """The lines about the folders of jobs that have failed, those `refused` marked; none where none has."""
    if not failed:
        return []
    hint = ", those marked * in vain until what they say is corrected" if refused else ""
    head = f"\n{len(failed)} of {total} runs failed; the same command tries them again{hint}:"
    return [head, *(f"    {folder}{' *' if folder in refused else ''}" for folder in failed)]


def carry_out(course: Course, table: Callable[[], bool] = lambda: True) -> int:
    """Run a course, then show its table, which says whether it could be shown, and give the exit status of the sweep.

    0: all is well; 1: jobs have failed, or the table; 130: Ctrl-C; 143: SIGTERM or SIGHUP.
    """
    try:
        with _signals() as came:
            course.run()
    except KeyboardInterrupt:
        return STATUS[came[0] if came else "SIGINT"]
    shown = table()
    return 1 if course.list_failed() or not shown else 0


@contextmanager
def _signals() -> Iterator[list[str]]:
    """Inside, the first signal that ends a command raises KeyboardInterrupt and stands in what is yielded; no second one does.

    Those that are ignored, as below nohup, stay ignored.
    """
    came: list[str] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        for taken in before:
            signal.signal(taken, signal.SIG_IGN)
        came.append(signal.Signals(number).name)
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in STATUS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    if threading.current_thread() is not threading.main_thread():
        before = {}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _taken(folder: str) -> bool:
    """Whether another sweep is at work in a folder."""
    if not os.path.isdir(folder):
        return False
    lock = lock_folder(folder, shared=True)
    if lock is None:
        return True
    lock.release()
    return False
