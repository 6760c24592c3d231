"""Whether a training went anywhere: divergence that leaves no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from caspl.ground.errors import InputError

FEW = 10  # batches: the scatter of fewer says little


@dataclass
class Epoch:
    """Sums over the batches of an epoch; means are weighted with the images."""

    number: int
    batches: int = 0
    images: int = 0
    loss: float = 0.0
    squares: float = 0.0
    correct: float = 0.0

    @property
    def mean(self) -> float:
        return self.loss / self.images

    @property
    def error(self) -> float:
        """Standard error of the mean, from the scatter of the batches."""
        return math.sqrt(max(0.0, self.squares / self.images - self.mean**2) / self.batches)


@dataclass
class Course:
    """The epochs of a training and their mean losses; `state` and `of_state` carry them over an interruption."""

    first: Epoch | None = None
    latest: Epoch | None = None
    losses: list[float] = field(default_factory=list)  # means of the epochs, without the latest
    labelled: bool = True

    def add(self, epoch: int, images: int, loss: float, accuracy: float | None = None) -> None:
        """A batch of `images` in `epoch` (from 0): its mean loss, and its accuracy in percent where there are labels."""
        if self.latest is None or epoch != self.latest.number:
            self.losses += [self.latest.mean] if self.latest else []
            self.latest = Epoch(epoch)
            self.first = self.first or self.latest
        now = self.latest
        now.batches += 1
        now.images += images
        now.loss += images * loss
        now.squares += images * loss**2
        now.correct += images * (accuracy or 0.0) / 100
        self.labelled = accuracy is not None

    def complaint(self, classes: int, tested: float | None = None) -> str:
        """What tells that training did not help; "" where nothing does.

        Either the accuracy is below that of guessing: that of a test after training, in percent, `tested`; without one, that
        on the labelled images of the last epoch, of which few can miss by chance, within three standard errors of guessing.
        Or the mean loss of the last fifth of the epochs is above that of the first by more than chance: by three standard
        errors and a tenth, or by half where the first has few batches.
        """
        first, last = self.first, self.latest
        if first is None or last is None:
            return ""
        said, guessing = [], 100 / classes
        accuracy, least = tested, guessing
        if tested is None and self.labelled:
            accuracy = 100 * last.correct / last.images
            least -= 3 * math.sqrt(guessing * (100 - guessing) / last.images)
        if accuracy is not None and accuracy < least - 1e-6:
            said.append(f"the accuracy is {accuracy:.1f} %, below the {guessing:.1f} % of guessing")
        means = [*self.losses, last.mean]
        latest = means[-max(1, len(means) // 5) :]
        mean = sum(latest) / len(latest)
        rise = first.mean / (10 if first.batches >= FEW else 2)
        if last is not first and mean > first.mean + max(3 * first.error, rise):
            said.append(f"the loss at the end, {mean:.4g}, is above that of the first epoch, {first.mean:.4g}")
        return " and ".join(said)

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Course:
        """The course of a run whose `state` this is, of one that kept none an empty one. Raises InputError for all else."""
        try:
            course = cls(**state)
            course.losses = [float(loss) for loss in course.losses]
            epochs = (course.first, course.latest)
            course.first, course.latest = (e and Epoch(**{k: v + 0 for k, v in e.items()}) for e in epochs)
        except (TypeError, ValueError, AttributeError):
            raise InputError(
                f"no run has written {str(state)[:80]} as the course of its training; delete the file"
            ) from None
        if course.first == course.latest:
            course.latest = course.first  # one object, as it was
        return course
