"""What the user of a sweep sees: a line for each job that has ended, on stdout, and what else is to be said, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from ...ground.texts import tell
from ..jobs import Job
from .task import Begun, Outcome


def screen() -> Lines:
    """What fits where the sweep's output goes."""
    return Lines()


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

    def expect(self, jobs: Sequence[Job]) -> None:
        pass

    def waits(self, job: Job) -> None:
        pass

    def begun(self, job: Job, begun: Begun) -> None:
        pass

    def ended(self, job: Job, outcome: Outcome) -> None:
        pass

    def close(self) -> None:
        pass
