"""Plans of pretended runs, and what the runs have noted. For the tests of every engine."""

import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from caspl.sweeps.engines import course
from caspl.sweeps.engines.task import Task
from caspl.sweeps.jobs import Job, Kind, Plan

PROGRAM = (sys.executable, "-S", "-E", str(Path(__file__).parent / "pretended_run.py"))


LONGEST = 300  # seconds for which an engine may wait for its jobs


@pytest.fixture(autouse=True)
def _no_test_waits_for_ever():
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"it still waits after {LONGEST} seconds"))
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@dataclass
class Note:
    event: str  # start or end
    folder: str
    process: int
    devices: str | None  # CUDA_VISIBLE_DEVICES
    at: float  # seconds, of a clock that all processes share
    directory: str


@dataclass
class Screen:
    """Keeps what is told."""

    pace = 60.0
    lines: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def line(self, text):
        self.lines.append(text)

    def say(self, text):
        self.said += text.split("\n")

    def waits(self, job):
        self.events.append(("waits", job.folder, ""))

    def expect(self, jobs):
        self.events += [("expected", job.folder, "") for job in jobs]

    def tick(self):
        pass

    def close(self):
        pass

    def begun(self, job, begun):
        self.events.append(("begun", job.folder, begun.place))

    def ended(self, job, outcome):
        self.events.append(("ended", job.folder, outcome.word))

    @property
    def told(self):
        """(what happened, folder) of the lines on stdout."""
        return [(line.split("]")[1].split()[0], line.split("  ")[-1]) for line in self.lines]


@dataclass
class Trial:
    """Jobs below a folder, carried out by a program that only pretends."""

    folder: Path
    program: tuple[str, ...] = PROGRAM

    def job(self, name, *words, kind=Kind.TRAINING, needs="", settings="", **other):
        trains = kind is not Kind.TEST
        folder = f"{self.folder}/{name}"
        arguments = (folder, *(["trains=2"] if trains else []), *words)
        needs = f"{self.folder}/{needs}" if needs else ""
        return Job(folder, arguments, kind, needs, 2 if trains else None, settings, **other)

    def test(self, name, *words, needs="", **other):
        return self.job(name, *words, kind=Kind.TEST, needs=needs, **other)

    def task(self, job, needed=None, **environment):
        return Task(job, needed, self.program, environment=environment)

    def course(self, jobs, pool, screen=None):
        return course.Course(Plan(tuple(jobs)), pool, screen or Screen(), self.program)

    def carry_out(self, jobs, pool):
        """What the user sees of a whole sweep, and its exit status."""
        screen = Screen()
        status = course.carry_out(self.course(jobs, pool, screen))
        return status, screen

    def notes(self, event=None):
        path = self.folder / "notes"
        notes = [Note(*json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
        for note in notes:
            note.folder = note.folder.removeprefix(f"{self.folder}/")
        return [note for note in notes if event in (None, note.event)]

    def started(self):
        return [note.folder for note in self.notes("start")]


@pytest.fixture
def trial(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return Trial(tmp_path)
