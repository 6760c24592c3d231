"""Running cases, each in a process of its own that is forked from a warm one, and seeing all that it does."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .cases import Case
from .doors import DOORS, ROOT

SECONDS = 20.0
MEMORY = 6 * 2**30  # bytes of address space that a case may take beside what the warm process has
NOT_PREPARED = 97
# Programs and hosts that a command has turned to, by Python's audit events
OUTSIDE = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo")
Listing = dict[str, str]  # path, relative -> what is there: a folder, or the digest of the content


@dataclass(frozen=True)
class Outcome:
    """What a case came to. `status` is None where it had to be killed; `outside` are programs and hosts, one a line."""

    case: Case
    status: int | None
    seconds: float
    out: str
    err: str
    outside: str
    before: Listing
    after: Listing
    expected: int  # the right exit status


def run(
    cases: Iterable[Case], *, processes: bool = False, side_by_side: int = 2, seconds: float = SECONDS
) -> Iterator[Outcome]:
    """The outcomes, in the order in which they are there.

    Args:
        processes: start each command as a shell does, in place of a fork of this process.
        side_by_side: how many at a time.
        seconds: after which a case is killed, with all that it has started.
    """
    waiting, running = iter(cases), {}
    with tempfile.TemporaryDirectory(prefix="attack-") as place:
        number = 0
        while True:
            while len(running) < side_by_side and (case := next(waiting, None)) is not None:
                folder = Path(place) / f"{number:04}"
                number += 1
                (folder / "work").mkdir(parents=True)
                (folder / "work" / "tmp").mkdir()
                running[_start(case, folder, processes)] = (case, folder, time.monotonic())
            if not running:
                return
            for process, (case, folder, start) in list(running.items()):
                over = time.monotonic() - start > seconds
                if over:
                    _kill(process)
                found, status = os.waitpid(process, 0 if over else os.WNOHANG)
                if not found:
                    continue
                _kill(process)  # what it has left running
                del running[process]
                yield _outcome(case, folder, None if over else _exit_status(status), time.monotonic() - start)
                shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.002)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all have ended
        os.killpg(group, signal.SIGKILL)


def _exit_status(status: int) -> int:
    return os.waitstatus_to_exitcode(status)


def _outcome(case: Case, folder: Path, status: int | None, seconds: float) -> Outcome:
    out, err, outside = (_text(folder / name) for name in ("out", "err", "outside"))
    before = json.loads(_text(folder / "before") or "{}")
    after = listing(folder / "work")
    harmless = status == 0 and case.same is not None and after.get(case.same[0]) == digest(case.same[1])
    return Outcome(case, status, seconds, out, err, outside, before, after, 0 if harmless else case.status)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="backslashreplace") if path.exists() else ""


# ---------------------------------------------------------------------------------------------------------------------
# In the process of a case
# ---------------------------------------------------------------------------------------------------------------------
def _start(case: Case, folder: Path, processes: bool) -> int:
    """Fork; gives the number of the process, which leads a group of its own."""
    process = os.fork()
    if process:
        return process
    status = NOT_PREPARED
    try:
        os.setpgid(0, 0)
        status = _carry_out(case, folder, processes)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _carry_out(case: Case, folder: Path, processes: bool) -> int:
    work = folder / "work"
    _redirect(folder)
    os.environ.update(TMPDIR=str(work / "tmp"), OMP_NUM_THREADS="1", HF_HUB_OFFLINE="0", PYTHONPATH=str(ROOT))
    tempfile.tempdir = None
    os.chdir(work)
    case.prepare(work)
    (folder / "before").write_text(json.dumps(listing(work)))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    door = DOORS[case.door]
    if processes or case.fresh or not door.module:
        command = [*door.command, *case.argv]
        os.execvp(command[0], command)
    _watch(folder / "outside")
    try:
        return door.call(case.argv) or 0
    except SystemExit as end:  # argparse
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 70


def _redirect(folder: Path) -> None:
    for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        file = os.open(name if number == 0 else folder / name, mode | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False, encoding="utf-8")
    sys.stderr = sys.__stderr__ = os.fdopen(
        2, "w", closefd=False, encoding="utf-8", errors="backslashreplace", buffering=1
    )


def _watch(path: Path) -> None:
    """Write down, and refuse, every program and every host that is turned to from now on."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple) -> None:
        if event in OUTSIDE and not (event == "socket.connect" and isinstance(arguments[1], (str, bytes))):
            os.write(file, f"{event} {arguments[:2]!r}\n".encode(errors="backslashreplace"))
            raise OSError(101, f"an attempt may turn to nothing outside ({event})")

    sys.addaudithook(hook)


def listing(folder: Path) -> Listing:
    """All that lies below a folder; links and odd files are not followed or opened."""
    found: Listing = {}
    for here, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(here, name)
            relative = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[relative] = f"link {os.readlink(path)}"
            elif name in folders:
                found[relative] = "folder"
            elif os.path.isfile(path):
                found[relative] = digest(path)
            else:
                found[relative] = "odd"
    return found


def digest(path: str | Path) -> str:
    """Of the content of a file; of a large one size and time."""
    status = os.stat(path)
    if status.st_size > 2**24:
        return f"{status.st_size} bytes of {status.st_mtime_ns}"
    return hashlib.blake2b(Path(path).read_bytes()).hexdigest()
