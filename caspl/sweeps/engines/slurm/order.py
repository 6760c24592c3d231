"""The order of a sweep: the file by which a task of an array knows what to run, on whichever machine it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....ground.errors import InputError
from ....ground.files import load_json, read_text, replacing
from ...jobs import Job
from ..task import job_of, values_of
from .arrays import Array

FILE, FORMAT = "order.json", 2


@dataclass(frozen=True)
class Order:
    """What is to run, and where."""

    jobs: tuple[Job, ...]  # the whole plan
    program: tuple[str, ...]  # what stands before the arguments of a job
    arrays: Mapping[
        str, Mapping[int, tuple[int, ...]]
    ]  # name -> number of a task -> its jobs, by their place in `jobs`
    ending: tuple[tuple[str, ...], ...]  # the commands of the last job


def order(
    jobs: Sequence[Job], arrays: Sequence[Array], program: Sequence[str], ending: Sequence[Sequence[str]]
) -> Order:
    """The order by which `arrays` carry out a plan of `jobs`."""
    place = {job.folder: number for number, job in enumerate(jobs)}
    tasks = {
        array.name: {index: tuple(place[job.folder] for job in task) for index, task in array.tasks.items()}
        for array in arrays
    }
    return Order(tuple(jobs), tuple(program), tasks, tuple(map(tuple, ending)))


def as_json(order: Order) -> str:
    """The text of its file."""
    jobs = [values_of(job) for job in order.jobs]
    return json.dumps({**vars(order), "jobs": jobs, "format": FORMAT}, indent=1) + "\n"


def write(folder: Path, order: Order) -> None:
    """Write it into the folder of the sweep. Raises OSError."""
    with replacing(folder / FILE) as file:
        file.write_text(as_json(order), encoding="utf-8")


def read(folder: Path) -> Order:
    """The order in the folder of a sweep. Raises InputError where there is none that can be read."""
    path = folder / FILE
    try:
        values = load_json(read_text(path, "the order"))
        if values.pop("format") != FORMAT:
            raise ValueError("of another version")
        jobs = tuple(job_of(job) for job in values.pop("jobs"))
        arrays = {
            name: {int(index): tuple(places) for index, places in tasks.items()}
            for name, tasks in values.pop("arrays").items()
        }
        return Order(jobs, tuple(values.pop("program")), arrays, tuple(map(tuple, values.pop("ending"))))
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is not the order of a sweep ({error}); give the command of the sweep again") from None
