"""Keeping other libraries' notices and long waits away from users, where what matters reaches them as one sentence of ours."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 5.0  # seconds in which the Hugging Face Hub is to answer at all


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Inside, Python's warnings are left out, and what the loggers called `names` ("" is the root) say below CRITICAL."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def leaving_out(*beginnings: str) -> Iterator[None]:
    """Inside, the root's logger gives warnings and errors only, and none with one of these beginnings."""

    def other(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING and not record.getMessage().startswith(beginnings)

    root = logging.getLogger()
    root.addFilter(other)
    try:
        yield
    finally:
        root.removeFilter(other)


@contextmanager
def asking_the_hub(*names: str) -> Iterator[None]:
    """Inside, the Hub's client is offline where the Hub does not answer, and its notices and those of `names` are left out.

    By itself it tries for half a minute for each file that its cache lacks, and logs each try.
    """
    from huggingface_hub import constants  # here, since a local file does not need it

    offline = constants.HF_HUB_OFFLINE
    with quiet("huggingface_hub", *names):
        constants.HF_HUB_OFFLINE = offline or not _answers(constants.ENDPOINT)
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = offline


@contextmanager
def without_the_hub() -> Iterator[None]:
    """Inside, the Hub's client asks nobody."""
    from huggingface_hub import constants  # as above

    offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _answers(address: str) -> bool:
    """Whether anybody does, with whatever status."""
    from huggingface_hub.errors import HTTPError  # of the HTTP library, which is another one in other versions
    from huggingface_hub.utils import get_session

    try:
        get_session().head(address, timeout=PATIENCE)
    except (HTTPError, OSError):
        return False
    return True
