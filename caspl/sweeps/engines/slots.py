"""Places on GPUs, each a lock that all sweeps of a machine, whoever's they are, take and give back.

A slot is a file of a folder in /tmp, and who holds its lock has the slot: the system frees it when the last process that holds
it ends, however that ends. Nothing is written into it. A sweep that finds no slot free waits in a line: a file
`wait-<time>...`, locked as long as it waits, with the GPUs that it would take. A slot is left to those who have waited longer,
unless they don't take it for TURN seconds, as a suspended sweep would not. So sweeps that share a machine take turns, slot by
slot.

A GPU is shared by runs of one kind only: as long as it has one that was promised a half (--jobs-per-gpu 2), nobody who wants it
whole gets it, and the other way round.
"""

from __future__ import annotations

import os
import platform
import re
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...ground.errors import cause
from ...ground.locks import hold
from .gpus import Gpu

FOLDER = "CASPL_SLOTS"  # variable: another folder than /tmp/caspl-slots-<machine>
TURN = 2.0  # seconds that a free slot is kept for whoever has waited longest
TICKET = re.compile(r"wait-\d{20}-\d+")
# Whatever others may have put there
OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def folder() -> Path:
    """Where the slots of this machine lie; its name is in it, as several may share /tmp."""
    machine = re.sub(r"[^A-Za-z0-9._-]", "_", platform.node()) or "machine"
    return Path(os.environ.get(FOLDER) or f"/tmp/caspl-slots-{machine}")


@dataclass
class Slot:
    """A place for one run on a GPU, taken; `descriptor` is its lock, None where it can't be locked."""

    gpu: Gpu
    number: int
    descriptor: int | None

    def give_back(self) -> None:
        """What this process holds of it; one that has inherited the lock holds it still."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@dataclass
class Slots:
    """The slots that a sweep may take: `share` on each of its GPUs."""

    gpus: Sequence[Gpu]
    share: int = 1
    folder: Path = field(default_factory=folder)
    problem: str = ""  # why slots can't be shared with other sweeps
    _free_since: dict[tuple[str, int], float] = field(default_factory=dict)  # slots that are left to others
    _ticket: Ticket | None = None

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir()
            self.folder.chmod(0o1777)  # for everyone, whatever the umask; nobody removes what another has made
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(self.folder).st_mode) and FOLDER not in os.environ:
                self.problem = f"{self.folder} is no folder"  # nor a link to one, which anybody may have put there
        except OSError as error:
            self.problem = f"{self.folder} can't be made ({cause(error)})"

    def __len__(self) -> int:
        return len(self.gpus) * self.share

    def take(self, busy: Sequence[tuple[str, int]] = ()) -> Slot | None:
        """A free slot, the first ones of all GPUs before the second ones; None: there is none, and this sweep stands in line.

        `busy`: (name of the GPU, number) of the slots that this sweep's own runs have, so that it keeps to them without locks.
        """
        ahead = self._ahead()
        for number in range(self.share):
            for gpu in self.gpus:
                if (gpu.name, number) in busy:
                    continue
                if slot := self._try(gpu, number, gpu.name in ahead):
                    self.leave_line()
                    return slot
        if self._ticket is None and not self.problem:
            self._ticket = Ticket.take(self.folder, [gpu.name for gpu in self.gpus])
        return None

    def leave_line(self) -> None:
        """This sweep wants no slot at the moment."""
        if self._ticket:
            self._ticket.give_back()
            self._ticket = None

    def _try(self, gpu: Gpu, number: int, others_first: bool) -> Slot | None:
        """Take a slot, unless it is taken or another's turn."""
        if self.problem:
            return Slot(gpu, number, None)
        try:
            descriptor = _lock(self._path(gpu, number, self.share))
            if descriptor is not None and self._used_otherwise(gpu):
                os.close(descriptor)
                descriptor = None
        except OSError as error:
            self.problem = f"{self.folder} has slots that can't be locked ({cause(error)})"
            return Slot(gpu, number, None)
        if descriptor is not None and others_first:
            since = self._free_since.setdefault((gpu.name, number), time.monotonic())
            if time.monotonic() - since < TURN:
                os.close(descriptor)
                return None
        self._free_since.pop((gpu.name, number), None)
        return None if descriptor is None else Slot(gpu, number, descriptor)

    def _path(self, gpu: Gpu, number: int, share: int) -> Path:
        return self.folder / f"{_as_file(gpu.name)}-{number + 1}of{share}"

    def _used_otherwise(self, gpu: Gpu) -> bool:
        """Whether somebody is on a GPU who shares it with more or fewer."""
        for path in self.folder.glob(f"{_as_file(gpu.name)}-*of*"):
            match = re.fullmatch(r"(\d+)of(\d+)", path.name.removeprefix(f"{_as_file(gpu.name)}-"))
            if match and int(match[2]) != self.share and _is_held(path):
                return True
        return False

    def _ahead(self) -> set[str]:
        """Names of the GPUs for which another sweep has waited longer than this one."""
        if self._ticket and not self._ticket.path.exists():  # somebody has tidied /tmp
            self.leave_line()
        mine = self._ticket.path.name if self._ticket else ""
        waiting = [path for path in _tickets(self.folder) if not mine or path.name < mine]
        return {name for path in waiting for name in _wanted(path)}


@dataclass
class Ticket:
    """A sweep's place in the line of those who wait for a slot."""

    path: Path
    descriptor: int

    @classmethod
    def take(cls, folder: Path, names: Sequence[str]) -> Ticket | None:
        """At the end of the line; None where there can be no line."""
        _remove_left(folder)
        path = folder / f"wait-{time.time_ns():020d}-{os.getpid()}"
        new = folder / f".{path.name}"  # until it is locked: an unlocked one is nobody's
        with suppress(OSError):
            descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | OPEN, 0o644)
            os.fchmod(descriptor, 0o644)
            hold(descriptor)
            os.write(descriptor, "\n".join(names).encode())
            new.rename(path)
            return cls(path, descriptor)
        return None

    def give_back(self) -> None:
        with suppress(OSError):
            self.path.unlink()
        os.close(self.descriptor)


def _tickets(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in folder.iterdir() if TICKET.fullmatch(path.name)]
    return []


def _wanted(ticket: Path) -> list[str]:
    """Names of the GPUs that somebody waits for; none where the sweep was killed that had this ticket."""
    with suppress(OSError):
        descriptor = os.open(ticket, os.O_RDONLY | OPEN)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and hold(descriptor, shared=True) is False:
                return os.read(descriptor, 2**16).decode("utf-8", "replace").split("\n")
        finally:
            os.close(descriptor)
    return []


def _remove_left(folder: Path) -> None:
    """Tickets of sweeps that were killed; those of other users stay, and count for nothing."""
    for path in _tickets(folder):
        if not _is_held(path):
            with suppress(OSError):
                path.unlink()


def _as_file(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", f"gpu-{name}")


def _lock(path: Path) -> int | None:
    """The descriptor of a slot that was free; None: it is taken. Raises OSError where it can't be told."""
    descriptor = _open(path)
    if held := hold(descriptor):
        return descriptor
    os.close(descriptor)
    if held is None:
        raise OSError(0, "the disk has no locks")
    return None


def _open(path: Path) -> int:
    """For reading only, so that a file of another user will do. Raises OSError."""
    while True:
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | OPEN)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
            raise OSError(0, f"{path.name} is no file")
        with suppress(FileExistsError):  # another sweep was faster
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o644)
            os.fchmod(descriptor, 0o644)  # whatever the umask
            return descriptor


def _is_held(path: Path) -> bool:
    """Whether the lock of a file is somebody's; asking takes it for a moment, shared."""
    try:
        descriptor = os.open(path, os.O_RDONLY | OPEN)
    except OSError:
        return False
    try:
        return hold(descriptor, shared=True) is False
    finally:
        os.close(descriptor)
