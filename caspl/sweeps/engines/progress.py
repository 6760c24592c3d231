"""What the user of a sweep sees: a line for each job that has ended, on stdout, and what else is to be said, on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress

from ...ground.texts import tell
from ..jobs import Job
from .task import Outcome


class Lines:
    """Where nobody watches: nothing but lines, each as soon as there is something to tell."""

    def line(self, text: str) -> None:
        """On stdout. Raises BrokenPipeError where nobody reads any more."""
        tell(text)
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """On stderr, whether somebody reads it or not."""
        with suppress(OSError, ValueError):
            tell(text, sys.stderr)
            sys.stderr.flush()

    def waits(self, job: Job) -> None:
        """Another sweep is at a job."""

    def begun(self, job: Job, word: str) -> None:
        """A run was started."""

    def ended(self, job: Job, outcome: Outcome) -> None:
        """A job is over."""
