"""One job where it runs: what becomes of it, and that it ends with whoever wanted it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from caspl.ground.locks import lock_folder
from caspl.sweeps.engines import worker
from caspl.sweeps.engines.task import Begun, Outcome, event_as_line, event_of_line, task_as_line, task_of_line
from caspl.sweeps.engines.worker import Worker, carry_out
from caspl.sweeps.jobs import Kind, Resources
from waiting import alive, wait_for

pytestmark = pytest.mark.slow


def test_tasks_and_events_are_lines(trial):
    job = trial.job("a\nb", "KEY", "'ü\udc80", settings="x", resources=Resources(0.5, 3))
    for task in (trial.task(job, trial.test("c"), OMP_NUM_THREADS="2"), trial.task(job)):
        assert task_of_line(task_as_line(task)) == task and "\n" not in task_as_line(task)
    for event in (Begun("run"), Outcome("failed", reason="x", last_words=("a", "b"), refused=True)):
        assert event_of_line(event_as_line(event)) == event


def test_run_then_skip(trial):
    job, begun = trial.job("run", settings="--seed 1"), []
    assert carry_out(trial.task(job), begun.append) == Outcome("run", "75.0%")
    assert begun == [Begun("run")]
    folder = trial.folder / "run"
    assert (folder / "settings.txt").read_text() == "--seed 1\n" and not (folder / "stderr.txt").exists()
    assert carry_out(trial.task(job), begun.append) == Outcome("skip", "75.0%")
    assert len(begun) == 1 and trial.started() == ["run"]


def test_what_was_begun_is_resumed_and_what_it_says_is_kept(trial):
    (trial.folder / "run").mkdir()
    (trial.folder / "run" / "resume.pth.tar").touch()
    assert carry_out(trial.task(trial.job("run", "says=a warning"))).word == "resume"
    assert (trial.folder / "run" / "stderr.txt").read_text() == "a warning\n"


@pytest.mark.parametrize(
    "words, reason, last, refused",
    [
        (["fail=1", "says=1|2|3|4|5|6|7"], "exit status 1", ("2", "3", "4", "5", "6", "7"), False),
        (["fail=1"], "exit status 1", ("some work",), False),
        (["fail=2", "says=error: no such trainer"], "exit status 2", ("error: no such trainer",), True),
        (["fail=1", "says=error: training has diverged in epoch 2"], "exit status 1", None, True),
        (["fail=3", "says=error: training has diverged in epoch 2"], "exit status 3", None, False),
        (["silent"], "no result in its log", ("some work",), False),
    ],
)
def test_failures(trial, words, reason, last, refused):
    outcome = carry_out(trial.task(trial.job("run", *words)))
    assert (outcome.word, outcome.reason, outcome.refused) == ("failed", reason, refused)
    assert last is None or outcome.last_words == last
    assert not (trial.folder / "run" / "settings.txt").exists()


def test_places_that_cannot_be_written(trial):
    (trial.folder / "file").touch()
    assert carry_out(trial.task(trial.job("file/run"))).reason == "its folder can't be made"
    (trial.folder / "run" / "stderr.txt").mkdir(parents=True)
    outcome = carry_out(trial.task(trial.job("run")))
    assert outcome.reason == f"{trial.folder}/run/stderr.txt can't be written or read (Is a directory)"
    (trial.folder / "piped").mkdir()
    os.mkfifo(trial.folder / "piped" / "stderr.txt")  # which nobody reads
    outcome = carry_out(trial.task(trial.job("piped")))
    assert outcome.reason.endswith("piped/stderr.txt can't be written or read (it is a named pipe, expected a file)")


def test_a_program_that_is_missing(trial):
    trial.program = ("/nowhere/python",)
    assert carry_out(trial.task(trial.job("run"))).reason.startswith("/nowhere/python can't be")


def test_where_another_sweep_is_at_work_a_job_is_given_back(trial):
    (trial.folder / "run").mkdir()
    lock = lock_folder(trial.folder / "run")
    assert carry_out(trial.task(trial.job("run"))) == Outcome("busy")
    assert carry_out(trial.task(trial.job("run")), wait=lock.release).word == "run"


def test_who_only_asks_keeps_nobody_out(trial, monkeypatch):
    (trial.folder / "run").mkdir()
    asking = [lock_folder(trial.folder / "run", shared=True) for _ in range(2)]
    assert all(asking)
    monkeypatch.setattr(worker, "started", lambda job: False)
    sleep = worker.Stop()
    sleep.wanted.wait = lambda seconds: [lock.release() for lock in asking] and False
    assert carry_out(trial.task(trial.job("run")), stop=sleep).word == "run"


def test_a_worker_is_a_process_of_its_own(trial, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = trial.task(trial.job("run", "says=words"), CUDA_VISIBLE_DEVICES="7")
    begun = []
    assert Worker(task).outcome(begun.append) == Outcome("run", "75.0%") and begun == [Begun("run")]
    note = trial.notes()[0]
    assert note.devices == "7" and note.directory == str(tmp_path)


def test_a_run_is_no_part_of_the_job_that_the_sweep_is_started_in(trial, monkeypatch):
    """torchrun's variables are not for it: else it would wait for other processes."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    look = "import os, sys; open(sys.argv[1] + '/seen', 'w').write(os.environ.get('WORLD_SIZE', 'none'))"
    trial.program = (sys.executable, "-S", "-c", look)
    carry_out(trial.task(trial.job("run")))
    assert (trial.folder / "run" / "seen").read_text() == "none"


def test_a_worker_that_dies_is_told(trial):
    it = Worker(trial.task(trial.job("run", "hang")))
    wait_for(trial.notes)
    it.process.kill()
    outcome = it.outcome()
    assert outcome.reason == "its worker ended without a word (exit status 137)"
    if sys.platform == "linux":
        wait_for(lambda: not alive(trial.notes()[0].process))


def test_a_worker_that_is_ended_by_hand_ends_its_run(trial):
    it = Worker(trial.task(trial.job("run", "hang")))
    wait_for(trial.notes)
    it.process.terminate()
    assert it.outcome().reason == "its worker ended without a word (exit status 143)"
    assert not alive(trial.notes()[0].process)


@pytest.mark.parametrize("words", [["hang"], ["hang", "child"]])
def test_who_lets_go_of_a_worker_ends_its_run(trial, words):
    it = Worker(trial.task(trial.job("run", *words)))
    wait_for(lambda: trial.notes("child" if "child" in words else "start"))
    start = time.monotonic()
    it.let_go()
    it.close()
    assert time.monotonic() - start < 5 and not alive(trial.notes()[0].process)
    assert lock_folder(trial.folder / "run")  # nobody of it is left who has it


def test_a_run_that_does_not_end_is_ended_by_force(trial, monkeypatch):
    monkeypatch.setattr(worker, "PATIENCE", 0.3)
    stop, outcome = worker.Stop(), []
    thread = threading.Thread(
        target=lambda: outcome.append(carry_out(trial.task(trial.job("run", "hang", "ignores", "child")), stop=stop))
    )
    thread.start()
    wait_for(lambda: (trial.folder / "run" / "resume.pth.tar").exists())
    stop.now()
    thread.join(10)
    assert outcome[0].reason == f"exit status {128 + signal.SIGKILL}"


def test_a_run_ends_with_the_sweep_that_was_killed(trial):
    """SIGKILL, which nobody can answer: the worker sees that its stdin ends."""
    text = task_as_line(trial.task(trial.job("run", "hang")))
    code = f"from caspl.sweeps.engines import task, worker; worker.Worker(task.task_of_line({text!r})).outcome()"
    sweep = subprocess.Popen([sys.executable, "-c", code], cwd=worker.PACKAGES)
    wait_for(trial.notes)
    sweep.kill()
    sweep.wait()
    wait_for(lambda: not alive(trial.notes()[0].process))
    wait_for(lambda: lock_folder(trial.folder / "run"))


def test_kinds_go_through_a_process(trial):
    job = trial.job("run", "boosts", kind=Kind.BOOSTING)
    assert Worker(trial.task(job)).outcome().word == "run"
    assert Worker(trial.task(job)).outcome() == Outcome("skip", "75.0%")
