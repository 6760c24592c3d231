"""One place for what a run says: the terminal and `log.txt` receive the same lines."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tqdm import tqdm

from caspl.ground.door import TRACES
from caspl.ground.texts import Visible

from .files import mkdir_if_missing


class StdoutMirror:
    """Stands in for `sys.stdout` and also writes to a file, so that `print` of trainers reaches the log.

    Everything but writing is passed on to the console, which is never closed. Where nobody reads the console any more, as
    behind `| head` or on a terminal that was closed, the file goes on alone.

    Raises OSError, naming the file, where it cannot be written or was deleted.
    """

    def __init__(self, console: TextIO, file: TextIO | None = None) -> None:
        self.console = console
        self.file = file
        # Deleted files have no names left; some disks do not count names
        self.counts_names = file is not None and os.fstat(file.fileno()).st_nlink > 0

    def write(self, text: str) -> int:
        """Write to the console and the file; the file is flushed at once, so that a killed run keeps its lines."""
        with _nobody_may_read():
            self.console.write(text)
        if self.file is not None:
            self._write_to_file(text)
        return len(text)

    def _write_to_file(self, text: str) -> None:
        try:
            self.file.write(text)
            self.file.flush()  # also keeps forked loader workers from writing an inherited buffer again
            if self.counts_names and not os.fstat(self.file.fileno()).st_nlink:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except OSError as error:
            name = self.file.name
            self.close()
            raise OSError(error.errno, error.strerror, name) from None

    def writelines(self, lines: list[str]) -> None:
        """Write each text, without adding line ends."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the console; the file has nothing left to flush."""
        with _nobody_may_read():
            self.console.flush()

    def close(self) -> None:
        """Close the file only."""
        if self.file is not None:
            with suppress(OSError):  # of what it could not write it has told already
                self.file.close()
            self.file = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.console, name)


@contextmanager
def _nobody_may_read() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):  # EIO: the terminal was closed
            raise


class _MirrorHandler(logging.StreamHandler):
    """Writes log lines to the mirror; progress bars are cleared first and drawn again after."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # called where the exception is handled: a line that cannot be written ends the run


class _TraceHandler(logging.StreamHandler):
    """Writes traces to the log file, where it can be written."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass  # the run has ended already, perhaps for this very reason


class _Setup:
    """What `setup_logger` has changed, to be undone."""

    handler: logging.Handler | None = None
    traces: logging.Handler | None = None
    mirror: StdoutMirror | None = None
    level: int = logging.WARNING


def setup_logger(output: str | None = None) -> None:
    """Show log messages of level INFO and above on the terminal and, with everything printed, write them to a file.

    As Dassl 0.6.3, `output` is a folder, which receives `log.txt`, or a path that ends in .txt or .log; an existing
    file is kept and the new one's name ends in the time. None or "" writes no file. A second call takes the place of
    the first. The trace of an unexpected error goes to the file alone (caspl/ground/door.py).
    """
    reset_logger()
    file = _open_new(output) if output else None
    mirror = StdoutMirror(sys.stdout, file)
    handler = _MirrorHandler(mirror)
    handler.setFormatter(Visible())
    root = logging.getLogger()
    _Setup.handler, _Setup.mirror, _Setup.level = handler, mirror, root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    sys.stdout = mirror
    if file is not None:
        _Setup.traces = _TraceHandler(file)
        TRACES.addHandler(_Setup.traces)


def reset_logger() -> None:
    """Undo `setup_logger`: restore `sys.stdout`, close the file, remove the handler; does nothing before it."""
    if _Setup.mirror is None:
        return
    root = logging.getLogger()
    root.removeHandler(_Setup.handler)
    TRACES.removeHandler(_Setup.traces)
    root.setLevel(_Setup.level)
    if sys.stdout is _Setup.mirror:
        sys.stdout = _Setup.mirror.console
    _Setup.mirror.close()
    _Setup.handler = _Setup.traces = _Setup.mirror = None


def _open_new(output: str) -> TextIO:
    """Open a log file that did not exist before."""
    output = os.fspath(output)
    path = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
    mkdir_if_missing(os.path.dirname(path))
    stamped = path + time.strftime("-%Y-%m-%d-%H-%M-%S")
    for candidate in itertools.chain([path, stamped], (f"{stamped}-{n}" for n in itertools.count(2))):
        try:
            return open(candidate, "x", encoding="utf-8", errors="backslashreplace")  # "x" settles a race of two runs
        except FileExistsError:
            continue
    raise AssertionError("the names never end")
