"""One machine: a slot for each run, shared between sweeps, busy until the end, free once its sweep is gone."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from caspl.ground.errors import InputError
from caspl.ground.locks import lock_folder
from caspl.sweeps.engines import local, worker
from caspl.sweeps.engines.gpus import Gpu
from caspl.sweeps.engines.local import LocalPool
from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.engines.slots import Slots
from caspl.sweeps.engines.task import task_as_line
from caspl.sweeps.jobs import Plan
from waiting import alive, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Slots of its own, and no GPUs but those that are named."""
    monkeypatch.setenv("CASPL_SLOTS", str(tmp_path / "slots"))
    monkeypatch.setenv("PATH", str(tmp_path / "no nvidia-smi"))
    for variable in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)


def gpus(number):
    return [Gpu(str(i), str(i)) for i in range(number)]


class Watched(LocalPool):
    """Notes, whenever it has to wait, how many places are empty, and how many runs are under way."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.empty, self.most = [], 0

    def wait(self, seconds):
        self.empty.append(self.places - len(self._under_way))
        self.most = max(self.most, len(self._under_way))
        return super().wait(seconds)


def together(notes):
    """{device: the most runs that it had at a time}, by what the runs have noted."""
    now, most = {}, {}
    for note in sorted(notes, key=lambda note: note.at):
        now[note.devices] = now.get(note.devices, 0) + (1 if note.event == "start" else -1)
        most[note.devices] = max(most.get(note.devices, 0), now[note.devices])
    return most


def test_eight_gpus_and_forty_jobs(trial):
    """Never two on one; none is empty as long as there is a job that could start."""
    jobs = [trial.job(f"run{i}", f"sleep={i % 3 / 20}") for i in range(40)]
    pool = Watched(None, Slots(gpus(8)))
    status, screen = trial.carry_out(jobs, pool)
    assert status == 0 and len(screen.lines) == 40 and pool.most == 8
    assert together(trial.notes()) == {str(i): 1 for i in range(8)}
    busy_until = len(pool.empty) - 1 - pool.empty[::-1].index(0)
    assert set(pool.empty[: busy_until + 1]) == {0}  # and from there on no job is left to be started
    assert pool.empty[busy_until + 1 :] == sorted(pool.empty[busy_until + 1 :])
    places = {place for event, _, place in screen.events if event == "begun"}
    assert places == {f"GPU {i}" for i in range(8)}


def test_two_on_each(trial):
    jobs = [trial.job(f"run{i}", "sleep=1") for i in range(8)]
    pool = Watched(None, Slots(gpus(2), 2))
    assert trial.carry_out(jobs, pool)[0] == 0
    assert pool.most == 4 and together(trial.notes()) == {"0": 2, "1": 2}


def test_jobs_is_the_most_at_a_time_with_gpus_too(trial):
    pool = Watched(2, Slots(gpus(4)))
    trial.carry_out([trial.job(f"run{i}", "sleep=0.1") for i in range(4)], pool)
    assert pool.most == 2


def test_needs_are_kept(trial):
    jobs = [trial.job(f"{i}", "sleep=0.1") for i in range(3)] + [trial.test(f"test{i}", needs=f"{i}") for i in range(3)]
    trial.carry_out(jobs, LocalPool(4))
    at = {(note.event, note.folder): note.at for note in trial.notes()}
    assert all(at["end", f"{i}"] < at["start", f"test{i}"] for i in range(3))
    assert {note.devices for note in trial.notes()} == {None}


def sweeps_at_once(trial, *plans, pool=lambda: LocalPool(None, Slots(gpus(2)))):
    """What the users of several sweeps see."""
    seen = [None] * len(plans)

    def sweep(i):
        seen[i] = trial.carry_out(plans[i], pool())

    threads = [threading.Thread(target=sweep, args=(i,)) for i in range(len(plans))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return seen


def test_two_sweeps_share_the_machine(trial):
    plans = [[trial.job(f"{name}/{i}", "sleep=0.2") for i in range(6)] for name in ("one", "other")]
    seen = sweeps_at_once(trial, *plans)
    assert [status for status, _ in seen] == [0, 0]
    assert together(trial.notes()) == {"0": 1, "1": 1}
    by_time = sorted(trial.notes("start"), key=lambda note: note.at)
    whose = [note.folder.split("/")[0] for note in by_time]
    assert all(len(set(whose[i : i + 5])) == 2 for i in range(6)), whose  # in turn, while both want slots


def test_two_sweeps_in_the_same_folders(trial):
    jobs = [trial.job("a", "sleep=0.3"), trial.test("b", "sleep=0.1", needs="a"), trial.job("c", "sleep=0.1")]
    seen = sweeps_at_once(trial, jobs, jobs)
    assert [status for status, _ in seen] == [0, 0]
    assert sorted(trial.started()) == ["a", "b", "c"]  # each once
    words = sorted(word for _, screen in seen for word, _ in screen.told)
    assert words == ["run"] * 3 + ["skip"] * 3


def test_waiting_for_another_sweep_takes_no_slot(trial):
    os.makedirs(trial.folder / "theirs")
    lock = lock_folder(trial.folder / "theirs")
    pool = LocalPool(None, Slots(gpus(1)))
    wait = pool.wait

    def wait_until_mine_is_done(seconds):
        if len(trial.notes("end")) == 2 and lock.descriptors:
            lock.release()
        return wait(seconds)

    pool.wait = wait_until_mine_is_done
    _, screen = trial.carry_out([trial.job("theirs"), trial.job("mine"), trial.job("mine too")], pool)
    assert [Path(folder).name for _, folder in screen.told] == ["mine", "mine too", "theirs"]
    assert f"wait for another sweep in {trial.folder / 'theirs'}" in screen.said


SWEEP = """
import sys
from caspl.sweeps.engines import local, task
from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.jobs import Plan
tasks = [task.task_of_line(line) for line in sys.stdin]
sys.exit(local.run(Plan(tuple(one.job for one in tasks)), tasks[0].program, EngineOptions(gpus=("0", "1")), lambda: True))
"""


def start_sweep(trial, jobs):
    """The engine in a process that can be killed."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SWEEP],  # nothing is left that Python cannot flush at its end
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=worker.PACKAGES,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.stdin.write("".join(f"{task_as_line(trial.task(job))}\n" for job in jobs))
    process.stdin.close()
    process.stdin = None
    return process


def test_a_killed_sweep_leaves_neither_slots_nor_runs(trial):
    process = start_sweep(trial, [trial.job(f"run{i}", "hang") for i in range(3)])
    wait_for(lambda: len(trial.notes()) == 2)
    me = Slots(gpus(2))
    assert me.take() is None
    process.kill()
    process.communicate()
    wait_for(me.take)
    wait_for(me.take)
    assert not any(alive(note.process) for note in trial.notes())  # a slot is free once its run has ended


@pytest.mark.parametrize("whom", ["everybody", "the sweep"])
def test_ctrl_c(trial, whom):
    process = start_sweep(trial, [trial.job(f"run{i}", "hang") for i in range(3)])
    wait_for(lambda: len(trial.notes()) == 2)
    (os.killpg if whom == "everybody" else os.kill)(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and not output
    assert errors == "interrupted; the same command skips what is finished and resumes what was under way\n"
    assert not any(alive(note.process) for note in trial.notes()) and len(trial.notes()) == 2


def test_no_reader_ends_a_sweep_and_its_runs(trial):
    process = start_sweep(
        trial, [trial.job("first", "sleep=1"), trial.job("second", "hang"), trial.job("third", "sleep=0.2")]
    )
    process.stdout.close()
    wait_for(lambda: len(trial.notes("start")) == 2)
    process.wait(30)
    assert process.returncode == 1  # the door, which is not here, makes it 0
    wait_for(lambda: not any(alive(note.process) for note in trial.notes()))


def test_threads_are_divided(trial, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)
    slot = Slots(gpus(4)).take()
    job = trial.job("run")
    assert LocalPool(None, Slots(gpus(4)))._environment(job, slot)["OMP_NUM_THREADS"] == "4"
    assert "OMP_NUM_THREADS" not in LocalPool(1, Slots(gpus(4)))._environment(job, slot)
    assert "OMP_NUM_THREADS" not in LocalPool(4)._environment(job, None)  # the plan says it
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "OMP_NUM_THREADS" not in LocalPool(None, Slots(gpus(4)))._environment(job, slot)


def test_what_was_asked_for(trial, monkeypatch):
    said = []
    assert local.pool_for(None, None, 1, said.append).places == 1
    none = local.pool_for(3, (), 1, said.append)
    assert none.places == 3 and none._environment(trial.job("run"), None) == {"CUDA_VISIBLE_DEVICES": ""}
    assert local.pool_for(None, ["0", "GPU-a"], 3, said.append).places == 6
    assert local.pool_for(2, ["0", "5"], 3, said.append).places == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert [gpu.id for gpu in local.pool_for(None, None, 1, said.append).slots.gpus] == ["4", "5"]
    for per_gpu, words in ((2, "--jobs-per-gpu is 2, but there is no GPU"), (10**9, "expected 1 to 100; correct")):
        with pytest.raises(InputError, match=words):
            local.pool_for(None, (), per_gpu, said.append)
    with pytest.raises(InputError, match="--gpus has 2, but"):
        local.pool_for(None, ["2"], 1, said.append)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(local.gpus, "choose", lambda asked: ([], "nvidia-smi failed (no driver)"))
    assert local.pool_for(None, None, 1, said.append).slots is None
    assert len(said) == 1 and said[0].startswith("nvidia-smi failed (no driver): runs are given no GPU of their own")


def test_systems_without_process_groups(monkeypatch):
    monkeypatch.delattr(os, "killpg")
    with pytest.raises(InputError, match="Linux and macOS"):
        local.run(Plan(()), (), EngineOptions(), lambda: True)


@pytest.mark.parametrize("place", ["slots", "not there/slots"])
def test_slots_that_cannot_be_shared_are_told_once(trial, tmp_path, monkeypatch, place):
    (tmp_path / "slots").touch()
    monkeypatch.setenv("CASPL_SLOTS", str(tmp_path / place))
    said = []
    pool = LocalPool(None, Slots(gpus(2)), said.append)
    assert trial.carry_out([trial.job(f"run{i}") for i in range(4)], pool)[0] == 0
    assert together(trial.notes()) == {"0": 1, "1": 1}
    assert len(said) == 1 and said[0].startswith("GPUs aren't shared with other sweeps: ")


def test_a_sweep_that_waits_for_others_says_so_once(trial):
    theirs, said = Slots(gpus(2)), []
    taken = [theirs.take(), theirs.take()]
    pool, job = LocalPool(None, Slots(gpus(2)), said.append), trial.job("run")
    assert not pool.free(job) and not pool.free(job)
    assert said == ["wait for a place on GPU 0,1: other sweeps have all"]
    taken[0].give_back()
    assert pool.free(job) and len(said) == 1
    pool.stop()


def test_a_machine_without_room_for_processes(trial, monkeypatch):
    def refuse(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(local, "Worker", refuse)
    pool = LocalPool(None, Slots(gpus(1)))
    status, screen = trial.carry_out([trial.job("run"), trial.job("next")], pool)
    assert status == 1
    assert (
        screen.said[0] == f"{trial.folder}/run failed: its worker can't be started (Resource temporarily unavailable)"
    )


def test_the_order_of_lines_with_one_place_is_the_plans(trial):
    trial.carry_out([trial.job("b")], LocalPool(1))
    _, screen = trial.carry_out([trial.job("a", "sleep=0.1"), trial.job("b"), trial.job("c")], LocalPool(1))
    assert [word for word, _ in screen.told] == ["run", "skip", "run"]


def test_a_worker_tells_when_its_run_was_started(trial):
    _, screen = trial.carry_out([trial.job("run", "sleep=0.1")], LocalPool(1))
    assert [event for event, _, _ in screen.events] == ["expected", "begun", "ended"]


def test_slots_that_others_have_are_asked_for_again_soon(trial):
    theirs, pool, job = Slots(gpus(1)).take(), LocalPool(None, Slots(gpus(1))), trial.job("run")
    assert not pool.free(job)
    start = time.monotonic()
    assert pool.wait(60.0) == [] and time.monotonic() - start < 10
    theirs.give_back()
    assert pool.free(job)
    pool.stop()
    assert Slots(gpus(1)).take()  # what was kept for a job is given back
