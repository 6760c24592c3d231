"""The course of trainings: mean loss and learning rate of each epoch, from the logs of this project and of the family's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...reading.logs import logs_in
from ...reading.text import read_lines

# "epoch [1/50] batch [5/20] ... loss 0.12 (0.23) ... lr 2e-3"; Dassl of 2021 writes [1/50][5/20]. In brackets: the mean so far
STEP = re.compile(r"epoch \[(\d{1,6})/\d{1,6}\] ?(?:batch )?\[\d{1,9}/\d{1,9}\]")
NUMBER = r"([-+]?(?:\d{1,12}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,3})?)"
LOSS = re.compile(rf"\b(\w*loss\w*) \S{{1,30}} \({NUMBER}\)")
RATE = re.compile(rf"\blr {NUMBER}")
MOST_POINTS = 120  # of one line


@dataclass(frozen=True)
class Epoch:
    """Its mean loss, as the last line of it says, and the learning rate there."""

    number: int
    loss: float
    rate: float | None


@dataclass(frozen=True)
class Trace:
    """One training, as an SVG path in a frame of 100 x 100, and its last loss."""

    label: str
    path: str
    last: str


@dataclass(frozen=True)
class Curves:
    losses: list[Trace]
    rates: str  # path of the learning rate, of the first training
    most: str  # loss at the frame's upper edge, and at its lower one
    least: str
    rate: str  # the highest learning rate
    epochs: int


def epochs_of(folder: Path) -> list[Epoch]:
    """What the logs of a run's folder say, oldest first: a resumed run goes on where it was, a new one begins again."""
    epochs: list[Epoch] = []
    for log in logs_in(folder):
        with suppress(OSError):
            for epoch in filter(None, map(_epoch, read_lines(log))):
                while epochs and epochs[-1].number >= epoch.number:
                    epochs.pop()
                epochs.append(epoch)
    return epochs


def _epoch(line: str) -> Epoch | None:
    """Of a line that tells of a batch; of several losses that is meant that is called loss, else the first."""
    step = STEP.match(line)
    losses = {name: value for name, value in reversed(LOSS.findall(line))} if step else {}
    if not losses:
        return None
    rate = RATE.search(line)
    loss = float(losses.get("loss", next(reversed(losses.values()))))
    return Epoch(int(step[1]), loss, float(rate[1]) if rate else None)


def curves_of(folders: Iterable[tuple[str, Path]]) -> Curves | None:
    """Of trainings, each with its label and folder; None where no log tells of two epochs."""
    known = {label: epochs for label, folder in folders if len(epochs := epochs_of(folder)) > 1}
    if not known:
        return None
    values = [epoch.loss for epochs in known.values() for epoch in epochs if math.isfinite(epoch.loss)]
    last = max(epochs[-1].number for epochs in known.values())
    first = next(iter(known.values()))
    rates = [(epoch.number, epoch.rate) for epoch in first if epoch.rate is not None]
    top = max((rate for _, rate in rates), default=0.0)
    low, high = min(values, default=0.0), max(values, default=1.0)
    return Curves(
        losses=[
            Trace(label, _path([(e.number, e.loss) for e in epochs], last, low, high), f"{epochs[-1].loss:.3f}")
            for label, epochs in known.items()
        ],
        rates=_path(rates, last, 0, top) if top else "",
        most=f"{high:.3g}",
        least=f"{low:.3g}",
        rate=f"{top:.2g}" if top else "",
        epochs=last,
    )


def _path(points: Sequence[tuple[int, float]], last: int, low: float, high: float) -> str:
    """From epoch 1 at the left to `last` at the right, from `low` at the bottom to `high` at the top."""
    step = -(-len(points) // MOST_POINTS)
    shown = [*points[:-1:step], points[-1]]
    spread = (high - low) or 1.0
    places = [
        f"{100 * (number - 1) / max(last - 1, 1):.1f},{100 - 100 * (value - low) / spread:.1f}"
        for number, value in shown
        if math.isfinite(value)
    ]
    return "M" + "L".join(places) if places else ""
