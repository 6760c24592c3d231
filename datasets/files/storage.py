"""Files that the datasets keep in their own folder: written whole or not at all, by one process at a time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from caspl.ground.files import regular, replacing
from caspl.ground.locks import HeldError
from caspl.ground.locks import locked as lock

logger = logging.getLogger(__name__)

LOCK_NAME = ".caspl.lock"
LOCK_SECONDS = 600  # far longer than making a split takes; whoever holds it that long hangs


@cache
def log_once(level: int, message: str) -> None:
    """Log a message the first time it comes up in this process."""
    logger.log(level, message)


_LOOKING = ContextVar("looking", default=False)


def is_only_looking() -> bool:
    """Whether what is read is not kept, see `only_looking`; whoever looks asks for what a run warns of by itself."""
    return _LOOKING.get()


@contextmanager
def only_looking() -> Iterator[None]:
    """Let nothing that is read in the block be kept: no splits, lists or counts."""
    token = _LOOKING.set(True)
    try:
        yield
    finally:
        _LOOKING.reset(token)


@contextmanager
def locked(folder: str | Path) -> Iterator[bool]:
    """Let one process at a time, of those that use the same `folder`, run the block.

    Where no lock can be had, as on a read-only disk, the block runs all the same and receives False: what it writes
    replaces files in one step, so at worst two processes do the same work.
    """
    with ExitStack() as stack:
        try:
            alone = stack.enter_context(lock(Path(folder) / LOCK_NAME, patience=LOCK_SECONDS))
        except HeldError as error:
            logger.warning("%s; going on without it after %d s", error, LOCK_SECONDS)
            alone = False
        yield alone


def store(path: str | Path, content: bytes, folder: str | Path) -> bool:
    """Write a file of dataset `folder` in one step, or warn once per folder that it cannot be written to.

    Returns:
        Whether the file was written; never where one is `only_looking`.
    """
    if is_only_looking():
        return False
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        log_once(
            logging.WARNING,
            f"{folder} cannot be written to ({error.strerror or error}): splits and few-shot "
            f"lists made here are not kept, every run makes them again",
        )
        return False
    return True


def split_digest(path: str | Path) -> str:
    """The SHA-256 of a split file as it is published; some copies end with a newline."""
    return hashlib.sha256(regular(path).read_bytes().rstrip()).hexdigest()
