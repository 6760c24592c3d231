"""What the folder of a job says: whether its run is finished, was begun, was made with these settings.

Its record, run.json, comes first; where there is none, or a log tells of something later, as of a run that another program
began, the newest log decides. Nothing is cached: another sweep may be at work in the same folders. Folders are seen from the
working directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ..checkpoints.headers import BoostingHeader
from ..ground.errors import InputError
from ..ground.files import regular
from ..results.reading.logs import last_accuracy, logs_in, newest_log
from ..results.records import NAME, Record, Status, found
from .jobs import Job, Kind, Plan

SETTINGS_FILE = "settings.txt"  # of a folder: Job.settings of the run that made it
NO_ACCURACY = "-"
RESUME_FILE = "resume.pth.tar"  # of a folder: what a training goes on from, written anew after each epoch
LATER = 5.0  # seconds by which the last lines of a run's log may be younger than its record


# ---------------------------------------------------------------------------------------------------------------------
# Jobs
# ---------------------------------------------------------------------------------------------------------------------
def finished(job: Job, needed: Job | None = None) -> str | None:
    """The accuracy on test images of a job whose run is finished, as it was printed ("82.3%"); None: it is not finished.

    Of boosting prompts, which need no result, it may be NO_ACCURACY. `needed` is the job that `job.needs` names: a test has to
    be repeated once its model was trained again.
    """
    if not all(os.path.isfile(os.path.join(job.folder, name)) for name in job.leaves):
        return None
    accuracy = result_of(job.folder)
    if job.kind is Kind.BOOSTING:
        there = os.path.isfile(os.path.join(job.folder, BoostingHeader.file_name))
        return (accuracy or NO_ACCURACY) if there else None
    if accuracy is None:
        return None
    same = job.kind is Kind.PHASE1 or settings_of(job.folder) in ("", job.settings)
    there = _up_to_date(job, needed) if job.kind is Kind.TEST else checkpoint(job) is not None
    return accuracy if same and there else None


def _up_to_date(test: Job, needed: Job | None) -> bool:
    """Whether the model that a test needs was not trained again after the test was run."""
    if needed is None:
        return True
    model, told = checkpoint(needed), newest_log(test.folder) or Path(test.folder, NAME)
    with suppress(OSError):  # either may be removed meanwhile
        return model is not None and model.stat().st_mtime_ns <= told.stat().st_mtime_ns
    return False


def started(job: Job) -> bool:
    """Whether a training was begun in the folder of a job, which the same command continues."""
    return job.epoch is not None and os.path.isfile(os.path.join(job.folder, RESUME_FILE))


def unneeded(plan: Plan) -> set[str]:
    """Folders of the boosting prompts that nobody runs for their own sake, where all jobs that would use them are finished."""
    users: dict[str, list[Job]] = {job.folder: [] for job in plan if job.kind is Kind.BOOSTING}
    jobs = {job.folder: job for job in plan}
    for job in plan:
        if job.needs in users:
            users[job.needs].append(job)
    return {folder for folder, among in users.items() if all(finished(job, jobs[folder]) is not None for job in among)}


def listing(plan: Plan) -> Iterator[tuple[Job, bool]]:
    """The jobs of a plan in its order, each with whether it would be skipped; boosting prompts that nobody needs are left out.

    A test is skipped only where its training is: one that is trained again is tested again.
    """
    jobs = {job.folder: job for job in plan}
    done = unneeded(plan)
    for job in [job for job in plan if job.folder not in done]:
        skipped = finished(job, jobs.get(job.needs)) is not None
        skipped = skipped and (job.kind is not Kind.TEST or not job.needs or job.needs in done)
        if skipped:
            done.add(job.folder)
        yield job, skipped


# ---------------------------------------------------------------------------------------------------------------------
# Folders
# ---------------------------------------------------------------------------------------------------------------------
def settings_of(folder: str) -> str:
    """What settings.txt of a folder says; "": nothing, as of a run that was started by hand."""
    with suppress(OSError, ValueError):
        return (
            regular(os.path.join(folder, SETTINGS_FILE))
            .read_text(encoding="utf-8", errors="surrogateescape")
            .rstrip("\n")
        )
    return ""


def checkpoint(job: Job) -> Path | None:
    """The model of the last epoch of a training, in one of the folders of its folder; None: it is not there."""
    name = f"model.pth.tar-{job.epoch}"
    with suppress(OSError), os.scandir(job.folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = os.path.join(entry.path, name)
            if os.path.isfile(path):
                return Path(path)
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Results
# ---------------------------------------------------------------------------------------------------------------------
def result_of(folder: str) -> str | None:
    """The accuracy on test images with which the newest run in a folder has ended, as it was printed; None: with none."""
    log, record = newest_log(folder), _record(folder)
    with suppress(OSError):
        if log and record and log.stat().st_mtime > os.stat(os.path.join(folder, NAME)).st_mtime + LATER:
            record = None  # of an earlier run
    if record is None or record.status == Status.RUNNING or record.finished and record.result is None:
        return last_accuracy(log) if log else None
    result = record.result
    return f"{result.accuracy:.1f}%" if result is not None and result.split == "test" else None


def seconds_of(folder: str) -> float | None:
    """How long the run in a folder took from its beginning to its end; None: nobody knows, as it has not, or was continued."""
    record = _record(folder)
    if record is None or not record.finished or len(logs_in(folder)) > 1:
        return None
    with suppress(ValueError, TypeError):
        times = (record.cost.started, record.cost.ended)
        started, ended = (datetime.fromisoformat(time.replace("Z", "+00:00")) for time in times)
        return (ended - started).total_seconds()
    return None


def _record(folder: str) -> Record | None:
    """None where there is none, or it is damaged: the log tells the same."""
    with suppress(InputError):
        return found(folder)
    return None
