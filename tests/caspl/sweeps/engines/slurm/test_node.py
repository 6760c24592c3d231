"""A task of an array as SLURM treats it: its signals, its exit status, its cores."""

import os
import signal
import subprocess
import sys

import pytest

from caspl.sweeps.engines.slurm import order
from caspl.sweeps.engines.slurm.arrays import arrays
from caspl.sweeps.engines.slurm.end import failures
from caspl.sweeps.engines.slurm.node import TOO_SHORT
from waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def start(trial, tmp_path_factory, monkeypatch):
    """Starts the first task of an array of jobs; scontrol notes what it is asked for, and may end the task as SLURM does."""
    tools = tmp_path_factory.mktemp("tools")
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >{tools}/asked\n[ -f {tools}/allowed ] && kill $PPID\n')
    (tools / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")

    def begin(*jobs, pack=1, array=0):
        wanted = arrays(jobs, pack=pack)
        order.write(trial.folder, order.order(jobs, wanted, trial.program, ()))
        words = [sys.executable, "-m", "caspl.sweeps.engines.slurm", str(trial.folder), wanted[array].name, "0"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    begin.tools = tools
    return begin


def reasons(trial):
    return [outcome.reason for outcome in failures(trial.folder, order.read(trial.folder)).values()]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_training_whose_time_is_over_goes_back_to_the_queue(trial, start, allowed):
    if allowed:
        (start.tools / "allowed").touch()
    task = start(trial.job("train", "hang"))
    wait_for((trial.folder / "train" / "resume.pth.tar").exists)
    task.send_signal(signal.SIGUSR1)
    told, said = task.communicate(timeout=20)
    assert (start.tools / "asked").read_text() == "requeue 12_0\n"
    assert told == "time is over; 12_0 goes back to the queue and goes on from the last epoch\n"
    assert task.returncode == (-signal.SIGTERM if allowed else 128 + signal.SIGUSR1)
    assert allowed or "the command of the sweep goes on later" in said
    assert "SLURM has ended or cancelled it" in reasons(trial)[0]  # should it never come back


def test_what_comes_no_further_does_not_go_back(trial, start):
    """It would for ever."""
    task = start(trial.test("test", "hang"))
    wait_for(lambda: trial.started())
    task.send_signal(signal.SIGUSR1)
    told, said = task.communicate(timeout=20)
    assert task.returncode == 1 and not (start.tools / "asked").exists()
    assert said == f"{trial.folder}/test failed: {TOO_SHORT}\n" and reasons(trial) == [TOO_SHORT]


def test_sigterm_ends_the_run(trial, start):
    task = start(trial.job("train", "hang"))
    wait_for(lambda: trial.started())
    task.send_signal(signal.SIGTERM)
    assert task.communicate(timeout=20) == ("", "") and task.returncode == 143
    assert not (trial.folder / "outcomes" / "0.json").exists()


def test_what_is_needed_has_to_be_there(trial, start):
    """Whatever SLURM believes: of jobs that it has forgotten it takes for granted that they ended well."""
    task = start(trial.job("train"), trial.test("test", needs="train"), array=1)
    assert (
        task.communicate(timeout=20)[1] == f"{trial.folder}/test failed: it needs {trial.folder}/train, which failed\n"
    )
    assert task.returncode == 1 and not trial.started()


def test_cores_are_divided(trial, start, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    code = "import os, sys, pathlib; pathlib.Path(sys.argv[1], 'cores').write_text(os.environ['OMP_NUM_THREADS'])"
    trial.program = (sys.executable, "-S", "-E", "-c", code)
    assert start(*(trial.job(name) for name in "abc"), pack=3).wait(20) == 1  # they leave no result
    assert [(trial.folder / name / "cores").read_text() for name in "abc"] == ["2", "2", "2"]
