"""The engine for one machine: some jobs at a time, each in a process of its own."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..jobs import Job, Plan
from .course import Course, carry_out
from .options import EngineOptions
from .progress import Lines
from .task import FAILED, Event, Outcome, Task
from .worker import Worker


class LocalPool:
    """At most `jobs` workers at a time, on this machine."""

    def __init__(self, jobs: int):
        self.jobs = jobs
        self._under_way: dict[str, Worker] = {}  # by folder
        self._selector = selectors.DefaultSelector()
        self._at_once: list[tuple[Job, Event]] = []  # what is told without waiting

    def full(self) -> bool:
        return len(self._under_way) >= self.jobs

    def free(self, job: Job) -> bool:
        return not self.full()

    def start(self, task: Task) -> None:
        threads = task.job.resources.threads
        if threads:
            task = replace(task, environment={**task.environment, "OMP_NUM_THREADS": str(threads)})
        try:
            worker = Worker(task)
        except OSError as error:
            reason = f"its worker can't be started ({error.strerror})"
            self._at_once.append((task.job, Outcome(FAILED, reason=reason)))
            return
        self._under_way[task.job.folder] = worker
        self._selector.register(worker, selectors.EVENT_READ)

    def wait(self, seconds: float) -> Sequence[tuple[Job, Event]]:
        told, self._at_once = self._at_once, []
        for key, _ in self._selector.select(0 if told else seconds):
            told.append(self._read(key.fileobj))
        return told

    def _read(self, worker: Worker) -> tuple[Job, Event]:
        job, descriptor = worker.task.job, worker.fileno()
        event = worker.read()
        if isinstance(event, Outcome):
            self._selector.unregister(descriptor)
            del self._under_way[job.folder]
        return job, event

    def stop(self) -> None:
        for worker in self._under_way.values():
            worker.let_go()
        for worker in self._under_way.values():
            worker.close()
        self._under_way.clear()


def run(plan: Plan, program: Sequence[str], options: EngineOptions, table: Callable[[], bool]) -> int:
    """Carry a plan out on this machine; see options.py."""
    return carry_out(Course(plan, LocalPool(options.jobs or 1), Lines(), program), table)
