"""A real SLURM carries plans out."""

import subprocess
import sys
import time
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file

from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.engines.slurm import run
from caspl.sweeps.jobs import Kind, Plan

pytestmark = pytest.mark.slow
NO_GPU = "--gres=none"


@pytest.fixture(autouse=True)
def found(slurm, monkeypatch):
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)


def submit(trial, jobs):
    options = EngineOptions(
        "slurm", sbatch=NO_GPU, submit=True, output=str(trial.folder), ending=(("echo", "THE TABLE"),)
    )
    assert run(Plan(tuple(jobs)), trial.program, options, lambda: True) == 0
    (folder,) = (trial.folder / "sweep-slurm").iterdir()
    return folder


def wait(condition, seconds=40):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, subprocess.run(
            ["scontrol", "show", "jobs"], capture_output=True, text=True
        ).stdout
        time.sleep(0.2)


def test_the_same_numbers_as_local(tmp_path):
    """Of a real training."""
    words = [sys.executable, "-m", "caspl", "sweep", "phase1", "--datasets", "digits"]
    slurm = [*words, "--output", str(tmp_path / "slurm"), "--engine", "slurm", "--sbatch", NO_GPU, "--submit"]
    for command in (slurm, [*words, "--output", str(tmp_path / "local")]):
        subprocess.run([*command, "--", "OPTIM.MAX_EPOCH", "1"], check=True, capture_output=True)
    wait(queue_is_empty, 60)
    (slurm, slurm_log), (local, local_log) = (results(tmp_path / engine / "boost") for engine in ("slurm", "local"))
    assert slurm.keys() == local.keys() and all(torch.equal(slurm[key], local[key]) for key in local)
    assert slurm_log == local_log and len(local_log) == 1


def results(folder):
    """What a run has learned, and its accuracies."""
    (file,) = folder.glob("**/boosting.safetensors")
    log = (file.parent / "log.txt").read_text().splitlines()
    return load_file(file), [line for line in log if line.startswith("* accuracy")]


def queue_is_empty():
    return not subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout.strip()


def arrays(folder):
    """Name of each array -> its number."""
    return {name: number for number, name in map(str.split, (folder / "submitted.txt").read_text().splitlines())}


def states(folder):
    """Name of each array -> the states of its tasks, counted."""
    told = {}
    for name, number in arrays(folder).items():
        shown = subprocess.run(["scontrol", "--oneliner", "show", "job", number], capture_output=True, text=True).stdout
        told[name] = Counter(word.removeprefix("JobState=") for word in shown.split() if word.startswith("JobState="))
    return told


def test_arrays_wait_for_each_other_and_a_failure_stops_what_needs_it(trial):
    """All submitted twice, as if by two sweeps that do not know of each other: each job runs once."""
    jobs = []
    for data, words in (("a", ["fail=1"]), ("b", ["sleep=0.5"])):
        jobs += [trial.job(f"boost-{data}", "boosts", *words, kind=Kind.BOOSTING)]
        for seed in "123":
            jobs += [trial.job(f"train-{data}{seed}", needs=f"boost-{data}")]
            jobs += [trial.test(f"test-{data}{seed}", needs=f"train-{data}{seed}")]
    folder = submit(trial, jobs)
    subprocess.run(["sh", str(folder / "submit.sh")], check=True, capture_output=True)
    wait(queue_is_empty)
    order = [name for name in trial.started() if name != "boost-a"]
    assert sorted(order) == sorted(["boost-b", *(f"{kind}-b{seed}" for kind in ("train", "test") for seed in "123")])
    assert order[0] == "boost-b" and all(order.index(f"train-b{seed}") < order.index(f"test-b{seed}") for seed in "123")
    table = sorted(folder.glob("table-*.txt"))[0].read_text()
    assert table.startswith("THE TABLE\n") and "7 of 14 runs failed" in table
    assert f"{trial.folder}/train-a1 failed: it needs {trial.folder}/boost-a, which failed" in table
    told = states(folder)
    assert told["phase1"] == {"FAILED": 1, "COMPLETED": 1} and told["table"] == {"FAILED": 1}
    cancelled = sum((count for name, count in told.items() if name not in ("phase1", "table")), Counter())
    assert set(cancelled) == {"CANCELLED", "COMPLETED"}


def test_what_goes_back_to_the_queue_is_resumed(trial):
    """By scontrol, as after preemption or the loss of a node, and by itself, where its time is over."""
    jobs = []
    for name in ("requeued", "too-long"):
        jobs += [trial.job(name, "hang=once"), trial.test(f"test-{name}", needs=name)]
    folder = submit(trial, jobs)
    number = arrays(folder)["training"]
    assert submit(trial, jobs) == folder and len(arrays(folder)) == 3  # all are in the queue, none is submitted again
    wait(lambda: sorted(trial.started()) == ["requeued", "too-long"])
    subprocess.run(["scontrol", "requeue", f"{number}_0"], check=True)
    subprocess.run(["scancel", "--batch", "--signal=USR1", f"{number}_1"], check=True)
    wait(queue_is_empty)
    assert Counter(trial.started()) == {"requeued": 2, "too-long": 2, "test-requeued": 1, "test-too-long": 1}
    for index, name in enumerate(("requeued", "too-long")):
        log = (folder / "logs" / f"caspl-training-{number}_{index}.txt").read_text()
        assert log.splitlines()[-1] == f"resume  75.0%  {trial.folder}/{name}"
    assert "goes back to the queue" in log
    assert next(folder.glob("table-*.txt")).read_text() == "THE TABLE\n"
    assert set(sum(states(folder).values(), Counter())) == {"COMPLETED"}
