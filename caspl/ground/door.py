"""The door of every command: what goes wrong becomes one sentence on stderr and an exit status, never a stack trace.

    sys.exit(door.run(lambda: work(parse_args(argv))))

So do Ctrl-C, SIGTERM and SIGHUP; a command whose imports take seconds calls `watch` in front of them. With CASPL_TRACE=1 in the
environment the whole trace is printed, too. The trace of what nobody expected goes to the logger TRACES in any case, which the
log file of a run listens to (dassl.utils.setup_logger) and the terminal does not.
"""

from __future__ import annotations

import argparse
import errno
import logging
import math
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from types import FrameType
from typing import Any, NoReturn

from .errors import ElsewhereError, InputError, first_line, refusal, way_out
from .texts import sentence

VARIABLE = "CASPL_TRACE"
ALIKE = 0.75  # of two flags, by difflib, for one to be taken for a slip of the other
TRACES = logging.getLogger("caspl.trace")
TRACES.setLevel(logging.DEBUG)
TRACES.propagate = False

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
INTERRUPTED = "interrupted"
PATIENCE = 5.0  # seconds in which another signal does not disturb the end that the first one began

Handler = Callable[[int, FrameType | None], Any]


# ---------------------------------------------------------------------------------------------------------------------
# From the beginning to the end of a command
# ---------------------------------------------------------------------------------------------------------------------
class _Watch:
    """Whether this process is a command of ours, so that its signals are the door's from `watch` to the very end."""

    process = os.getpid()
    on = False


def watch() -> None:
    """From here on a signal ends this process in one sentence, and so does what goes wrong, such as an import.

    Nothing has begun, so nothing is to be tidied.
    """
    _Watch.on = True
    _take_signals(_leave_at_once)
    sys.excepthook = lambda kind, error, trace: os._exit(_end(error, _Interruption(), INTERRUPTED))


def run(body: Callable[[], int | None], *, interrupted: str = INTERRUPTED) -> int:
    """Run a command and give its exit status; what `body` raises is printed as one line.

    Status: that of `body` (None: 0); 2 for a mistake in what was given and for what the disk refuses; 1 for what nobody
    expected; 130 for Ctrl-C, 143 for SIGTERM and 129 for SIGHUP, with the sentence `interrupted`; 0 where the reader of our
    output, such as `head`, has gone.
    """
    _open_closed_streams()
    _Silence.on = False
    interruption = _Interruption()
    before = _take_signals(interruption)
    status = 1
    try:
        with _no_traces_elsewhere(interruption):
            try:
                status = body() or 0
                sys.stdout.flush()  # what is printed may find no reader or no room only now
                interruption.over = True
            except (Exception, KeyboardInterrupt, SystemExit) as error:
                interruption.over = True
                status = _end(error, interruption, interrupted)
            _let_go()
    finally:
        if _Watch.on:
            _take_signals(lambda *_: os._exit(status))  # all is done but Python's own end
        else:
            for number, handler in before.items():
                signal.signal(number, handler)
    return status


def _end(error: BaseException, interruption: _Interruption, interrupted: str) -> int:
    """Print how a command has ended, if there is something to say, and give its exit status."""
    if isinstance(error, SystemExit):  # argparse, which has said why
        try:
            sys.stdout.flush()
            return int(error.code or 0)
        except OSError as unwritable:
            error = unwritable
    if isinstance(error, KeyboardInterrupt) or interruption.number:  # what else is raised then follows from it
        _say(interrupted)
        return 128 + (interruption.number or signal.SIGINT)
    if isinstance(error, BrokenPipeError) and _reader_has_gone():
        return 0
    status, text = outcome(error)
    if not isinstance(error, InputError):
        TRACES.debug("%s", text, exc_info=error)
    if _traces_wanted():
        traceback.print_exception(error)
    _say(f"error: {sentence(text)}")
    return status


class _Silence:
    on = False  # another process of the same job says how this command ends


def silence() -> None:
    """Let the command under way end without a sentence, since another process of the same job prints it."""
    _Silence.on = True


class _Called:
    by = ""  # the words that called the command under way: "caspl results"


@contextmanager
def called(words: str) -> Iterator[None]:
    """Inside, the command is one that its user has called by these words."""
    before, _Called.by = _Called.by, words
    try:
        yield
    finally:
        _Called.by = before


def prog(otherwise: str | None = None) -> str | None:
    """How the user has called the command, for its own usage and advice; `otherwise`: where nobody has said.

    What `python -m` runs is called so; None leaves it to argparse, which takes the name of the script.
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if not _Called.by and spec is not None and spec.name.startswith("caspl."):
        return f"python -m {spec.name.removesuffix('.__main__')}"
    return _Called.by or otherwise


def training() -> str:
    """How one trains here, for advice: as the user has called this command, of which `caspl` is everywhere."""
    return "caspl train" if _Called.by else "python train.py"


class Parser(argparse.ArgumentParser):
    """Raises InputError, where argparse would print its usage and end the process."""

    def error(self, message: str) -> NoReturn:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        word = (
            message.removeprefix("unrecognized arguments: ")
            .partition(" ")[0]
            .partition("=")[0]
            .lower()
            .replace("_", "-")
        )
        near = get_close_matches(word, known, 1, ALIKE) if word.startswith("-") else []
        raise InputError(
            f"{message}; {f'do you mean {near[0]}?' if near else f'{self.prog} --help shows what there is'}"
        )


# ---------------------------------------------------------------------------------------------------------------------
# Sentences
# ---------------------------------------------------------------------------------------------------------------------
def outcome(error: BaseException) -> tuple[int, str]:
    """The exit status and the sentence, on one line, of an exception that ends a command."""
    message = _without_trace(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _errno(error) == errno.ENOMEM:
        return 1, f"not enough memory{f' ({message})' if message else ''}; use smaller batches or fewer classes"
    if _tells_of_a_dead_worker(error):
        return 1, (
            f"a process that reads images has ended ({message or type(error).__name__}); give it more memory, raise the limit "
            f"of open files (ulimit -n), or use fewer workers"
        )
    if isinstance(error, InputError):
        return 2, message or type(error).__name__
    if _errno(error) is not None:
        place = "the output" if error.filename is None else os.fsdecode(error.filename)
        return 2, f"{place} cannot be written or read ({error.strerror}); {way_out(error.errno)}"
    if (number := refusal(error)) is not None:  # in the words of another library
        return 2, f"{message}; {way_out(number)}"
    if isinstance(error, OSError):  # without a number: raised by a library with a sentence of its own
        return 2, message or type(error).__name__
    if isinstance(error, UnicodeEncodeError):
        return 2, f"{error.object!r} cannot be written in {error.encoding}; give it a name in UTF-8"
    if isinstance(error, ValueError) and message.startswith("embedded null"):
        return 2, "a path or name has a null character in it, which no file can have; correct it"
    if isinstance(error, FloatingPointError | ElsewhereError):  # training has diverged, or another process has ended
        return 1, message
    if isinstance(error, ModuleNotFoundError) and (error.name or "caspl").partition(".")[0] != "caspl":
        return 2, (
            f"{sys.executable} has no package {error.name}; activate the environment that CasPL is installed in, or install "
            f"CasPL into this one (pip install -e . in its checkout)"
        )
    return 1, (
        f"unexpected {type(error).__name__}: {_ends(error)} ({_place(error)}); set {VARIABLE}=1 to see the whole trace, and "
        f"report it"
    )


def _tells_of_a_dead_worker(error: BaseException) -> bool:
    """What PyTorch says of one, or the broken connection to it."""
    if isinstance(error, ConnectionError | EOFError):
        return True
    return "DataLoader worker" in str(error) and any(
        w in str(error) for w in ("killed by signal", "exited unexpectedly")
    )


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _without_trace(error: BaseException) -> str:
    """The message on one line; of one that holds the trace of another process, that process's last line."""
    text = str(error)
    if "Traceback (most recent call last)" in text:
        text = text.rstrip().splitlines()[-1]
    return " ".join(text.split())


def _ends(error: BaseException) -> str:
    """The first and the last line of a message: what lies between is a trace, or a list."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()] or ["no message"]
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "place unknown"


# ---------------------------------------------------------------------------------------------------------------------
# Signals
# ---------------------------------------------------------------------------------------------------------------------
def _take_signals(handler: Handler) -> dict[int, Any]:
    """Let `handler` take the signals that end a process, and give who took them before.

    Those that are ignored, as below nohup, stay ignored, and a thread of a larger program leaves all of them alone.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    taken = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: before for number, before in taken.items() if before not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, handler)
    return taken


def _leave_at_once(number: int, _: FrameType | None) -> None:
    if not _is_worker() and os.environ.get("RANK", "0") == "0":  # of several processes of a job one speaks
        with suppress(OSError):
            os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(128 + number)


class _Interruption:
    """Takes the signals of a command: KeyboardInterrupt in its main thread, once.

    A loader's workers get the terminal's Ctrl-C, too, but it is the main process that ends them.
    """

    def __init__(self) -> None:
        self.number = 0  # of the first signal; 0: none has come
        self.over = False  # it is known how the command ends: nothing is left to be interrupted
        self._since = -math.inf

    def __call__(self, number: int, _: FrameType | None) -> None:
        if _is_worker():
            if number == signal.SIGTERM:
                os._exit(128 + number)
        elif not self.over and time.monotonic() - self._since > PATIENCE:
            self.number, self._since = self.number or number, time.monotonic()
            raise KeyboardInterrupt

    def again(self) -> None:
        """Raise once more, soon: the first one was raised where Python drops exceptions, as in a destructor."""
        self._since = -math.inf
        threading.Timer(0.05, os.kill, (os.getpid(), self.number)).start()


def _is_worker() -> bool:
    """Whether this is a process that multiprocessing has started, by forking or anew."""
    process = sys.modules.get("multiprocessing.process")
    return os.getpid() != _Watch.process or process is not None and process.parent_process() is not None


# ---------------------------------------------------------------------------------------------------------------------
# Streams
# ---------------------------------------------------------------------------------------------------------------------
def _open_closed_streams() -> None:
    """What is printed to a stream that was closed goes nowhere, and no file of ours takes its number.

    Names of files that are no UTF-8 can be printed, too.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _say(line: str) -> None:
    if _Silence.on:
        return
    with suppress(OSError, ValueError):  # nobody reads
        print(line, file=sys.stderr, flush=True)


def _reader_has_gone() -> bool:
    """Whether it is stdout that is a broken pipe, and no other one, as that of a worker."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))


def _let_go() -> None:
    """Send what is still to be written nowhere, where it cannot be written: Python would print a trace of it at its end."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError) as error:  # a closed stream, or none, needs nothing
            if isinstance(error, OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _no_traces_elsewhere(interruption: _Interruption) -> Iterator[None]:
    """Traces that Python prints by itself, of threads and destructors, go where the others go.

    A thread's work is asked for by the main one, which meets the same error. A loader's worker whose thread fails, as it does
    without end where no more files can be opened, ends: the main process waits for it.
    """

    def note(event: Any) -> None:
        if interruption.number:  # else than the interruption itself: what follows from it
            if isinstance(event.exc_value, KeyboardInterrupt):
                interruption.again()
            return
        TRACES.debug("%s", first_line(event.exc_value), exc_info=event.exc_value)
        if _traces_wanted():
            traceback.print_exception(event.exc_value)

    def end_worker(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if _is_worker():
            os._exit(1)
        before[2](kind, error, trace)

    before = threading.excepthook, sys.unraisablehook, sys.excepthook
    threading.excepthook = sys.unraisablehook = note
    sys.excepthook = end_worker
    yield
    if not _Watch.on:
        threading.excepthook, sys.unraisablehook, sys.excepthook = before


def _traces_wanted() -> bool:
    return os.environ.get(VARIABLE, "0") not in ("", "0")
