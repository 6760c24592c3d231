"""What a host shows of CasPL: mistakes as one sentence, and log messages where the host's own go."""

from __future__ import annotations

import logging
import sys
from typing import Any

from ..ground import door
from ..ground.errors import InputError
from ..ground.tensors.finite import NotFiniteError
from ..ground.texts import sentence, tell
from .changes import Changes


def end_in_sentences(changes: Changes) -> None:
    """Let a mistake of the user, and a training that diverges, end in a sentence without a trace; all else is as before."""
    others = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, InputError | NotFiniteError):
            tell(f"error: {sentence(door.outcome(error)[1])}", sys.stderr)
        else:
            others(kind, error, trace)

    changes.attribute(sys, "excepthook", show)


class HostHandler(logging.Handler):
    """Passes what CasPL logs on to where the host's messages go, and so into its log.txt.

    Dassl 0.6.3 prints, and puts something that also writes to the file in the place of sys.stdout. Others may log.
    """

    def emit(self, record: logging.LogRecord) -> None:
        root = logging.getLogger()
        if any(getattr(handler, "stream", None) is sys.stdout for handler in root.handlers):
            root.handle(record)
        else:
            tell(self.format(record))


def log_as_the_host(changes: Changes) -> None:
    """Let CasPL's log messages go where the host's go."""
    logger = logging.getLogger("caspl")
    changes.attribute(logger, "handlers", [HostHandler()])
    changes.attribute(logger, "propagate", False)
    changes.callback(logger.setLevel, logger.level)
    logger.setLevel(logging.INFO)
    changes.callback(logging.disable, logging.root.manager.disable)
    logging.disable(logging.NOTSET)  # Dassl 0.6.3 switches all logging off when it imports WILDS, our warnings with it
