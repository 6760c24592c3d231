"""The jobs of a sweep as Ray tasks: how many at a time, what they tell, and what becomes of one whose worker was lost."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ....ground.errors import first_line
from ...jobs import THREADS, Job
from ..task import BUSY, FAILED, Begun, Event, Outcome, Task, event_of_line, task_as_line
from ..worker import PACKAGES, PATIENCE, WORKER
from . import node
from .cluster import Cluster
from .token import Token

# Beginnings of the names of variables that say something about a machine, or about who is sitting at it
OF_A_MACHINE = (
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "RAY_", "SLURM_", "SSH_", "XDG_", "DBUS_", "DISPLAY"),
    *("WAYLAND_DISPLAY", "HOSTNAME", "TMPDIR", "PWD", "OLDPWD"),
)
ENDING = PATIENCE + 5.0  # seconds that a worker has to end with its run
POLL = 0.5  # seconds between two looks: at signals, at new nodes, at a folder that a lost run may still hold
LOSSES = {
    "WorkerCrashedError": "its worker was killed",
    "NodeDiedError": "its node was lost",
    "OutOfMemoryError": "Ray ended it, as its node ran out of memory",
}
SILENCE = 60.0  # seconds after which it is said that no run has begun
LOOK = 5.0  # seconds between two looks whether the head is there
NO_WORD = "its worker ended without a word"
Told = list[tuple[Job, Event]]


@dataclass
class UnderWay:
    """A job that Ray has."""

    task: Task
    lines: Any  # Ray's generator of what the node tells
    given: float  # when, by time.monotonic
    heard: bool = False  # whether a node has said that it is at it
    place: str = ""


class RayPool:
    """At most `jobs` at a time, None: as many as the cluster has room for.

    `connect` gives the cluster when the first job is to be started. A job whose worker or node was lost is begun again, at most
    `retries` times; `say` gets to know of it.
    """

    def __init__(
        self,
        connect: Callable[[], Cluster],
        token: Token,
        say: Callable[[str], object],
        *,
        jobs: int | None = None,
        jobs_per_gpu: int = 1,
        retries: int = 3,
    ):
        self.connect, self.token, self.say = connect, token, say
        self.jobs, self.jobs_per_gpu, self.retries = jobs, jobs_per_gpu, retries
        self.cluster: Cluster | None = None
        self._under_way: dict[str, UnderWay] = {}  # by folder
        self._later: dict[str, tuple[float, Task]] = {}  # folder -> when its job is given to Ray again
        self._losses: dict[str, list[float]] = {}  # folder -> when its worker was lost
        self._at_once: Told = []  # what is told without waiting
        self._has_waited = False  # for a node, which is said once
        self._silent = False  # nothing is heard of any job, which is said
        self._looked, self._away = 0.0, False  # for the head

    # -----------------------------------------------------------------------------------------------------------------
    # What the course asks for
    # -----------------------------------------------------------------------------------------------------------------
    def full(self) -> bool:
        return self.jobs is not None and len(self._under_way) + len(self._later) >= self.jobs

    def free(self, job: Job) -> bool:
        if self.full():
            return False
        if self.cluster is None:
            self._join()
        places = self.cluster.places(self.cluster.demand(job, self.jobs_per_gpu))
        if places or self.cluster.all_avoided():  # as `start` will say
            return len(self._under_way) + len(self._later) < max(places, 1)
        if not self._has_waited and not self._under_way:
            self._has_waited = True
            self.say(f"no node of the Ray cluster can take {job.folder} now; waits for one")
        return False

    def start(self, task: Task) -> None:
        if self.cluster.all_avoided():
            reason = next(iter(self.cluster.avoided.values()))
            self._at_once.append((task.job, Outcome(FAILED, reason=reason)))
        else:
            self._give(task)

    def wait(self, seconds: float) -> Sequence[tuple[Job, Event]]:
        until = time.monotonic() + seconds
        told, self._at_once = self._at_once, []
        while not told and time.monotonic() < until:
            self._give_again()
            self._watch()
            for under_way in self._ready():
                told += self._read(under_way)
            told += self._give_up()
            if not self._under_way and not self._later:
                break
        return told

    def stop(self) -> None:
        if self.cluster is None:
            return
        for under_way in self._under_way.values():
            with suppress(Exception):
                self.cluster.ray.cancel(under_way.lines)
        until = time.monotonic() + ENDING
        while self._under_way and time.monotonic() < until:
            for under_way in self._ready():
                self._pass_over(under_way)
        self._under_way.clear()
        self.token.remove()
        self.cluster.close()
        self.cluster = None

    # -----------------------------------------------------------------------------------------------------------------
    # Giving jobs to Ray
    # -----------------------------------------------------------------------------------------------------------------
    def _join(self) -> None:
        self.token.write()
        try:
            self.cluster = self.connect()
        except BaseException:
            self.token.remove()
            raise
        self.cluster.ray.cloudpickle.register_pickle_by_value(node)
        self._function = self.cluster.ray.remote(num_returns="streaming", max_retries=0)(node.carry_out)

    def _give(self, task: Task) -> None:
        demand = self.cluster.demand(task.job, self.jobs_per_gpu)
        options = {"label_selector": selector} if (selector := self.cluster.selector()) else {}
        function = self._function.options(
            name=f"caspl {task.job.folder}", num_cpus=demand.cpus, num_gpus=demand.gpus, **options
        )
        lines = function.remote(self._errand(task, demand.threads))
        self._under_way[task.job.folder] = UnderWay(task, lines, time.monotonic())

    def _give_again(self) -> None:
        due = [folder for folder, (when, _) in self._later.items() if when <= time.monotonic()]
        for folder in due:
            self._give(self._later.pop(folder)[1])

    def _errand(self, task: Task, threads: int | None) -> node.Errand:
        if threads and (task.job.resources.threads or THREADS not in os.environ):
            task = replace(task, environment={**task.environment, THREADS: str(threads)})
        return node.Errand(
            task=task_as_line(task),
            worker=(sys.executable, "-c", WORKER, str(PACKAGES)),
            directory=task.directory,
            needed=(task.directory, str(PACKAGES), sys.executable),
            token=self.token.path,
            said=self.token.said,
            environment=dict(os.environ),
            own=OF_A_MACHINE,
            patience=ENDING,
        )

    def _watch(self) -> None:
        """Say that nothing is heard of any run, and each time that the head is away, which Ray bears for a minute."""
        now = time.monotonic()
        unheard = [under_way.given for under_way in self._under_way.values() if not under_way.heard]
        before, self._silent = self._silent, 0 < len(unheard) == len(self._under_way) and now > min(unheard) + SILENCE
        if self._silent and not before:
            self.say(
                f"Ray has had runs for {SILENCE:.0f} seconds, and nothing is heard of any: others may have the places "
                f"(ray status says it), or machines do not let each other in (RAY_AUTH_MODE, firewalls)"
            )
        if self.cluster is not None and now > self._looked + LOOK:
            self._looked, before = now, self._away
            self._away = bool(problem := self.cluster.away())
            if self._away and not before:
                self.say(
                    f"the Ray cluster at {self.cluster.address} does not answer any more ({problem}); if that lasts for a "
                    f"minute Ray ends the sweep, and the same command goes on with it on a cluster that answers"
                )

    # -----------------------------------------------------------------------------------------------------------------
    # What becomes of them
    # -----------------------------------------------------------------------------------------------------------------
    def _ready(self) -> list[UnderWay]:
        """Those that have something to tell; waits for it, but not for long."""
        if not self._under_way:
            time.sleep(POLL)
            return []
        by_lines = {under_way.lines: under_way for under_way in self._under_way.values()}
        ready, _ = self.cluster.ray.wait(list(by_lines), timeout=POLL, fetch_local=False)
        return [by_lines[lines] for lines in ready]

    def _read(self, under_way: UnderWay) -> Told:
        errors = self.cluster.ray.exceptions
        try:
            return self._understand(under_way, self.cluster.ray.get(next(under_way.lines)))
        except StopIteration:
            return self._lose(under_way, NO_WORD)
        except errors.TaskCancelledError:
            return self._conclude(under_way, Outcome(FAILED, reason="somebody has cancelled it in Ray"))
        except errors.RayTaskError as error:
            reason = f"its worker can't be started ({first_line(error.cause)})"
            return self._conclude(under_way, Outcome(FAILED, reason=reason))
        except errors.RayError as error:
            return self._lose(under_way, LOSSES.get(type(error).__name__) or first_line(error))

    def _understand(self, under_way: UnderWay, line: str) -> Told:
        name, values = json.loads(line)
        if name == node.HERE:
            under_way.heard = True
            under_way.place = self.cluster.place(**values)
            return []
        if name == node.UNSEEN:
            return self._avoid(under_way, **values)
        event = event_of_line(line)
        if isinstance(event, Begun):
            return [(under_way.task.job, Begun(event.word, under_way.place))]
        return self._conclude(under_way, event)

    def _conclude(self, under_way: UnderWay, outcome: Outcome) -> Told:
        job = under_way.task.job
        del self._under_way[job.folder]
        losses = self._losses.get(job.folder, [])
        if outcome.word == BUSY and losses and time.monotonic() < losses[-1] + ENDING:  # by its lost run
            self._later[job.folder] = (time.monotonic() + POLL, under_way.task)
            return []
        return [(job, outcome)]

    def _lose(self, under_way: UnderWay, reason: str) -> Told:
        """A worker or node is lost: begin its job again, if that was not done too often."""
        folder = under_way.task.job.folder
        losses = self._losses.setdefault(folder, [])
        losses.append(time.monotonic())
        if len(losses) > self.retries:
            times = f", {len(losses)} times in all" if self.retries else ""
            return self._conclude(under_way, Outcome(FAILED, reason=f"{reason}{times}"))
        del self._under_way[folder]
        self.say(f"{folder}: {reason}; it is begun again ({len(losses)} of {self.retries})")
        self._later[folder] = (time.monotonic(), under_way.task)
        return []

    def _avoid(self, under_way: UnderWay, node: str, host: str, missing: str) -> Told:
        """A node does not see what the sweep needs: use others, if there are some."""
        sentence = f"{host} does not see {missing} as the sweep does; all machines need it, on a disk that they share"
        if self.cluster.avoid(node, sentence):
            self.say(f"{sentence}: no run is started there")
        if self.cluster.all_avoided():
            return self._conclude(under_way, Outcome(FAILED, reason=sentence))
        del self._under_way[under_way.task.job.folder]
        self._later[under_way.task.job.folder] = (time.monotonic(), under_way.task)
        return []

    def _give_up(self) -> Told:
        """Jobs that Ray would keep for ever, as the nodes that are left do not see the sweep's folders, have failed."""
        if not self.cluster.all_avoided():
            return []
        told: Told = []
        reason = next(iter(self.cluster.avoided.values()))
        for under_way in [under_way for under_way in self._under_way.values() if not under_way.heard]:
            with suppress(Exception):
                self.cluster.ray.cancel(under_way.lines)
            told += self._conclude(under_way, Outcome(FAILED, reason=reason))
        return told

    def _pass_over(self, under_way: UnderWay) -> None:
        """What a job tells that was cancelled."""
        try:
            self.cluster.ray.get(next(under_way.lines))
        except StopIteration:
            self._under_way.pop(under_way.task.job.folder, None)
        except Exception:
            pass  # that it was cancelled; the end comes next
