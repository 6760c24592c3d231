"""Jobs on a real Ray cluster: the same numbers as on one machine, whoever is lost meanwhile."""

import json
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from caspl.sweeps.engines.local import LocalPool
from caspl.sweeps.engines.ray import node
from caspl.sweeps.engines.ray.token import Token
from caspl.sweeps.jobs import Resources
from waiting import alive, wait_for

pytestmark = pytest.mark.slow


@dataclass
class Run:
    """What counting_run.py has noted at its end."""

    name: str
    begun: float
    ended: float
    variables: dict[str, str | None]


def notes(trial, event):
    lines = map(json.loads, (trial.folder / "notes").read_text().splitlines())
    return [facts for kind, *facts in lines if kind == event]


def runs(trial):
    return [Run(*facts) for facts in notes(trial, "end")]


def most_at_once(runs):
    return max(sum(other.begun <= run.begun < other.ended for other in runs) for run in runs)


def numbers(screen):
    """{job: accuracy} of the lines."""
    return {Path(line.split("  ")[-1]).name: re.search(r"[\d.]+%", line)[0] for line in screen.lines}


def trainings_and_tests(trial, count, words=lambda i: ()):
    jobs = []
    for i in range(count):
        jobs.append(trial.job(f"train{i}", "trains=2", *words(i)))
        jobs.append(trial.test(f"test{i}", f"needs={jobs[-1].folder}", needs=f"train{i}"))
    return jobs


def test_workers_are_killed_and_the_numbers_are_those_of_one_machine(real_ray, counting, tmp_path_factory, capfd):
    """40 jobs, 10 of whose workers are killed in the middle: each goes on where it was, and nothing else is begun twice."""
    jobs = trainings_and_tests(counting, 20, lambda i: ["kill=1"] if i % 2 else [])
    status, screen, said = real_ray.sweep(counting, jobs)
    assert status == 0 and len(screen.lines) == 40 and not screen.said
    assert said[0].endswith("3 nodes, 2 GPUs, 4 cores")
    assert sorted(said[1:]) == sorted(
        f"{counting.folder}/train{i}: its worker was killed; it is begun again (1 of 3)" for i in range(1, 20, 2)
    )
    assert sum(line.split("]")[1].split()[0] == "resume" for line in screen.lines) == 10
    starts = notes(counting, "start")
    assert len(starts) == 50 and not any(others_alive for _, others_alive in starts)
    ended = runs(counting)
    # That both nodes work at once is seen below, where two runs wait for each other: runs of 0.1 s may miss each other.
    assert len(ended) == 40 and most_at_once(ended) <= 2
    assert {run.variables["CUDA_VISIBLE_DEVICES"] for run in ended} == {"0"}  # each of the two nodes has one

    counting.folder = tmp_path_factory.mktemp("one machine")
    assert numbers(counting.carry_out(trainings_and_tests(counting, 20), LocalPool(4))[1]) == numbers(screen)
    assert not list(counting.folder.glob(".sweep-*")) and capfd.readouterr() == ("", "")


def test_a_node_is_lost_and_what_it_was_at_goes_on_elsewhere(real_ray, counting):
    jobs = trainings_and_tests(counting, 2, lambda i: ["hang=1"])
    lost = real_ray.nodes.pop()

    def hanging():
        files = [counting.folder / f"train{i}" / "hangs" for i in range(2)]
        return [int(file.read_text()) for file in files if file.exists() and file.read_text().endswith("\n")]

    def lose():
        try:
            wait_for(lambda: len(hanging()) == 2, 40)
            real_ray.cluster.remove_node(lost, allow_graceful=False)
            wait_for(lambda: not all(map(alive, hanging())), 40)  # the run ends with its node
        finally:
            for i in range(2):
                (counting.folder / f"train{i}" / "go on").touch()

    losing = threading.Thread(target=lose)
    losing.start()
    status, screen, said = real_ray.sweep(counting, jobs)
    losing.join()
    real_ray.nodes.append(real_ray.add())
    assert status == 0 and len(screen.lines) == 4
    assert len(said) == 2 and said[1].endswith("; it is begun again (1 of 3)")
    assert sorted(line.split("]")[1].split()[0] for line in screen.lines) == ["resume", "run", "run", "run"]


def test_failures_of_a_run_are_its_own(real_ray, trial):
    jobs = [
        trial.job("wrong", "fail=2", "says=first|error: no such key"),
        trial.test("test", needs="wrong"),
        trial.job("broken", "fail=1", "says=the last words"),
        trial.job("well"),
    ]
    status, screen, said = real_ray.sweep(trial, jobs, jobs_per_gpu=2)
    folder = trial.folder
    assert status == 1 and len(said) == 1
    assert sorted(trial.started()) == ["broken", "well", "wrong"]  # once each
    assert {f"{folder}/wrong failed: exit status 2", f"{folder}/broken failed: exit status 1"} <= set(screen.said)
    place = screen.said.index(f"{folder}/wrong failed: exit status 2")
    assert screen.said[place + 1 : place + 3] == ["    first", "    error: no such key"]
    assert f"{folder}/test failed: it needs {folder}/wrong, which failed" in screen.said
    assert screen.said[-4:] == [
        "3 of 4 runs failed; the same command tries them again, those marked * in vain until what they say is corrected:",
        f"    {folder}/wrong *",
        f"    {folder}/test",
        f"    {folder}/broken",
    ]
    assert (trial.folder / "broken" / "stderr.txt").read_text() == "the last words\n"


def test_retries_come_to_an_end(real_ray, counting):
    jobs = [counting.job("train", "trains=2", "kill=always")]
    status, screen, said = real_ray.sweep(counting, jobs, retries=1)
    assert status == 1 and len(notes(counting, "start")) == 2
    assert said[1:] == [f"{counting.folder}/train: its worker was killed; it is begun again (1 of 1)"]
    assert screen.said[0] == f"{counting.folder}/train failed: its worker was killed, 2 times in all"


def test_a_node_that_sees_another_disk_gets_no_run(real_ray, trial, monkeypatch):
    """It is known by a variable here."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(node, "_missing", lambda errand: "/shared" if "BLIND" in os.environ else "")
    blind = real_ray.add(BLIND="1")
    jobs = [trial.job(f"train{i}", "sleep=1") for i in range(8)]
    status, screen, said = real_ray.sweep(trial, jobs)
    real_ray.cluster.remove_node(blind)
    assert status == 0 and not screen.said
    assert len(said) == 2 and " does not see /shared as the sweep does; all machines need it" in said[1]


def test_a_sweep_whose_folder_no_node_sees(real_ray, trial, monkeypatch):
    monkeypatch.setattr(Token, "write", lambda token: None)
    monkeypatch.setattr(node, "LATE", 0.2)
    jobs = [trial.job("train"), trial.job("other"), trial.job("third")]
    status, screen, said = real_ray.sweep(trial, jobs)
    assert status == 1 and not trial.started()
    assert len(said) == 3  # Ray, and a sentence for each node
    assert [f" does not see {trial.folder} as the sweep does" in words for words in screen.said[:3]] == [True] * 3


def test_runs_have_the_variables_of_the_user_and_the_threads_of_their_job(real_ray, counting, monkeypatch):
    for name, value in {"MINE": "a b", "RAY_MINE": "1", "TMPDIR": str(counting.folder), "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    jobs = [counting.job("train", "trains=1"), counting.job("other", "trains=1", resources=Resources(threads=2))]
    assert real_ray.sweep(counting, jobs, jobs=1)[0] == 0
    train, other = sorted(runs(counting), key=lambda run: run.begun)
    assert most_at_once([train, other]) == 1
    assert train.variables | {"TMPDIR": ""} == {
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "1",
        "MINE": "a b",
        "RAY_MINE": None,
        "TMPDIR": "",
    }
    assert train.variables["TMPDIR"] != str(counting.folder)  # which is the machine's
    assert other.variables["OMP_NUM_THREADS"] == "2"
