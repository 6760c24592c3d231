"""What jobs ask Ray for, by what its nodes have; how Ray is found. With a Ray that only pretends."""

import os
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from caspl.ground.errors import InputError
from caspl.sweeps.engines import ray as engine
from caspl.sweeps.engines.options import EngineOptions
from caspl.sweeps.engines.ray import cluster, pool
from caspl.sweeps.engines.ray.cluster import Cluster, Demand
from caspl.sweeps.engines.ray.token import Token
from caspl.sweeps.engines.task import Task
from caspl.sweeps.jobs import Job, Kind, Plan, Resources


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def job(gpus=1.0, threads=None):
    return Job("out/run", (), Kind.TRAINING, resources=Resources(gpus, threads))


def of(*nodes, folder=""):
    """A cluster of nodes that have so many (GPUs, cores); -1 GPUs: it is dead."""
    described = [
        {
            "NodeID": f"n{i}",
            "Alive": gpus >= 0,
            "Resources": {"GPU": float(gpus)} | ({"CPU": float(cores)} if cores else {}),
        }
        for i, (gpus, cores) in enumerate(nodes)
    ]
    return Cluster(SimpleNamespace(nodes=lambda: described), folder)


def asked(cluster, job, jobs_per_gpu=1):
    demand = cluster.demand(job, jobs_per_gpu)
    return demand, cluster.places(demand)


def test_a_job_gets_a_gpu_and_its_share_of_the_cores():
    assert asked(of((0, 8), (2, 16), (1, 4), (-1, 8)), job()) == (Demand(1.0, 4.0, 4), 3)
    assert asked(of((2, 16)), job(threads=2)) == (Demand(1.0, 2.0, 2), 2)


def test_jobs_share_a_gpu():
    assert asked(of((1, 8)), job(), 3) == (Demand(0.3333, 2.0, 2), 3)
    assert asked(of((1, 1)), job(threads=4), 4) == (Demand(0.25, 0.25, 4), 4)  # cores are not what is scarce


def test_without_gpus_cores_are_counted():
    assert asked(of((0, 16), (0, 4), (0, 0)), job(threads=4)) == (Demand(0.0, 4.0, 4), 5)
    assert asked(of((0, 2), (0, 4)), job(threads=64)) == (Demand(0.0, 4.0, 64), 1)
    assert asked(of((0, 16), (0, 8)), job()) == (Demand(0.0, 8.0, None), 3)


def test_the_users_threads_count(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert asked(of((0, 16)), job()) == (Demand(0.0, 2.0, 2), 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert asked(of((0, 16)), job()) == (Demand(0.0, 16.0, None), 1)


def test_once_there_were_gpus_no_job_is_run_without():
    some = of((1, 4), (0, 4))
    assert asked(some, job()) == (Demand(1.0, 4.0, 4), 1)
    some.avoid("n0", "it is blind")
    assert asked(some, job())[1] == 0 and some.all_avoided()
    assert some.selector() == {"ray.io/node-id": "!in(n0)"}


def test_on_this_machine_alone_places_are_counted(monkeypatch):
    monkeypatch.setattr(cluster.os, "sched_getaffinity", lambda process: range(8), raising=False)
    assert asked(of((2, 4), folder="/tmp/x"), job(), 2) == (Demand(0.5, 1.0, 2), 4)
    assert asked(of((1, 1), folder="/tmp/x"), job()) == (Demand(1.0, 1.0, None), 1)
    assert asked(of((0, 3), folder="/tmp/x"), job(threads=2)) == (Demand(0.0, 1.0, 2), 3)


def test_places_have_names():
    two = of((1, 4), (1, 4))
    two.demand(job(), 1)
    assert two.place("node3", "1") == "node3, GPU 1"
    assert of((0, 4), (0, 4)).place("node3", "") == "node3"
    assert of((0, 4)).place("node3", "0") == ""


def test_a_head_that_is_away_is_not_asked_for_its_nodes(monkeypatch):
    """Ray would wait for a minute, and end the process then."""
    lost = of((1, 4))
    lost.address = "10.0.0.1:6379"
    monkeypatch.setattr(cluster.addresses, "away", lambda address: "Connection refused")
    monkeypatch.setattr(lost.ray, "nodes", lambda: pytest.fail("asked"))
    assert lost.nodes() == []


class Silent:
    """A cluster that takes jobs and never tells of any."""

    address, problem, avoided, blind = "10.0.0.1:6379", "", {}, False
    ray = SimpleNamespace(wait=lambda lines, **_: ([], lines), cancel=lambda lines: None)

    def away(self):
        return self.problem

    def demand(self, job, jobs_per_gpu):
        return Demand(0.0, 1.0)

    def all_avoided(self):
        return self.blind

    def selector(self):
        return {}


@pytest.fixture
def silent(monkeypatch):
    monkeypatch.setattr(pool, "POLL", 0.01)
    monkeypatch.setattr(pool, "LOOK", 0.0)
    said = []
    given = pool.RayPool(Silent, Token(Plan((job(),))), said.append)
    given.cluster = Silent()
    given._function = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda errand: object()))
    return given, said


def test_that_nothing_is_heard_of_any_run_is_said_once(silent, monkeypatch):
    given, said = silent
    monkeypatch.setattr(pool, "SILENCE", -1.0)
    for folder in ("a", "b"):
        given.start(Task(replace(job(), folder=folder), None, ("python",)))
        assert given.wait(0.05) == []
    assert len(said) == 1 and "nothing is heard of any" in said[0] and "RAY_AUTH_MODE" in said[0]


def test_jobs_for_which_no_node_is_left_do_not_wait_for_ever(silent):
    """Two nodes that see another disk are avoided, and the third, to which Ray would give the jobs, goes."""
    given, _ = silent
    tasks = [Task(replace(job(), folder=folder), None, ("python",)) for folder in ("a", "b", "c")]
    for task in tasks:
        given.start(task)
    given._under_way["c"].heard = True
    assert given.wait(0.05) == []
    given.cluster.avoided, given.cluster.blind = {"n1": "node1 does not see", "n2": "node2 does not see"}, True
    told = given.wait(5)
    assert [(job.folder, event.reason) for job, event in told] == [(name, "node1 does not see") for name in "ab"]
    assert list(given._under_way) == ["c"]  # which runs


def test_a_head_that_goes_is_told_each_time(silent):
    given, said = silent
    for problem in ("", "Connection refused", "Connection refused", "", "timed out"):
        given.cluster.problem = problem
        given._watch()
    assert [line.partition("(")[2].partition(")")[0] for line in said] == ["Connection refused", "timed out"]
    assert said[0].startswith("the Ray cluster at 10.0.0.1:6379 does not answer any more")


def test_ray_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"needs Ray, which can't be imported .*; pip install 'caspl\[sweep\]'$"):
        cluster.library(alone=True)


def test_ray_is_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__version__="2.40.1"))
    with pytest.raises(InputError, match=r"found Ray 2\.40\.1, expected 2\.49 or newer; pip install 'caspl\[sweep\]'$"):
        cluster.library(alone=True)


def test_gpus_of_this_machine_are_none_of_a_cluster(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__version__="2.60.0"))
    options = EngineOptions("ray", address="10.0.0.1:6379", gpus=("0",))
    with pytest.raises(InputError, match="--gpus is for the GPUs of this machine, and --address is a cluster"):
        engine.pool_for(Plan(()), options, print)


@pytest.mark.parametrize(
    "per_gpu, address, words",
    [
        (2, "", "--jobs-per-gpu is 2, but there is no GPU"),
        (101, "", "expected 1 to 100; correct"),
        (101, "10.0.0.1:6379", "expected 1 to 100; correct"),
    ],
)
def test_runs_of_a_gpu_that_is_not_there_are_refused_as_by_the_local_engine(monkeypatch, per_gpu, address, words):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(__version__="2.60.0"))
    options = EngineOptions("ray", address=address, gpus=None if address else (), jobs_per_gpu=per_gpu)
    with pytest.raises(InputError, match=words):
        engine.pool_for(Plan(()), options, print)


@pytest.mark.parametrize("gpus, told", [(0, True), (1, False)])
def test_a_cluster_without_gpus_says_that_none_are_shared(gpus, told):
    ray, said = of((gpus, 4)).ray, []
    ray.init = lambda **_: None
    cluster.connect(ray, "10.0.0.1:6379", said.append, 2)
    assert said[0].startswith(f"Ray at 10.0.0.1:6379: 1 node, {gpus} GPUs, 4 cores")
    assert ("--jobs-per-gpu counts when it has GPUs" in said[0]) == told


@pytest.mark.parametrize(
    "error, why",
    [
        (RuntimeError("Version mismatch: Ray 2.58\n and more"), "Version mismatch: Ray 2.58"),
        (RuntimeError("Failed\n Authentication token is missing"), "it asks for another authentication token"),
        (SystemExit(15), "no answer"),
    ],
)
def test_a_cluster_that_cannot_be_joined(error, why):
    def init(**options):
        os.write(2, b"what Ray's own code says")
        raise error

    left = []
    ray = SimpleNamespace(init=init, shutdown=lambda: left.append(True))
    with pytest.raises(InputError) as told:
        cluster.connect(ray, "10.0.0.1:6379", print)
    assert (
        f"at 10.0.0.1:6379 (--address) can't be joined ({why}); all machines need the same Python" in str(told.value)
        and left
    )


def test_ray_is_not_heard(capfd):
    before = signal.getsignal(signal.SIGTERM)

    def init(**options):
        os.write(1, b"on stdout")
        os.write(2, b"on stderr")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    node = {"NodeID": "n0", "Alive": True, "Resources": {"CPU": 4.0}}
    said = []
    cluster.connect(SimpleNamespace(init=init, nodes=lambda: [node]), "10.0.0.1:6379", said.append)
    assert capfd.readouterr() == ("", "") and said == ["Ray at 10.0.0.1:6379: 1 node, 0 GPUs, 4 cores"]
    assert signal.getsignal(signal.SIGTERM) is before
