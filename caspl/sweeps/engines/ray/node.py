"""What a node of the cluster does for a job: it looks whether it has what the run needs, then lets a worker carry it out.

Ray takes these functions to the node as they are, by value: nothing of ours is imported here, as a node that can't see the
sweep's folders has none of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

UNSEEN, HERE = "unseen", "here"
POLL = 0.2  # seconds after which a cancelled job notices it
LATE = 5.0  # seconds in which a shared disk may bring a new file


@dataclass(frozen=True)
class Errand:
    """All that a node is told."""

    task: str  # a line of task.py
    worker: tuple[str, ...]  # the command of a worker
    directory: str  # in which it is started
    needed: tuple[str, ...]  # files and folders that have to be there
    token: str  # a file in the folder of the sweep
    said: str  # what it holds
    environment: Mapping[str, str]  # of the user, where the sweep was started
    own: tuple[str, ...]  # beginnings of the names of variables that are the node's
    patience: float  # seconds in which a worker ends that is let go


def carry_out(errand: Errand) -> Iterator[str]:
    """Lines: where the job runs, then what the worker tells, or only what of the sweep this node does not see.

    Without an outcome at the end, the worker was lost. Ended by Ray, as by Ctrl-C of the sweep, it ends the worker and returns
    when that has ended its run.
    """
    if missing := _missing(errand):
        import ray  # which only this needs

        node = ray.get_runtime_context().get_node_id()
        yield json.dumps([UNSEEN, {"node": node, "host": socket.gethostname(), "missing": missing}])
        return
    environment = _environment(errand)
    yield json.dumps([HERE, {"host": socket.gethostname(), "gpus": environment.get("CUDA_VISIBLE_DEVICES", "")}])
    worker = _start(errand, environment)
    try:
        yield from _lines(worker)
    finally:
        _end(worker, errand.patience)


def _missing(errand: Errand) -> str:
    """The first of the places that are not here; "": all are."""
    until = time.monotonic() + LATE
    while _token(errand) != errand.said:
        if time.monotonic() > until:
            return os.path.dirname(errand.token)
        with contextlib.suppress(OSError):
            os.listdir(os.path.dirname(errand.token))  # makes NFS ask its server
        time.sleep(POLL)
    return next((path for path in errand.needed if not os.path.exists(path)), "")


def _token(errand: Errand) -> str:
    with contextlib.suppress(OSError), open(errand.token, encoding="ascii", errors="replace") as file:
        return file.read(1000)
    return ""


def _environment(errand: Errand) -> dict[str, str]:
    """The node's variables, and over them those of the user but for what says something about a machine.

    Ray's are nobody's, OMP_NUM_THREADS is set by it.
    """
    here = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    here.pop("OMP_NUM_THREADS", None)
    return here | {name: value for name, value in errand.environment.items() if not name.startswith(errand.own)}


def _start(errand: Errand, environment: dict[str, str]) -> subprocess.Popen:
    """A worker that has its task and waits for the end of its stdin, which comes with the end of this process, too."""
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, [])  # else no run would ever get SIGINT
    try:
        worker = subprocess.Popen(
            errand.worker,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=errand.directory,
            env=environment,
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(f"{errand.task}\n".encode())
        worker.stdin.flush()
    return worker


def _lines(worker: subprocess.Popen) -> Iterator[str]:
    rest = b""
    while True:
        while not select.select([worker.stdout], [], [], POLL)[0]:  # in between Ray may cancel the job
            pass
        block = os.read(worker.stdout.fileno(), 2**16)
        if not block:
            return
        *lines, rest = (rest + block).split(b"\n")
        yield from (line.decode() for line in lines)


def _end(worker: subprocess.Popen, patience: float) -> None:
    with contextlib.suppress(OSError):
        worker.stdin.close()
    try:
        worker.wait(patience)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    worker.stdout.close()
