"""What the user of a sweep sees: a line for each job that is over, on stdout, and what else is to be said, on stderr.

On a terminal a table stands below the lines and is drawn anew every second: what runs where and for how long, how many jobs are
done, and how long the rest may take, by the jobs of the same kind, trainer and dataset that have ended.
"""

from __future__ import annotations

import heapq
import os
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import NamedTuple

from ...ground.texts import tell, visible
from ..jobs import Job, Kind
from ..state import seconds_of
from .task import FAILED, RUN, SKIP, Begun, Outcome

UP, BELOW = "\x1b[{}A", "\x1b[J"  # go up some lines; clear what is below the cursor
MOST_ROWS = 16  # of what is running
LEAST = 12  # columns for the end of a folder
NAMED = 2  # things of which nothing is known that are named


def screen() -> Lines:
    """What fits where the output of this process goes."""
    ours = _is_terminal(sys.stderr)
    if ours and _is_terminal(sys.stdout) and os.environ.get("TERM", "dumb") != "dumb":
        return Table()
    return Lines(tell_starts=ours)


def _is_terminal(stream: object) -> bool:
    with suppress(AttributeError, ValueError):  # closed, or another's
        return stream.isatty()  # type: ignore[attr-defined]
    return False


class Lines:
    """Where nobody watches: nothing but lines, each as soon as there is something to tell."""

    pace = 60.0  # seconds after which `tick` should be called again

    def __init__(self, *, tell_starts: bool = False):
        self._tell_starts = tell_starts

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
        if self._tell_starts:
            self.say(f"start {job.folder}")

    def ended(self, job: Job, outcome: Outcome) -> None:
        pass

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


# ---------------------------------------------------------------------------------------------------------------------
# How long the rest may take
# ---------------------------------------------------------------------------------------------------------------------
class Likeness(NamedTuple):
    """What jobs that take about the same time have in common."""

    kind: Kind
    trainer: str
    dataset: str

    def __str__(self) -> str:
        kind = "tests" if self.kind is Kind.TEST else "trainings"
        return " ".join(
            filter(None, [kind, self.trainer and f"of {self.trainer}", self.dataset and f"on {self.dataset}"])
        )


def likeness(job: Job) -> Likeness:
    """Of a job, by its command line."""
    given = dict(zip(job.arguments[:-1], job.arguments[1:], strict=True))
    kind = Kind.PHASE1 if job.kind is Kind.BOOSTING else job.kind
    dataset = given.get("DATASET.MEMBERS") or PurePath(given.get("--dataset-config-file", "")).stem
    return Likeness(kind, given.get("--trainer", ""), dataset)


class Estimate:
    """Learns from the jobs that have ended how long the others may take. Thousands of jobs are asked for at each line."""

    def __init__(self) -> None:
        self._known: dict[Likeness, tuple[float, int]] = {}  # seconds of all together, and how many
        self._likeness: dict[str, Likeness] = {}  # by folder

    def learn(self, job: Job, seconds: float) -> None:
        total, count = self._known.get(self._like(job), (0.0, 0))
        self._known[self._like(job)] = total + seconds, count + 1

    def seconds(self, job: Job) -> float | None:
        """That a whole run takes; None: nothing like it has ended."""
        total, count = self._known.get(self._like(job), (0.0, 0))
        return total / count if count else None

    def _like(self, job: Job) -> Likeness:
        if job.folder not in self._likeness:
            self._likeness[job.folder] = likeness(job)
        return self._likeness[job.folder]

    def left(self, running: dict[str, float], jobs: Sequence[Job], places: int) -> tuple[float, Counter[Likeness]]:
        """Seconds until those `jobs` have ended of which something is known, and the others, counted.

        `running`: {folder: seconds that it has run}; `places`: how many jobs run at a time. They start in their order, each
        behind the one that it needs.
        """
        free = [0.0] * max(places, 1)
        ends: dict[str, float] = {}
        unknown: Counter[Likeness] = Counter()
        for job in sorted(jobs, key=lambda job: job.folder not in running):
            seconds = self.seconds(job)
            if seconds is None:
                unknown[self._like(job)] += 1
            else:
                start = max(heapq.heappop(free), ends.get(job.needs, 0.0))
                ends[job.folder] = start + max(seconds - running.get(job.folder, 0.0), 0.0)
                heapq.heappush(free, ends[job.folder])
        return max(ends.values(), default=0.0), unknown


# ---------------------------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------------------------
class Table(Lines):
    """Lines with a table below them, on a terminal."""

    pace = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._clock, self._estimate = clock, Estimate()
        self._left: dict[str, Job] = {}  # by folder, also those that are running
        self._running: dict[str, tuple[Begun, float]] = {}  # and since when
        self._elsewhere: set[str] = set()  # folders that another sweep is at
        self._over: Counter[str] = Counter()  # by how they ended
        self._places, self._since = 1, clock()
        self._drawn: list[int] = []  # width of each row on the screen
        self._open = True

    def line(self, text: str) -> None:
        self._above(lambda: super(Table, self).line(text))

    def say(self, text: str) -> None:
        self._above(lambda: super(Table, self).say(text))

    def expect(self, jobs: Sequence[Job]) -> None:
        self._left = {job.folder: job for job in jobs}

    def waits(self, job: Job) -> None:
        self._elsewhere.add(job.folder)

    def begun(self, job: Job, begun: Begun) -> None:
        self._elsewhere.discard(job.folder)
        self._running[job.folder] = begun, self._clock()
        self._places = max(self._places, len(self._running))
        self.tick()

    def ended(self, job: Job, outcome: Outcome) -> None:
        begun = self._running.pop(job.folder, None)
        if outcome.word == SKIP:
            seconds = seconds_of(job.folder)
        else:
            seconds = (
                self._clock() - begun[1] if begun and outcome.word == RUN else None
            )  # of a resumed one a part was seen
        if seconds is not None:
            self._estimate.learn(job, seconds)
        self._elsewhere.discard(job.folder)
        self._left.pop(job.folder, None)
        self._over[outcome.word if outcome.word in (SKIP, FAILED) else RUN] += 1

    def tick(self) -> None:
        """Draw the table anew."""
        if self._open:
            columns, lines = _size()
            rows = self.rows(min(MOST_ROWS, max(1, lines - 4)), columns - 1)
            self._put(self._gone(columns) + "\n".join(rows))
            self._drawn = [_cells(row) for row in rows]

    def close(self) -> None:
        """Take the table away; lines stay."""
        if self._open:
            self._erase()
            self._open = False

    def rows(self, most: int, columns: int) -> list[str]:
        """What is running, at most so many rows, then counts and the time left; each fits into so many columns."""
        now = self._clock()
        running = sorted(self._running.items(), key=lambda item: item[1][1])
        shown = running if len(running) <= most else running[: most - 1]
        places = max((len(begun.place) for _, (begun, _) in running), default=0)
        rows = []
        for folder, (begun, since) in shown:
            seconds = self._estimate.seconds(self._left[folder])
            left = "" if seconds is None else f"of {_clock_time(seconds)}"
            head = visible(f"{begun.word:<6}  {begun.place:<{places}}  {_clock_time(now - since):>8} {left:<11}  ")
            if columns - _cells(head) < LEAST:  # a narrow window: which run it is comes first
                head = f"{begun.word:<6}  "
            rows.append(head + _end_of(visible(folder), columns - _cells(head)))
        if len(shown) < len(running):
            rows.append(f"... and {len(running) - len(shown)} more")
        return [_cut(visible(row), columns) for row in [*rows, self._counts(now), self._time_left(now)] if row]

    def _counts(self, now: float) -> str:
        counts = {
            "running": len(self._running),
            "waiting": len(self._left) - len(self._running) - len(self._elsewhere),
            "elsewhere": len(self._elsewhere),
            "done": self._over[RUN],
            "skipped": self._over[SKIP],
            "failed": self._over[FAILED],
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what in ("running", "waiting"))
        return f"{_clock_time(now - self._since)}  {told}"

    def _time_left(self, now: float) -> str:
        running = {folder: now - since for folder, (_, since) in self._running.items()}
        seconds, unknown = self._estimate.left(running, list(self._left.values()), self._places)
        known = len(self._left) - unknown.total()
        some = f" for {known} of {len(self._left)} jobs" if unknown else ""
        said = [f"about {_clock_time(seconds)} left{some}"] if known else []
        if unknown:
            names = [str(like) for like in list(unknown)[:NAMED]] + (["others"] if len(unknown) > NAMED else [])
            said.append(f"not known yet of {unknown.total()}: {', '.join(names)}")
        return "; ".join(said)

    def _above(self, write: Callable[[], object]) -> None:
        """Write a line where the table stands, and the table below it."""
        self._erase()
        write()
        self.tick()

    def _erase(self) -> None:
        self._put(self._gone(_size()[0]))
        self._drawn = []

    def _gone(self, columns: int) -> str:
        """What clears the table, also where its rows take more lines by now, in a window that was made narrower."""
        if not self._drawn:
            return ""
        up = sum(max(1, -(-width // max(columns, 1))) for width in self._drawn) - 1
        return "\r" + (UP.format(up) if up else "") + BELOW

    def _put(self, text: str) -> None:
        if text:
            with suppress(OSError, ValueError):
                sys.stderr.write(text)
                sys.stderr.flush()


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal."""
    with suppress(OSError, ValueError, AttributeError):
        size = os.get_terminal_size(sys.stderr.fileno())
        if size.columns and size.lines:
            return size.columns, size.lines
    return 80, 24


def _cells(text: str) -> int:
    """The columns that a text takes; Chinese characters take two."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, columns: int) -> str:
    """The beginning of a text that fits; what is cut has left its mark."""
    if _cells(text) <= columns:
        return text
    while text and _cells(text) > columns - 1:
        text = text[:-1]
    return f"{text}…" if columns > 0 else ""


def _end_of(folder: str, columns: int) -> str:
    """The end of a folder that fits: it says more than the beginning, which others share. What is cut has left its mark."""
    if columns < 2 or _cells(folder) <= columns:
        return folder
    while _cells(folder) > columns - 1:
        folder = folder[1:]
    return f"…{folder}"


def _clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(max(seconds, 0)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
