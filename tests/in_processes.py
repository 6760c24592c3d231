"""Several processes of one job, forked from the one that tests, so that nothing is imported anew."""

import io
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import pytest
import torch

from caspl.ground.processes.place import HOST, LOCAL, PORT, RANK, SIZE

forks = pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch does not compute gradients in forks beside a GPU")


@dataclass
class Answer:
    """How a process has ended: its exit status or signal (negative), what `work` gave, what it printed to stderr."""

    status: int
    value: Any
    said: str


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def in_processes(count: int, work: Callable[[], Any], seconds: float = 120) -> list[Answer]:
    """What `count` processes of a job give, each of which does `work()`: values that torch.save can hold."""
    place = {SIZE: str(count), HOST: "127.0.0.1", PORT: str(free_port())}
    with tempfile.TemporaryDirectory() as own:  # where one that is killed leaves its folder
        running = []
        for number in range(count):
            files = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115, closed below
            child = os.fork()
            if child == 0:
                tempfile.tempdir = own
                _run(work, {**place, RANK: str(number), LOCAL: str(number)}, *files, int(seconds))
            running.append((child, *files))
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, *_ in running]
    return [Answer(end, *map(_content, files)) for end, (_, *files) in zip(ends, running, strict=True)]


def _run(work: Callable[[], Any], environment: dict[str, str], answer: BinaryIO, said: BinaryIO, seconds: int) -> None:
    """The life of a child."""
    status = 1
    try:
        signal.alarm(seconds)  # whatever happens it ends
        torch.set_num_threads(1)  # a fork has none of the threads that its parent may have begun
        os.environ.update(environment)
        os.dup2(said.fileno(), 2)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115, not what pytest has put there
        torch.save(work(), answer)
        answer.flush()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _content(file: BinaryIO) -> Any:
    with file:
        file.seek(0)
        content = file.read()
    return torch.load(io.BytesIO(content), weights_only=True) if content[:2] == b"PK" else content.decode()
