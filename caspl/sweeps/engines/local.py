"""The engine for one machine: some jobs at a time, each in a process of its own and, where there are some, on a GPU of its own.

With GPUs there is a slot for each of `jobs_per_gpu` runs on each (slots.py), which other sweeps of this machine take, too;
without, `jobs` runs at a time.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ground.errors import InputError
from ..jobs import THREADS, Job, Plan, threads_of
from . import course, gpus, progress
from .options import EngineOptions
from .slots import Slot, Slots
from .task import FAILED, Begun, Event, Outcome, Task
from .worker import Worker

POLL = 0.1  # seconds after which slots that others have are asked for again


def run(plan: Plan, program: Sequence[str], options: EngineOptions, table: Callable[[], bool]) -> int:
    """Carry a plan out on this machine; see options.py. Raises InputError for GPUs that are none, or not there."""
    if not hasattr(os, "killpg"):
        raise InputError(
            "--engine local is for Linux and macOS, as it ends runs with all their processes; use WSL, or --dry-run"
        )
    screen = progress.screen()
    pool = pool_for(options.jobs, options.gpus, options.jobs_per_gpu, screen.say)
    return course.carry_out(course.Course(plan, pool, screen, program), table)


def pool_for(
    jobs: int | None, asked: Sequence[str] | None, jobs_per_gpu: int, say: Callable[[str], object]
) -> LocalPool:
    """The pool for what was asked for; `say` gets to know what the user should. Raises InputError as `run`."""
    chosen = gpus.places(asked, jobs_per_gpu, say)
    return LocalPool(jobs, Slots(chosen, jobs_per_gpu) if chosen else None, say, hidden=asked == ())


class LocalPool:
    """At most `jobs` workers at a time, None: as many as there are slots, without slots one; `hidden`: runs see no GPU."""

    def __init__(
        self,
        jobs: int | None,
        slots: Slots | None = None,
        say: Callable[[str], object] = print,
        *,
        hidden: bool = False,
    ):
        self.slots, self.say, self._gpus = slots, say, {gpus.VISIBLE: ""} if hidden else {}
        self.places = min(jobs or len(slots), len(slots)) if slots else jobs or 1
        self._under_way: dict[str, tuple[Worker, Slot | None]] = {}  # by folder
        self._selector = selectors.DefaultSelector()
        self._at_once: list[tuple[Job, Event]] = []  # what is told without waiting
        self._kept: Slot | None = None  # by `free`, for the next `start`
        self._wants = False  # a slot that there was not
        self._told = ""  # why slots can't be shared
        self._idle_told = False  # that nothing of this sweep runs, as others have all slots

    def full(self) -> bool:
        return len(self._under_way) >= self.places

    def free(self, job: Job) -> bool:
        if self.full():
            return False
        if self.slots is None or self._kept:
            return True
        mine = [(slot.gpu.name, slot.number) for _, slot in self._under_way.values() if slot]
        self._kept = self.slots.take(mine)
        if self.slots.problem != self._told:
            self.say(f"GPUs aren't shared with other sweeps: {self.slots.problem}")
            self._told = self.slots.problem
        self._wants = self._kept is None
        if self._wants and not self._under_way and not self._idle_told:
            self.say(f"wait for a place on GPU {','.join(gpu.id for gpu in self.slots.gpus)}: other sweeps have all")
            self._idle_told = True
        return not self._wants

    def start(self, task: Task) -> None:
        slot, self._kept = self._kept, None
        descriptors = [] if slot is None or slot.descriptor is None else [slot.descriptor]
        try:
            worker = Worker(
                replace(task, environment={**task.environment, **self._environment(task.job, slot)}), descriptors
            )
        except OSError as error:
            if slot:
                slot.give_back()
            reason = f"its worker can't be started ({error.strerror})"
            self._at_once.append((task.job, Outcome(FAILED, reason=reason)))
            return
        if slot:
            slot.give_back()  # to the worker, which holds its lock until it ends
        self._under_way[task.job.folder] = worker, slot
        self._selector.register(worker, selectors.EVENT_READ)

    def _environment(self, job: Job, slot: Slot | None) -> dict[str, str]:
        """What a run gets to know of its place."""
        threads = job.resources.threads
        if threads is None and slot and self.places > 1 and THREADS not in os.environ:
            threads = threads_of(self.places)
        return ({THREADS: str(threads)} if threads else {}) | (slot.gpu.environment() if slot else self._gpus)

    def wait(self, seconds: float) -> Sequence[tuple[Job, Event]]:
        if self.slots and not self._wants:
            self.slots.leave_line()
        self._give_back_kept()
        told, self._at_once = self._at_once, []
        patience = 0.0 if told else min(seconds, POLL) if self._wants else seconds
        self._wants = False
        for key, _ in self._selector.select(patience):
            told.append(self._read(key.fileobj))
        return told

    def _read(self, worker: Worker) -> tuple[Job, Event]:
        job, descriptor = worker.task.job, worker.fileno()
        event = worker.read()
        slot = self._under_way[job.folder][1]
        if isinstance(event, Outcome):
            self._selector.unregister(descriptor)
            del self._under_way[job.folder]
        elif slot:
            event = Begun(event.word, f"GPU {slot.gpu.id}")
        return job, event

    def _give_back_kept(self) -> None:
        if self._kept:
            self._kept.give_back()
            self._kept = None

    def stop(self) -> None:
        self._give_back_kept()
        if self.slots:
            self.slots.leave_line()
        workers = [worker for worker, _ in self._under_way.values()]
        for worker in workers:
            worker.let_go()
        for worker in workers:
            worker.close()
        self._under_way.clear()
