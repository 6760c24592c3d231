"""From the jobs of a plan to arrays of SLURM: which run in one array, and which task waits for which.

SLURM knows two fine dependencies: `aftercorr`, by which task i of an array waits for task i of another, and `afterok` of a
single task. Each job needs one other at most, so both together say exactly what a plan says: a failure stops what needs it and
nothing else, and nobody waits for a whole array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from ...jobs import Job, Kind

LONGEST = 1000  # tasks, numbered from 0: MaxArraySize is 1001 where a site has not set it
NAMES = {Kind.PHASE1: "phase1", Kind.BOOSTING: "phase1", Kind.TRAINING: "training", Kind.TEST: "test"}

Pack = tuple[Job, ...]  # runs side by side, in one task


@dataclass(frozen=True)
class Array:
    """Jobs that are submitted in one go."""

    name: str
    tasks: Mapping[int, Pack]  # by their number in SLURM, which need not be without gaps
    after: str = ""  # name of the array that is needed, or "12_3", a task that was queued before; "": nothing is needed
    only: int | None = None  # number of the one task that all need; None: each needs the one of its own number

    def indices(self) -> str:
        """The numbers as `sbatch --array` takes them: "0-4,7"."""
        runs: list[list[int]] = []
        for index in sorted(self.tasks):
            if runs and runs[-1][1] == index - 1:
                runs[-1][1] = index
            else:
                runs.append([index, index])
        return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


class _Names:
    """A name for each array: training, training-2, training-3 ..."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def __call__(self, kind: str) -> str:
        number = self._given[kind] = self._given.get(kind, 0) + 1
        return kind if number == 1 else f"{kind}-{number}"


def arrays(
    jobs: Sequence[Job], *, pack: int = 1, longest: int = LONGEST, queued: Mapping[str, str] | None = None
) -> list[Array]:
    """Arrays of all `jobs`, each behind the one that it waits for.

    Args:
        jobs: what is to run; one that needs another which is not among them can run at once, or waits for a task of `queued`.
        pack: runs in one task at most, side by side.
        longest: tasks of an array at most.
        queued: folder of a job that was submitted before -> its task, as SLURM writes it: 12_3.
    """
    queued, name, mine = queued or {}, _Names(), {job.folder for job in jobs}
    waiting: dict[str, list[Job]] = {}  # by the folder of the job that they need
    free: list[Job] = []
    for job in jobs:
        if job.needs in mine or job.needs in queued:
            waiting.setdefault(job.needs, []).append(job)
        else:
            free.append(job)
    found = [Array(name(kind), tasks) for kind, tasks in _numbered(free, pack, longest)]
    for folder, task in queued.items():
        found += [Array(name(kind), tasks, task) for kind, tasks in _numbered(waiting.get(folder, ()), pack, longest)]
    for array in found:  # which grows meanwhile
        found += _behind(array, waiting, pack, longest, name)
    return found


def _behind(array: Array, waiting: Mapping[str, list[Job]], pack: int, longest: int, name: _Names) -> Iterator[Array]:
    """The arrays that wait for `array`: one for each of the jobs that need the same one, or one for each that is needed.

    Whichever are fewer.
    """
    needing = {
        index: [job for one in task for job in waiting.get(one.folder, ())] for index, task in array.tasks.items()
    }
    for kind in dict.fromkeys(NAMES[job.kind] for jobs in needing.values() for job in jobs):
        of_kind = {index: [job for job in jobs if NAMES[job.kind] == kind] for index, jobs in needing.items()}
        beside = list(zip_longest(*(_packs(jobs, pack) for jobs in of_kind.values())))
        alone = [(index, tasks) for index, jobs in of_kind.items() for _, tasks in _numbered(jobs, pack, longest)]
        if len(beside) <= len(alone):
            for tasks in beside:
                numbered = {index: task for index, task in zip(of_kind, tasks, strict=True) if task}
                yield Array(name(kind), numbered, array.name)
        else:
            for index, numbered in alone:
                yield Array(name(kind), numbered, array.name, index)


def _numbered(jobs: Iterable[Job], pack: int, longest: int) -> Iterator[tuple[str, dict[int, Pack]]]:
    """(name of the kind, tasks by number), as many of a kind as there must be."""
    jobs = list(jobs)
    for kind in dict.fromkeys(NAMES[job.kind] for job in jobs):
        packs = _packs([job for job in jobs if NAMES[job.kind] == kind], pack)
        while tasks := list(islice(packs, longest)):
            yield kind, dict(enumerate(tasks))


def _packs(jobs: Sequence[Job], pack: int) -> Iterator[Pack]:
    return iter([tuple(jobs[start : start + pack]) for start in range(0, len(jobs), pack)])
