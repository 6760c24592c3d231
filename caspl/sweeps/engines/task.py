"""What passes between a sweep and the place where a job runs, as lines of JSON: a task one way, events the other."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..jobs import Job, Kind, Resources

RUN, RESUME, SKIP, FAILED, BUSY = "run", "resume", "skip", "failed", "busy"


@dataclass(frozen=True)
class Task:
    """A job, ready to be carried out."""

    job: Job
    needed: Job | None = None  # the one that job.needs names
    program: tuple[str, ...] = ("python", "train.py")  # what stands before the job's arguments
    directory: str = field(default_factory=os.getcwd)  # from which the program, its arguments and folders are seen
    environment: Mapping[str, str] = field(default_factory=dict)  # of the run, beyond that of the worker


@dataclass(frozen=True)
class Begun:
    """A run was started."""

    word: str  # run or resume
    place: str = ""  # as the user knows it: "GPU 3"; "": there is one place only, or nobody knows


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    word: str  # run, resume, skip or failed; busy: not at all, another sweep is at work in its folder
    accuracy: str = "-"  # on test images, as printed
    reason: str = ""  # of a failure, as "exit status 1"
    last_words: tuple[str, ...] = ()  # of a run that failed, the last lines of what it wrote
    refused: bool = False  # it failed on what it was given, or diverged, and would again

    @property
    def well(self) -> bool:
        return self.word in (RUN, RESUME, SKIP)


Event = Begun | Outcome


def task_as_line(task: Task) -> str:
    """A task as one line of JSON."""
    jobs = {"job": values_of(task.job), "needed": task.needed and values_of(task.needed)}
    return json.dumps({**asdict(task), **jobs})


def task_of_line(line: str) -> Task:
    """The task that `task_as_line` wrote."""
    values = json.loads(line)
    job, needed = values.pop("job"), values.pop("needed")
    return Task(job_of(job), needed and job_of(needed), **{**values, "program": tuple(values["program"])})


def values_of(job: Job) -> dict[str, Any]:
    """The fields of a job as JSON can have them."""
    return {**asdict(job), "kind": job.kind.value}


def job_of(values: dict[str, Any]) -> Job:
    """The job whose fields `values_of` gave."""
    ready = {
        "arguments": tuple(values["arguments"]),
        "kind": Kind(values["kind"]),
        "resources": Resources(**values["resources"]),
        "leaves": tuple(values["leaves"]),
    }
    return Job(**{**values, **ready})


def event_as_line(event: Event) -> str:
    """An event as one line of JSON."""
    return json.dumps([type(event).__name__, asdict(event)])


def event_of_line(line: str) -> Event:
    """The event that `event_as_line` wrote. Raises ValueError for another line."""
    name, values = json.loads(line)
    if name == "Begun":
        return Begun(**values)
    return Outcome(**{**values, "last_words": tuple(values["last_words"])})
