"""The door of every command: what goes wrong becomes one sentence on stderr and an exit status, never a stack trace.

    sys.exit(door.run(lambda: work(parse_args(argv))))

With CASPL_TRACE=1 in the environment the whole trace is printed, too. The trace of what nobody expected goes to the logger
TRACES in any case, which the log file of a run listens to (dassl.utils.setup_logger) and the terminal does not.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable

from .errors import InputError
from .texts import sentence

VARIABLE = "CASPL_TRACE"
TRACES = logging.getLogger("caspl.trace")
TRACES.setLevel(logging.DEBUG)
TRACES.propagate = False

ADVICE = {
    errno.ENOENT: "check the path",
    errno.ENOSPC: "make room, or choose another place",
    errno.EDQUOT: "make room, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "name a file",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def run(body: Callable[[], int | None], *, interrupted: str = "interrupted") -> int:
    """Run a command and give its exit status; what `body` raises is printed as one line.

    Status: that of `body` (None: 0); 2 for a mistake in what was given and for what the disk refuses; 1 for what nobody
    expected; 130 for Ctrl-C, with the sentence `interrupted`; 0 where the reader of our output, such as `head`, has gone.
    """
    try:
        status = body() or 0
        sys.stdout.flush()  # what is printed may find no reader or no room only now
        return status
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        status, text = outcome(error)
        if not isinstance(error, InputError):
            TRACES.debug("%s", text, exc_info=error)
        if os.environ.get(VARIABLE, "0") not in ("", "0"):
            traceback.print_exception(error)
        print(f"error: {sentence(text)}", file=sys.stderr)
        return status
    finally:
        _let_go()


def outcome(error: BaseException) -> tuple[int, str]:
    """The exit status and the sentence, on one line, of an exception that ends a command."""
    message = " ".join(str(error).split())
    if isinstance(error, InputError) or isinstance(error, OSError) and error.errno is None:
        return 2, message or type(error).__name__  # without a number: raised by a library with a sentence of its own
    if isinstance(error, OSError):
        place = error.filename if error.filename is not None else "the output"
        advice = ADVICE.get(error.errno, "choose another place")
        return 2, f"{os.fsdecode(place)} cannot be written or read ({error.strerror}); {advice}"
    if isinstance(error, FloatingPointError):  # training has diverged
        return 1, message
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # PyTorch's, on any device
        return 1, f"not enough memory{f' ({message})' if message else ''}; use smaller batches or fewer classes"
    return 1, (
        f"unexpected {type(error).__name__}: {_ends(error)} ({_place(error)}); set {VARIABLE}=1 to see the whole trace, and "
        f"report it"
    )


def _ends(error: BaseException) -> str:
    """The first and the last line of a message: what lies between is a trace, or a list."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()] or ["no message"]
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "place unknown"


def _let_go() -> None:
    """Send what is still to be written nowhere, where it cannot be written: Python would print a trace of it at its end."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError) as error:  # a closed stream, or none, needs nothing
            if isinstance(error, OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
