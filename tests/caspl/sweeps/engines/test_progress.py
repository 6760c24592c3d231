"""What the user of a sweep sees: lines to the letter, and on a terminal a table that leaves them alone."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from types import SimpleNamespace

import pytest

from caspl.ground import texts
from caspl.sweeps import plan
from caspl.sweeps.engines import progress, worker
from caspl.sweeps.engines.progress import Estimate, Lines, Table
from caspl.sweeps.engines.task import Begun, Outcome, task_as_line
from caspl.sweeps.jobs import Job, Kind
from caspl.sweeps.requests import Mistakes, Request
from waiting import wait_for


def job(folder, trainer="CoOp", dataset="dtd", kind=Kind.TRAINING, needs=""):
    words = ("--trainer", trainer, "--dataset-config-file", f"configs/datasets/{dataset}.yaml")
    return Job(folder, words, kind, needs, None if kind is Kind.TEST else 50)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal:
    """What a terminal of so many columns shows, of what is written to it: only what the table uses is understood."""

    def __init__(self, columns):
        self.columns, self.rows, self.row, self.column = columns, [""], 0, 0

    def write(self, text):
        for piece in re.findall(r"\x1b\[\d*[A-Za-z]|\r\n?|\n|[^\x1b\r\n]", text):
            if piece == "\r":
                self.column = 0
            elif piece in ("\n", "\r\n"):
                self._down()
            elif piece == "\x1b[J":
                self.rows[self.row :] = [self.rows[self.row][: self.column]]
            elif piece[0] == "\x1b" and piece.endswith("A"):
                self.row -= int(piece[2:-1])
                assert self.row >= 0
            else:
                assert len(piece) == 1, piece
                if self.column == self.columns:
                    self._down()
                row = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = row[: self.column] + piece + row[self.column + 1 :]
                self.column += 1

    def _down(self):
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.rows):
            self.rows.append("")

    def flush(self):
        pass


@pytest.fixture
def terminal(monkeypatch):
    shown = Terminal(60)
    for module in (progress, texts):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=shown, stderr=shown))
    monkeypatch.setattr(progress, "_size", lambda: (shown.columns, 24))
    return shown


def test_the_table_stands_below_the_lines(terminal):
    clock = Clock()
    table = Table(clock)
    jobs = [
        job("out/a"),
        job("out/b"),
        job("out/c"),
        job("out/t", kind=Kind.TEST, needs="out/a"),
        job("out/d", "MaPLe"),
    ]
    table.expect(jobs)
    table.begun(jobs[0], Begun("run", "GPU 0"))
    table.begun(jobs[1], Begun("resume", "GPU 10"))
    clock.now = 61.0
    table.tick()
    assert terminal.rows == [
        "run     GPU 0    0:01:01              out/a",
        "resume  GPU 10   0:01:01              out/b",
        "0:01:01  2 running, 3 waiting",
        "not known yet of 5: trainings of CoOp on dtd, tests of CoO…",
    ]
    table.ended(jobs[0], Outcome("run", "82.3%"))
    table.line("[1/5] run     82.3%  out/a")
    table.say("out/b failed: exit status 1\n    the last words")
    table.ended(jobs[1], Outcome("failed"))
    table.line("[2/5] failed      -  out/b")
    table.begun(jobs[2], Begun("run", "GPU 0"))
    lines = [
        "[1/5] run     82.3%  out/a",
        "out/b failed: exit status 1",
        "    the last words",
        "[2/5] failed      -  out/b",
    ]
    assert terminal.rows[:4] == lines
    assert terminal.rows[4] == "run     GPU 0   0:00:00 of 0:01:01   out/c"
    assert terminal.rows[5] == "0:01:01  1 running, 2 waiting, 1 done, 1 failed"
    assert terminal.rows[6] == "about 0:01:01 left for 1 of 3 jobs; not known yet of 2: te…"
    table.close()
    table.line("THE TABLE")
    assert terminal.rows == [*lines, "THE TABLE", ""]


def test_time_left_is_said_and_what_is_not_known(terminal):
    clock = Clock()
    terminal.columns = 300
    table = Table(clock)
    jobs = [job(f"{i}") for i in range(4)] + [job("t", kind=Kind.TEST), *(job(f"m{i}", f"M{i}") for i in range(3))]
    table.expect(jobs)
    table.begun(jobs[0], Begun("run"))
    clock.now = 100.0
    table.ended(jobs[0], Outcome("run"))
    table.begun(jobs[1], Begun("run"))
    clock.now = 130.0
    table.tick()
    assert terminal.rows[-2:] == [
        "0:02:10  1 running, 6 waiting, 1 done",
        "about 0:04:30 left for 3 of 7 jobs; not known yet of 4: tests of CoOp on dtd, trainings of M0 on dtd, others",
    ]


def test_a_narrow_window_shows_which_run_it_is():
    table, jobs = Table(Clock()), [job(f"output/dtd/CoOp/seed{i}") for i in range(2)]
    table.expect(jobs)
    for one in jobs:
        table.begun(one, Begun("resume", "GPU 0"))
    assert table.rows(9, 19)[:2] == ["resume  …CoOp/seed0", "resume  …CoOp/seed1"]


def test_the_words_of_a_job_are_read_once(terminal, monkeypatch):
    """A table of a thousand jobs is drawn at each line, also where hundreds of them are skipped at once."""
    read, likeness = [], progress.likeness
    monkeypatch.setattr(progress, "likeness", lambda job: read.append(job.folder) or likeness(job))
    table, jobs = Table(Clock()), [job(f"{i}") for i in range(50)]
    table.expect(jobs)
    for one in jobs:
        table.begun(one, Begun("run"))
        table.ended(one, Outcome("run", "82.3%"))
        table.line(one.folder)
    assert sorted(read) == sorted(one.folder for one in jobs)


def test_unions_are_told_apart():
    request = Request("phase1", datasets=("oxford_pets+dtd", "dtd+digits"), trainers=("CasPLBoost",), seeds=("1",))
    planner = plan.Planner(request, Mistakes(print))
    plan.each(planner, plan.PLANS["phase1"](planner))
    named = [str(progress.likeness(job)) for job in planner.plan()]
    assert len(set(named)) == 2 and "DescribableTextures" in named[0]


def test_how_long_the_rest_takes():
    estimate = Estimate()
    a, b = job("a"), job("b", "MaPLe")
    assert estimate.left({}, [a, b], 1) == (0.0, {progress.likeness(a): 1, progress.likeness(b): 1})
    for seconds in (90, 110):
        estimate.learn(a, seconds)
    estimate.learn(b, 10)
    assert estimate.left({}, [a, b], 1)[0] == 110
    assert estimate.left({}, [a, b], 2)[0] == 100
    assert estimate.left({"a": 70}, [a, b], 1)[0] == 40
    assert estimate.left({"a": 170}, [a, b], 1)[0] == 10  # it takes longer than others did
    after = [job(f"a{i}", needs=f"a{i - 1}" if i else "") for i in range(3)]
    assert estimate.left({}, after, 8)[0] == 300  # each behind the one that it needs
    other = job("o", dataset="digits")
    assert estimate.seconds(other) is None and estimate.seconds(job("t", kind=Kind.TEST)) is None


def test_resumed_and_skipped_runs_teach_nothing(terminal):
    clock = Clock()
    table = Table(clock)
    jobs = [job(f"{i}") for i in range(4)]
    table.expect(jobs)
    for each, outcome in zip(jobs, ("resume", "failed"), strict=False):
        table.begun(each, Begun("run"))
        clock.now += 5
        table.ended(each, Outcome(outcome))
    table.ended(jobs[2], Outcome("skip"))
    table.tick()
    assert terminal.rows[-2:] == [
        "0:00:10  0 running, 1 waiting, 1 done, 1 skipped, 1 failed",
        "not known yet of 1: trainings of CoOp on dtd",
    ]


def test_narrow_windows_cut_and_wrap(terminal):
    table = Table(Clock())
    jobs = [job("ö" * 100), job("字" * 100), job("evil\x1b[2J\n")]
    table.expect(jobs)
    for each in jobs:
        table.begun(each, Begun("run", "GPU 0"))
    table.line("first")
    assert len(terminal.rows) == 6 and all(progress._cells(row) < 60 for row in terminal.rows)
    assert r"evil\x1b[2J\n" in terminal.rows[3]
    for columns in (20, 7, 3, 1, 60):
        before = terminal.columns
        terminal.columns = columns
        if columns < before:  # a terminal wraps what it shows
            terminal.rows = [row[i : i + columns] for row in terminal.rows for i in range(0, max(1, len(row)), columns)]
            terminal.row = len(terminal.rows) - 1
            terminal.column = len(terminal.rows[-1])
        if "字" not in "".join(terminal.rows):
            table.tick()
            assert "".join(terminal.rows).startswith("first")
    assert progress._end_of("out/字/seed1", 8) == "…/seed1" and progress._end_of("a/b", 1) == "a/b"
    assert progress._cut("字字字", 4) == "字…" and progress._cut("abc", 0) == "" and progress._cut("abc", 3) == "abc"


def test_more_runs_than_fit(terminal, monkeypatch):
    monkeypatch.setattr(progress, "_size", lambda: (60, 7))
    table = Table(Clock())
    jobs = [job(f"{i}") for i in range(9)]
    table.expect(jobs)
    for each in jobs:
        table.begun(each, Begun("run"))
    assert len(terminal.rows) == 5 and terminal.rows[2] == "... and 7 more"


def test_no_terminal_no_table(monkeypatch, capfd):
    assert type(progress.screen()) is Lines
    lines = progress.screen()
    lines.expect([job("a")])
    lines.begun(job("a"), Begun("run"))
    lines.tick()
    lines.line("[1/1] run     75.0%  \x1b[2J")
    lines.say("words")
    lines.close()
    assert capfd.readouterr() == ("[1/1] run     75.0%  \\x1b[2J\n", "words\n")


SWEEP = """
import sys
from caspl.sweeps.engines import local, task
from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.jobs import Plan
tasks = [task.task_of_line(line) for line in sys.argv[1:]]
sys.exit(local.run(Plan(tuple(one.job for one in tasks)), tasks[0].program, EngineOptions(gpus=("3",)), lambda: True))
"""


@pytest.mark.slow
def test_a_real_terminal(trial, monkeypatch):
    """Lines stay as they are; the table is gone at the end, also by Ctrl-C."""
    monkeypatch.setenv("CASPL_SLOTS", str(trial.folder / "slots"))
    monkeypatch.setenv("TERM", "xterm")
    main, other = pty.openpty()
    termios.tcsetwinsize(main, (24, 60)) if hasattr(termios, "tcsetwinsize") else None
    jobs = [trial.job("a", "sleep=0.1"), trial.job("b", "hang")]
    lines = [task_as_line(trial.task(each)) for each in jobs]
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, *lines], stdin=other, stdout=other, stderr=other, cwd=worker.PACKAGES,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(other)
    wait_for(lambda: len(trial.notes("start")) == 2)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.wait(20)
    written = b""
    while True:
        try:
            written += os.read(main, 65536)
        except OSError:  # nobody has it open any more
            break
    os.close(main)
    shown = Terminal(60)
    shown.write(written.decode())
    text = "\n".join(shown.rows)
    assert re.sub(r"\n(?!\[|inter|$)", "", text).splitlines() == [
        f"[1/2] run     75.0%  {trial.folder}/a",
        "interrupted; the same command skips what is finished and resumes what was under way",
    ]
    assert "run     GPU 3   0:00:00" in written.decode() and process.returncode == 130
