"""What passes from the plan to the engines: jobs, each a run of train.py in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

THREADS = "OMP_NUM_THREADS"  # variable: how many threads a run computes with


def threads_of(runs: float, cores: float = 0) -> int:
    """THREADS of each of so many runs at a time that share `cores`; 0: those that this process may use."""
    return max(1, int((cores or _cores()) / runs))


def _cores() -> int:
    """Those that a job, a container or taskset leaves to this process; all, where the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Kind(Enum):
    """What a job is for, which decides when it is finished (state.py)."""

    TRAINING = "training"
    PHASE1 = "phase1"  # a training that counts whatever its settings were
    BOOSTING = "boosting"  # the same, of which only boosting.safetensors counts; nobody runs it for its own sake
    TEST = "test"


@dataclass(frozen=True)
class Resources:
    """What a job takes while it runs."""

    gpus: float = 1.0  # of one machine; a fraction shares one; on a machine without GPUs nothing is asked for
    threads: int | None = None  # THREADS of the run; None: left as it is


@dataclass(frozen=True)
class Job:
    """One run of train.py."""

    folder: str  # where its outputs lie; the job's name, unique in a plan
    arguments: tuple[str, ...]  # behind `python train.py`
    kind: Kind
    needs: str = ""  # folder of the job that must have ended well before; "": none
    epoch: int | None = None  # the last one of a training; None: a test
    settings: str = ""  # the arguments without what may change: where data and outputs lie (settings.txt of the folder)
    leaves: tuple[str, ...] = ()  # files that have to lie in the folder besides, for the run to be finished
    resources: Resources = Resources()


@dataclass(frozen=True)
class Plan:
    """Jobs in an order in which each comes behind the one that it needs; folders are unique."""

    jobs: tuple[Job, ...]

    def __post_init__(self) -> None:
        known: set[str] = set()
        for job in self.jobs:
            if job.folder in known or (job.needs and job.needs not in known):
                raise ValueError(f"{job.folder} comes twice, or before {job.needs}, which it needs")
            known.add(job.folder)

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)
