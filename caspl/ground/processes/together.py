"""Joining the processes of a job, and what they compute together: once for all, gathered, or summed."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any, TextIO, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import ElsewhereError, InputError
from ..files import regular
from .ends import GONE, Ends, as_text, kept_by_torchrun, of_text
from .place import Place, place_in

T = TypeVar("T")
MEETING = 300.0  # seconds in which all processes of a job are to be there
UNLIMITED = timedelta(days=30)  # waiting ends when the others do: `_wait` looks after that
LOOK = 0.2  # seconds between two looks at whether another process has ended
LARGEST_COPY = 2**30  # bytes of a file that the first process hands on


class _Group:
    """A job that has been joined."""

    def __init__(self, place: Place, store: dist.Store):
        self.place, self.store = place, store
        self.ends = Ends(store, place.number)
        self.accelerated: dist.ProcessGroup | None = None  # of NCCL, when there is something to sum on a GPU


class _Joined:
    group: _Group | None = None


def count() -> int:
    """How many processes the job has."""
    return _place().count


def number() -> int:
    """Which of them this one is, from 0."""
    return _place().number


def local() -> int:
    """Which of those on this machine it is, from 0: the number of its GPU."""
    return _place().local


def is_first() -> bool:
    """Whether this is the process that writes, and speaks, for all."""
    return number() == 0


def _place() -> Place:
    return _Joined.group.place if _Joined.group else Place()


# ---------------------------------------------------------------------------------------------------------------------
# Joining
# ---------------------------------------------------------------------------------------------------------------------
@contextmanager
def joined() -> Iterator[None]:
    """Inside, this process is one of those that torchrun has started, and silent unless it is the first.

    What is raised ends all of them. Raises InputError where the environment contradicts itself or the others don't come.
    """
    place = place_in()
    if place.count == 1:
        yield
        return
    _Joined.group = group = _Group(place, _meet(place))
    with _silent_unless_first():
        try:
            dist.init_process_group(
                "gloo",
                store=dist.PrefixStore("group", group.store),
                rank=place.number,
                world_size=place.count,
                timeout=UNLIMITED,
            )
            yield
            gathered(lambda: None)  # nobody leaves while another one may still fail
        except BaseException as error:
            group.ends.leave(error)
            raise
        finally:
            _Joined.group = None
            if dist.is_initialized():
                dist.destroy_process_group()


@contextmanager
def _silent_unless_first() -> Iterator[None]:
    """Inside, what a process prints that is not the first goes nowhere, and what libraries print in it."""
    streams = () if is_first() else (sys.stdout, sys.stderr)
    kept = [(number, os.dup(number)) for number in (1, 2)[: len(streams)]]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    _point([(number, nowhere) for number, _ in kept], streams)
    try:
        yield
    finally:
        _point(kept, streams)
        for number in (nowhere, *(copy for _, copy in kept)):
            os.close(number)


def _point(descriptors: Iterable[tuple[int, int]], streams: Iterable[TextIO]) -> None:
    """Let descriptors lead to where others lead, when all that was printed before is on its way."""
    for stream in streams:
        stream.flush()
    for number, to in descriptors:
        os.dup2(to, number)


def _meet(place: Place) -> dist.Store:
    """The store of the job, when all processes have found it."""
    if not (dist.is_available() and dist.is_gloo_available()):
        raise InputError(
            "this PyTorch was built without torch.distributed, so a job has one process; start it without torchrun"
        )
    until = time.monotonic() + MEETING
    store = None
    while store is None:
        try:
            store = dist.TCPStore(
                place.host,
                place.port,
                place.count,
                is_master=place.number == 0 and not kept_by_torchrun(),
                wait_for_workers=False,
                timeout=timedelta(seconds=2),
            )
        except RuntimeError as error:
            if place.number == 0 or time.monotonic() > until:
                raise InputError(
                    f"the processes of this job cannot meet at {place.host}:{place.port} (MASTER_ADDR, MASTER_PORT: "
                    f"{str(error).splitlines()[0][:120]}); start all of them, and take another port where this one is in use"
                ) from None
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"caspl {attempt}", store)
    here = store.add("here", 1)
    while here < place.count:
        if time.monotonic() > until:
            raise InputError(f"of {place.count} processes (WORLD_SIZE) {here} have come; start all of them")
        time.sleep(0.02)
        here = store.add("here", 0)
    store.set_timeout(UNLIMITED)
    return store


# ---------------------------------------------------------------------------------------------------------------------
# Working together
# ---------------------------------------------------------------------------------------------------------------------
def once(work: Callable[[], T]) -> T:
    """What `work` gives in the first process, for all: plain values and tensors, which arrive on the CPU.

    What it raises there, all raise.
    """
    if count() == 1:
        return work()
    if not is_first():
        return _opened(_sent(b""))
    packed, value, error = _packed(work)
    _sent(packed)
    if error is not None:
        raise error
    return value


def gathered(work: Callable[[], T]) -> list[T]:
    """What `work` gives in each process, in their order; the own value as it is, others as with `once`.

    Where it raises in some, all raise: their own, the others that of the first of these.
    """
    if count() == 1:
        return [work()]
    packed, value, error = _packed(work)
    everything = _exchanged(packed)
    if error is not None:
        raise error
    return [value if at == number() else _opened(each) for at, each in enumerate(everything)]


def after_the_first(work: Callable[[], T]) -> T:
    """What `work` gives here, done by the first process before the others, which find what it has left on the disk."""
    done: list[T] = []
    once(lambda: done.append(work()))
    return done[0] if done else work()


@torch.no_grad()
def sum_up(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one transfer. They have the same shapes everywhere."""
    if count() == 1 or not tensors:
        return
    kind = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
    flat = torch.cat([tensor.detach().reshape(-1).to(kind) for tensor in tensors])
    if flat.is_cuda and dist.is_nccl_available():
        group = _Joined.group
        group.accelerated = group.accelerated or dist.new_group(backend="nccl", timeout=UNLIMITED)
        _wait(dist.all_reduce(flat, group=group.accelerated, async_op=True))
    else:
        everywhere = flat.cpu()
        _wait(dist.all_reduce(everywhere, async_op=True))
        flat = everywhere.to(flat.device)
    for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.detach().copy_(total.view_as(tensor))


def _packed(work: Callable[[], T]) -> tuple[bytes, T | None, Exception | None]:
    """What `work` gives, as bytes and as it is, or what it raises: the bytes then tell of that."""
    try:
        value, error = work(), None
        content = {"value": value}
    except Exception as raised:
        value, error = None, raised
        content = {"error": as_text(raised)}
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue(), value, error


def _opened(packed: bytes) -> Any:
    """The value in what `_packed` gave; raises the error that it tells of. Nothing in it is executed."""
    content = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    if "error" in content:
        raise of_text(content["error"])
    return content["value"]


def _sent(packed: bytes) -> bytes:
    """The first process's bytes."""
    size = torch.tensor([len(packed)])
    _wait(dist.broadcast(size, 0, async_op=True))
    content = (
        torch.frombuffer(bytearray(packed), dtype=torch.uint8)
        if is_first()
        else torch.empty(int(size), dtype=torch.uint8)
    )
    _wait(dist.broadcast(content, 0, async_op=True))
    return content.numpy().tobytes()


def _exchanged(packed: bytes) -> list[bytes]:
    """Each process's bytes."""
    sizes = torch.zeros(count(), dtype=torch.int64)
    sizes[number()] = len(packed)
    _wait(dist.all_reduce(sizes, async_op=True))
    own = torch.zeros(int(sizes.max()), dtype=torch.uint8)
    own[: len(packed)] = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    parts = [torch.empty_like(own) for _ in range(count())]
    _wait(dist.all_gather(parts, own, async_op=True))
    return [part[:size].numpy().tobytes() for part, size in zip(parts, sizes.tolist(), strict=True)]


def _wait(work: dist.Work) -> None:
    """Until it is done. Python goes on meanwhile, so that signals are answered, and the end of another process is seen."""
    ends, pause, looked = _Joined.group.ends, 1e-5, time.monotonic()
    while not work.is_completed():
        time.sleep(pause)
        pause = min(2 * pause, 0.002)
        if time.monotonic() - looked > LOOK:
            ends.look()
            looked = time.monotonic()
    try:
        work.wait()
    except RuntimeError:  # the connection to another process has broken
        ends.look(patience=1.0)
        raise ElsewhereError(GONE) from None


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------
@contextmanager
def folder_of_its_own(folder: str, goes_on_from: Callable[[Path], Iterable[Path]]) -> Iterator[str]:
    """The folder that this process reads and writes in the place of `folder`, the job's: the first process that itself.

    Each other one has a new folder, which goes with it, so that nothing that is written need ask which process writes. It
    begins with a copy of the files in `folder` that `goes_on_from` gives.
    """
    if count() == 1:
        yield folder
        return
    files = once(lambda: {str(path.relative_to(folder)): _content(path) for path in goes_on_from(Path(folder))})
    if is_first():
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="caspl-", ignore_cleanup_errors=True) as own:
        for name, content in files.items():
            path = Path(own, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.numpy().tobytes())
        _Joined.group.ends.names[own] = folder
        yield own


def _content(path: Path) -> Tensor:
    content = bytearray(regular(path, LARGEST_COPY).read_bytes())
    return torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)
