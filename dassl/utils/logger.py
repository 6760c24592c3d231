"""One place for what a run says: the terminal and `log.txt` receive the same lines."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm

from caspl.ground.door import TRACES
from caspl.ground.texts import Visible

from .files import mkdir_if_missing


class StdoutMirror:
    """Stands in for `sys.stdout` and also writes to a file, so that `print` of trainers reaches the log.

    Everything but writing is passed on to the console, which is never closed. Where nobody reads the console any more, as
    behind `| head`, the file goes on alone.
    """

    def __init__(self, console: TextIO, file: TextIO | None = None) -> None:
        self.console = console
        self.file = file

    def write(self, text: str) -> int:
        """Write to the console and the file; the file is flushed at once, so that a killed run keeps its lines."""
        with suppress(BrokenPipeError):
            self.console.write(text)
        if self.file is not None:
            self.file.write(text)
            self.file.flush()  # also keeps forked loader workers from writing an inherited buffer again
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each text, without adding line ends."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the console; the file has nothing left to flush."""
        with suppress(BrokenPipeError):
            self.console.flush()

    def close(self) -> None:
        """Close the file only."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.console, name)


class _MirrorHandler(logging.StreamHandler):
    """Writes log lines to the mirror; progress bars are cleared first and drawn again after."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


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
        _Setup.traces = logging.StreamHandler(file)
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
            return open(candidate, "x", encoding="utf-8")  # "x" also settles a race of two runs
        except FileExistsError:
            continue
    raise AssertionError("the names never end")
