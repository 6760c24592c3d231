"""The Ray cluster of a sweep: the one at an address, or one of this machine alone, which is started for the sweep.

Ray says nothing on stdout or stderr, asks no host outside, and what it writes down for itself on this machine is removed.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ....ground.errors import InputError, first_line
from ...jobs import THREADS, Job, threads_of
from . import addresses

OLDEST = (2, 49)  # which can keep away from a node
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # it would tell of lost workers on stdout, as the sweep does in its own words
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
STORE = 80 * 2**20  # bytes for objects; only lines go through it
LONGEST_FOLDER = 30  # characters; sockets lie deep below it, and their paths have at most 107
SLIGHT = 1e-6  # less than any part of a GPU
FRESH = 1.0  # seconds for which what is known of the nodes is good


@dataclass(frozen=True)
class Demand:
    """What a job asks Ray for."""

    gpus: float
    cpus: float
    threads: int | None = None  # OMP_NUM_THREADS of the run; None: as many as it likes

    def places(self, resources: Mapping[str, float]) -> int:
        """How many such jobs a node has room for."""
        each = [(resources.get("GPU", 0.0), self.gpus), (resources.get("CPU", 0.0), self.cpus)]
        return min((int(there / asked + SLIGHT) for there, asked in each if asked), default=0)


class Cluster:
    """A cluster that this process is connected to: at `address`, or started here, with a `folder` for its own things."""

    def __init__(self, ray: Any, folder: str = "", address: str = ""):
        self.ray, self.address, self._folder = ray, address, folder
        self._has_gpus = False  # once there were some no run is started without
        self.avoided: dict[str, str] = {}  # id of a node that does not see the sweep's folders -> the sentence about it
        self._nodes: list[dict[str, Any]] = []
        self._asked = -math.inf

    def nodes(self) -> list[Mapping[str, Any]]:
        """Those that are alive and may be used, as Ray describes them."""
        return [node for node in self._alive() if node["NodeID"] not in self.avoided]

    def _alive(self) -> list[Mapping[str, Any]]:
        if time.monotonic() - self._asked > FRESH:
            if not self.away():  # else Ray would wait
                self._nodes = [node for node in self.ray.nodes() if node["Alive"]]
            self._asked = time.monotonic()
        return self._nodes

    def away(self) -> str:
        """Why the head does not answer, as a phrase; "": it does, or is this process's own."""
        return addresses.away(self.address) if self.address else ""

    def demand(self, job: Job, jobs_per_gpu: int) -> Demand:
        """What a job asks for: its part of a GPU where the cluster has some, and cores by its threads, within what a place has.

        Where nobody has limited its threads, it gets those that are there for a place: without GPUs, all of a node.
        """
        nodes = [node["Resources"] for node in self.nodes()]
        self._has_gpus = self._has_gpus or any(node.get("GPU") for node in nodes)
        gpus = _rounded(job.resources.gpus / jobs_per_gpu) if self._has_gpus and job.resources.gpus else 0.0
        threads = job.resources.threads or _threads()
        if self._folder:  # of this machine alone: as many cores as places
            return Demand(gpus, 1.0, threads or (_share_of_this_machine(nodes) if gpus else None))
        if gpus:
            share = min((_share(node, gpus) for node in nodes if node.get("GPU")), default=1.0)
            return Demand(gpus, _rounded(min(threads or share, share)), threads or max(1, int(share)))
        cores = [node["CPU"] for node in nodes if node.get("CPU")] or [1.0]
        return Demand(0.0, _rounded(min(threads, max(cores)) if threads else min(cores)), threads)

    def places(self, demand: Demand) -> int:
        """How many jobs with this demand there is room for."""
        return sum(demand.places(node["Resources"]) for node in self.nodes())

    def place(self, host: str, gpus: str) -> str:
        """What a user knows a place by: "node3, GPU 1"."""
        names = [host] if len(self._alive()) > 1 else []
        return ", ".join([*names, f"GPU {gpus}"] if self._has_gpus and gpus else names)

    def all_avoided(self) -> bool:
        """Whether those that could run something all do not see the sweep's folders."""
        kind = "GPU" if self._has_gpus else "CPU"
        return bool(self.avoided) and not any(node["Resources"].get(kind) for node in self.nodes())

    def avoid(self, node: str, sentence: str) -> bool:
        """Use a node no more; whether this is news."""
        news = node not in self.avoided
        self.avoided[node] = sentence
        return news

    def selector(self) -> dict[str, str]:
        """What keeps Ray away from the nodes that are avoided."""
        return {"ray.io/node-id": f"!in({','.join(self.avoided)})"} if self.avoided else {}

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self.ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _threads() -> int | None:
    given = os.environ.get(THREADS, "")
    return int(given) or None if given.isdecimal() else None


def _share(node: Mapping[str, float], gpus: float) -> float:
    """The cores of a node for each of the places that its GPUs have."""
    return node.get("CPU", 0.0) / max(1, int(node["GPU"] / gpus + SLIGHT))


def _share_of_this_machine(nodes: Sequence[Mapping[str, float]]) -> int | None:
    places = sum(node.get("CPU", 0.0) for node in nodes)
    return threads_of(places) if places > 1 else None


def _rounded(amount: float) -> float:
    """As Ray counts: whole above one, and in steps of 0.0001 below."""
    return float(int(amount)) if amount >= 1 else max(int(amount * 10_000 + SLIGHT) / 10_000, 0.0001)


# ---------------------------------------------------------------------------------------------------------------------
# Beginning
# ---------------------------------------------------------------------------------------------------------------------
def library(*, alone: bool) -> Any:
    """The package `ray`, for a cluster of this machine alone or another. Raises InputError where it is missing or too old.

    Most of what it reads from the environment it reads when it is imported.
    """
    for name, value in (QUIET | (_secret() if alone else {})).items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError(
            f"--engine ray needs Ray, which can't be imported ({first_line(error)}); pip install 'caspl[sweep]'"
        ) from None
    if tuple(map(int, ray.__version__.split(".")[:2])) < OLDEST:
        raise InputError(
            f"--engine ray found Ray {ray.__version__}, expected {'.'.join(map(str, OLDEST))} or newer; "
            f"pip install 'caspl[sweep]'"
        )
    return ray


def start(ray: Any, *, cpus: int, gpus: int, variables: Mapping[str, str]) -> Cluster:
    """A cluster of this machine alone, which ends with this process. `variables` say which GPUs are meant.

    Raises InputError where Ray does not start.
    """
    folder = tempfile.mkdtemp(prefix="ray-")
    if len(folder) > LONGEST_FOLDER:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    cluster = Cluster(ray, folder)
    try:
        with _variables(variables), _signals_kept():
            _init(
                ray,
                address="local",
                include_dashboard=False,
                num_cpus=cpus,
                num_gpus=gpus,
                object_store_memory=STORE,
                _temp_dir=folder,
            )
    except SystemExit:  # Ray's answer to SIGTERM
        cluster.close()
        raise KeyboardInterrupt from None
    except BaseException as error:
        cluster.close()
        if not isinstance(error, Exception):
            raise
        raise InputError(
            f"Ray can't be started on this machine ({first_line(error)}); --engine local needs no Ray"
        ) from None
    return cluster


def connect(ray: Any, address: str, say: Callable[[str], object], jobs_per_gpu: int = 1) -> Cluster:
    """The cluster at an address, HOST:PORT; `say` gets to know what it has. Raises InputError where it can't be joined."""
    try:
        with _signals_kept():
            _init(ray, address=address)
    except (Exception, SystemExit) as error:
        with suppress(Exception):
            ray.shutdown()
        why = "no answer" if isinstance(error, SystemExit) else first_line(error)
        why = "it asks for another authentication token" if "authentication token" in str(error).lower() else why
        raise InputError(
            f"the Ray cluster at {address} (--address) can't be joined ({why}); all machines need the same Python, Ray, "
            f"RAY_AUTH_MODE and token"
        ) from None
    cluster = Cluster(ray, address=address)
    nodes = [node["Resources"] for node in cluster.nodes()]
    gpus, cores = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("GPU", "CPU"))
    idle = "; --jobs-per-gpu counts when it has GPUs" if jobs_per_gpu > 1 and not gpus else ""
    say(f"Ray at {address}: {len(nodes)} node{'s' * (len(nodes) != 1)}, {gpus:g} GPUs, {cores:g} cores{idle}")
    return cluster


def _init(ray: Any, **options: Any) -> None:
    with _hushed():
        ray.init(log_to_driver=False, configure_logging=False, logging_level="CRITICAL", **options)


def _secret() -> dict[str, str]:
    """Keeps others of this machine out, without a file in the home folder; not where the user has settled it."""
    if any(name.startswith("RAY_AUTH_") for name in os.environ):
        return {}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _hushed() -> Iterator[None]:
    """What Ray's own processes and its code in C++ would write to stdout and stderr goes nowhere."""
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        with open(os.devnull, "wb") as nowhere:
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
        yield
    finally:
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts a handler of its own in the place of ours. Its processes are not to end before us where a terminal is closed."""
    before = signal.getsignal(signal.SIGTERM)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])  # which they inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, before)
