"""How a plan is carried out, whatever the pool: in which order, what is skipped, what fails with what, what is said."""

import inspect
import os
import signal
from pathlib import Path

import pytest
from dassl.engine import resume

from caspl.ground.locks import lock_folder
from caspl.sweeps.engines import course
from caspl.sweeps.engines.task import Begun, Outcome
from caspl.sweeps.engines.worker import carry_out
from caspl.sweeps.jobs import Kind


class Pool:
    """Carries jobs out here and now, `size` at a time; what happened is told by `wait`, of the job started first."""

    def __init__(self, size=1, closed=False):
        self.size, self.closed, self.under_way, self.stopped, self.most = size, closed, [], 0, 0

    def full(self):
        return len(self.under_way) >= self.size

    def free(self, job):
        return not self.closed

    def start(self, task):
        self.under_way.append((task.job, carry_out(task)))
        self.most = max(self.most, len(self.under_way))

    def wait(self, seconds):
        self.closed = False
        if not self.under_way:
            return []
        job, outcome = self.under_way.pop(0)
        return [(job, Begun(outcome.word)), (job, outcome)] if outcome.word == "run" else [(job, outcome)]

    def stop(self):
        self.stopped += 1


pytestmark = pytest.mark.slow


def base_to_new(trial, **words):
    """As a sweep of two trainers has it."""
    options = {"boost": [], "coop": [], "test": [], "caspl": [], "test2": [], **words}
    return [
        trial.job("coop", *options["coop"]),
        trial.test("test", *options["test"], needs="coop"),
        trial.job("boost", "boosts", *options["boost"], kind=Kind.BOOSTING),
        trial.job("caspl", *options["caspl"], needs="boost"),
        trial.test("test2", *options["test2"], needs="caspl"),
    ]


def test_lines_are_those_that_the_family_knows(trial):
    status, screen = trial.carry_out(base_to_new(trial), pool := Pool())
    names = ["coop", "test", "boost", "caspl", "test2"]
    assert status == 0 and trial.started() == names and pool.stopped
    assert screen.lines == [f"[{i}/5] run     75.0%  {trial.folder}/{name}" for i, name in enumerate(names, 1)]
    assert screen.said == []
    status, screen = trial.carry_out(base_to_new(trial), Pool())
    assert [word for word, _ in screen.told] == ["skip"] * 4 and len(trial.started()) == 5
    assert screen.lines[0] == f"[1/4] skip    75.0%  {trial.folder}/coop"


def test_counts_are_as_wide_as_their_total(trial):
    _, screen = trial.carry_out([trial.job(f"run{i}", "boosts", kind=Kind.BOOSTING) for i in range(10)], Pool())
    assert screen.lines == []  # boosting prompts for nobody
    jobs = [trial.job(f"run{i}") for i in range(9)] + [trial.job("run9", "fail=1")]
    _, screen = trial.carry_out(jobs, Pool(3))
    assert screen.lines[0] == f"[ 1/10] run     75.0%  {trial.folder}/run0"
    assert screen.lines[9] == f"[10/10] failed      -  {trial.folder}/run9"


def test_boosting_prompts_without_a_result(trial):
    jobs = base_to_new(trial)[2:]
    Path(jobs[0].folder).mkdir()
    Path(jobs[0].folder, "boosting.safetensors").touch()
    _, screen = trial.carry_out(jobs, Pool())
    assert screen.lines[0] == f"[1/3] skip        -  {trial.folder}/boost"


def test_failures_take_those_with_them_that_need_them(trial):
    jobs = base_to_new(trial, boost=["fail=1", "says=the last words"], coop=["fail=2", "says=error: no"])
    jobs.append(trial.job("other"))
    status, screen = trial.carry_out(jobs, Pool())
    folder = trial.folder
    assert status == 1
    assert screen.told == [("failed", f"{folder}/{job}") for job in ("coop", "test", "boost", "caspl", "test2")] + [
        ("run", f"{folder}/other")
    ]
    assert screen.said == [
        f"{folder}/coop failed: exit status 2",
        "    error: no",
        f"{folder}/test failed: it needs {folder}/coop, which failed",
        f"{folder}/boost failed: exit status 1",
        "    the last words",
        f"{folder}/caspl failed: it needs {folder}/boost, which failed",
        f"{folder}/test2 failed: it needs {folder}/caspl, which failed",
        "",
        "5 of 6 runs failed; the same command tries them again, those marked * in vain until what they say is corrected:",
        f"    {folder}/coop *",
        *(f"    {folder}/{name}" for name in ("test", "boost", "caspl", "test2")),
    ]
    _, screen = trial.carry_out(base_to_new(trial, boost=["fail=1"]), Pool())
    assert "5 of 6" not in screen.said[-4] and screen.said[-4].endswith("the same command tries them again:")


def test_advice_of_train_is_told_in_the_words_of_a_sweep(trial):
    advice = "error: x belongs to a run with another configuration; restore it, or choose another --output-dir"
    _, screen = trial.carry_out([trial.job("run", "fail=2", f"says={advice}")], Pool())
    assert screen.said[1:3] == [f"    {advice}", f"    {course.INSTEAD}"]
    assert course.OF_TRAIN in inspect.getsource(resume)


def test_a_table_that_cannot_be_shown_is_a_failure(trial):
    screen = trial.carry_out([], Pool())[1]
    assert course.carry_out(trial.course([trial.job("run")], Pool(), screen), lambda: False) == 1
    assert course.carry_out(trial.course([trial.job("run")], Pool(), screen), lambda: True) == 0


def test_no_more_than_there_are_places_for(trial):
    pool = Pool(3)
    trial.carry_out([trial.job(f"run{i}") for i in range(7)], pool)
    assert pool.most == 3


def test_a_place_may_come_later(trial):
    status, screen = trial.carry_out([trial.job("run")], Pool(closed=True))
    assert status == 0 and screen.told[0][0] == "run"


def test_another_sweep_is_waited_for_without_a_place(trial, monkeypatch):
    """Others go first; what it has finished is skipped, what it has not is done here."""
    monkeypatch.setattr(course, "AGAIN", 0.01)
    jobs = [trial.job("first"), trial.job("second", "fail=1"), trial.test("test", needs="first"), trial.job("third")]
    locks = []
    for job in jobs[:2]:
        os.makedirs(job.folder)
        locks.append(lock_folder(job.folder))
    pool = Pool()
    wait, waits = pool.wait, []

    def wait_and_finish(seconds):
        waits.append(seconds)
        if len(waits) == 3:  # the other sweep ends
            locks[0].release()
            carry_out(trial.task(jobs[0]))
            locks[1].release()
        return wait(seconds)

    pool.wait = wait_and_finish
    status, screen = trial.carry_out(jobs, pool)
    assert [word for word, _ in screen.told] == ["run", "skip", "failed", "run"]
    assert [Path(folder).name for _, folder in screen.told] == ["third", "first", "second", "test"]
    assert screen.said[:2] == [f"wait for another sweep in {trial.folder}/{name}" for name in ("first", "second")]
    assert sum("wait for" in words for words in screen.said) == 2  # once each


def test_a_job_that_comes_back_is_asked_for_again(trial, monkeypatch):
    monkeypatch.setattr(course, "AGAIN", 0.01)
    pool = Pool()
    start, turned = pool.start, []

    def start_busy(task):
        if not turned:
            turned.append(task)
            pool.under_way.append((task.job, Outcome("busy")))
        else:
            start(task)

    pool.start = start_busy
    status, screen = trial.carry_out([trial.job("run")], pool)
    assert status == 0 and screen.said == [f"wait for another sweep in {trial.folder}/run"]


def test_whatever_happens_runs_are_ended(trial):
    pool = Pool()

    class Gone(OSError):
        pass

    def gone(text):
        raise Gone

    screen = trial.carry_out([], Pool())[1]
    screen.line = gone
    with pytest.raises(Gone):
        trial.course([trial.job("run")], pool, screen).run()
    assert pool.stopped


@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_signals_end_a_sweep_in_a_sentence(trial, name, status):
    pool = Pool()
    pool.wait = lambda seconds: os.kill(os.getpid(), getattr(signal, name))
    ignored = []
    pool.stop = lambda: ignored.append(signal.getsignal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    got, screen = trial.carry_out([trial.job("run"), trial.job("next")], pool)
    assert got == status and not screen.lines
    assert screen.said == ["interrupted; the same command skips what is finished and resumes what was under way"]
    assert ignored == [signal.SIG_IGN] and signal.getsignal(signal.SIGINT) is before
    assert trial.started() == ["run"]
