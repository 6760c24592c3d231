"""Locks between processes, which the operating system takes from whoever ends."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from .errors import InputError


class HeldError(InputError):
    """Another process holds a lock; `holder` says which, as "process 12 on node3 since 2025-01-31 09:30"."""

    def __init__(self, path: Path, holder: str):
        super().__init__(f"{path} is held by {holder}; wait for it to end")
        self.holder = holder


def hold(descriptor: int, *, shared: bool = False) -> bool | None:
    """Take the lock of an open file or folder, without waiting, until all who have it open have ended or closed it.

    True: it is held. False: another one holds it. None: there are no locks, as on some disks, and on Windows.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


class FolderLock:
    """The lock of a folder, which `lock_folder` gives.

    A child process that is given `descriptors` (pass_fds) holds it, too: it is free when the last one of them has ended.
    """

    def __init__(self, descriptors: list[int], file: Path | None = None):
        self.descriptors, self._file = descriptors, file

    def release(self) -> None:
        if self._file:
            with suppress(OSError):
                self._file.unlink()  # before the lock goes: whoever waits for it sees that the file is no more
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors, self._file = [], None


def lock_folder(folder: str | Path, *, shared: bool = False) -> FolderLock | None:
    """Take the lock of a folder that is there, without waiting; None: another one has it.

    `shared` is for asking only: any number of those can be had at a time. Where the disk locks no folders, as NFS, a file
    `.sweep.lock` in it has the lock; where it has no locks at all, everyone gets one that holds nothing.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        if (held := hold(descriptor, shared=shared)) is not None:
            return _of(descriptor, held)
        os.close(descriptor)
        return _lock_file_in(Path(folder) / ".sweep.lock", shared)
    return FolderLock([])


def _lock_file_in(path: Path, shared: bool) -> FolderLock | None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (0 if shared else os.O_CREAT), 0o666)
    held = hold(descriptor, shared=shared)
    if held and not (path.exists() and os.path.samestat(os.fstat(descriptor), os.stat(path))):
        held = False  # its last holder has removed it meanwhile
    return _of(descriptor, held, None if shared else path)


def _of(descriptor: int, held: bool | None, file: Path | None = None) -> FolderLock | None:
    if held:
        return FolderLock([descriptor], file)
    os.close(descriptor)
    return None if held is False else FolderLock([])


_HELD: set[int] = set()  # descriptors of the locks that this process holds


@contextmanager
def locked(path: str | Path, *, patience: float = 0.0) -> Iterator[bool]:
    """Let one process at a time run the block, of those that give the same `path`, a lock file in a folder that is there.

    It waits `patience` seconds for another one. The system takes the lock from a process that ends, however it ends: a file
    that a killed one has left is nobody's. At the end the file is removed.

    Yields whether there is a lock: where the disk is read-only or has no locks, or the system is Windows, there is none.

    Raises HeldError where another process holds it all the time.
    """
    path, until = Path(path), time.monotonic() + patience
    while (descriptor := _acquire(path)) == _BUSY:
        if time.monotonic() >= until:
            raise HeldError(path, _holder(path))
        time.sleep(0.02)
    try:
        yield descriptor is not None
    finally:
        if descriptor in _HELD:
            with suppress(OSError):
                path.unlink()  # before the lock goes: whoever waits for it sees that the file is no more
            _HELD.remove(descriptor)
            os.close(descriptor)


_BUSY = -1


def _acquire(path: Path) -> int | None:
    """The descriptor of the lock file, _BUSY where another process holds it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):  # its last holder has removed it meanwhile
            raise FileNotFoundError
        with suppress(OSError):  # on a full disk it is a lock all the same
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()} since {time.strftime('%F %T')}".encode())
    except OSError as error:
        os.close(descriptor)
        return _BUSY if isinstance(error, BlockingIOError | FileNotFoundError) else None
    _HELD.add(descriptor)
    return descriptor


def _holder(path: Path) -> str:
    with suppress(OSError):
        return " ".join(path.read_bytes()[:200].decode("ascii", "replace").split()) or "another process"
    return "another process"


def _leave_locks_to_the_parent() -> None:
    """In a forked process, such as a loader's worker, which may outlive a killed parent by seconds."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks_to_the_parent)
