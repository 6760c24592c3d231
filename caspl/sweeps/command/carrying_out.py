"""What becomes of a plan: it is printed, or an engine carries it out; then the tables are shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module

from ...checkpoints.headers import BoostingHeader
from ...ground.errors import InputError
from ...ground.files import check_writable
from ...ground.texts import as_typed, tell
from ..jobs import THREADS, Job, Plan
from ..place import Place
from ..requests import Mistakes, Request
from ..state import listing
from .line import Sweep


def command(job: Job, place: Place) -> str:
    """A job's line for a shell."""
    threads = f"{THREADS}={job.resources.threads} " if job.resources.threads else ""
    return threads + as_typed(["python", *place.program, *job.arguments])


def show(plan: Plan, place: Place, elsewhere: bool) -> None:
    """Print what would run, and on stderr what is finished; `elsewhere`: the sweep was called in another folder."""
    if elsewhere:
        print(as_typed(["cd", str(place.folder)]))
    for job, skipped in listing(plan):
        if skipped:
            tell(f"skip {job.folder}", sys.stderr)
        else:
            print(command(job, place))


@dataclass(frozen=True)
class Ending:
    """What a sweep ends with.

    Attributes:
        commands: what shows it, the words behind python; each in a process of its own, as its libraries take seconds to load.
        deviations: by trainer, from what is published.
    """

    commands: tuple[tuple[str, ...], ...] = ()
    deviations: Mapping[str, str] = field(default_factory=dict)

    def print_commands(self) -> None:
        for words in self.commands:
            print(as_typed(["python", *words]))

    def show(self) -> bool:
        """Carry the commands out, and tell the deviations; False: one of them could not do its work."""
        shown = True
        for words in self.commands:
            print(flush=True)
            shown &= subprocess.run([sys.executable, *words]).returncode == 0
        for trainer, deviation in self.deviations.items() if self.commands else ():
            print(f"\n{trainer} is not run as published: {deviation}.")
        return shown


def ending_of(asked: Sweep) -> Ending:
    """Of a sweep: its tables, and the page and the bundle of what was to be reproduced."""
    tables = [table_of(*table) for table in asked.tables]
    return Ending(
        (*tables, *([report_of(asked.request.output, asked.bundle)] if asked.bundle else [])), asked.deviations
    )


def table_of(folder: str, datasets: Sequence[str], trainers: Sequence[str]) -> tuple[str, ...]:
    """The words that print the results below a folder."""
    names = ("--dataset", ",".join(datasets), "--trainer", ",".join(trainers))
    return ("-m", "caspl.results", folder, *names, "--no-write")


def report_of(folder: str, bundle: str) -> tuple[str, ...]:
    """The words that write the page of a folder into it, and its bundle into a file."""
    return ("-m", "caspl.results.report", folder, "--bundle", bundle)


def check_disk(mistakes: Mistakes, request: Request) -> None:
    """What a dry run can do without: data, a place for the outputs, boosting prompts that were named."""
    others = [name for name in request.datasets if name != "digits"]
    if others and not os.path.isdir(request.root):
        mistakes.add(f"no folder {request.root} (--root); it holds the folders of the datasets {' '.join(others)}")
    if not _is_writable(request.output):
        mistakes.add(f"can't write to {request.output} (--output)")
    boosting = request.boosting
    if boosting and not any(map(os.path.isfile, (boosting, f"{boosting}/{BoostingHeader.file_name}"))):
        mistakes.add(
            f"no boosting prompts at {boosting} (--boosting); expected a {BoostingHeader.file_name} of phase 1, or its folder"
        )
    mistakes.stop()


def _is_writable(folder: str) -> bool:
    """Leaves nothing behind."""
    try:
        check_writable(folder, "--output", folder=True)
    except InputError:
        return False
    return True


def carry_out(asked: Sweep, place: Place, ending: Ending) -> int:
    """Let an engine carry a plan out, and give the exit status."""
    check_disk(asked.mistakes, asked.request)
    engine = import_module(f"..engines.{asked.engine.engine}", __package__)  # which may need what is not installed
    commands = tuple((sys.executable, *words) for words in ending.commands)
    options = replace(asked.engine, output=asked.request.output, ending=commands)
    return engine.run(asked.plan, [sys.executable, *place.program], options, ending.show)
