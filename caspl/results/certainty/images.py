"""Differences of two methods on the same test images, from the predictions of each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..reading.run import Run
from ..records import predictions
from ..tables import Interval, harmonic_mean
from .intervals import Z, harmonic_gradient

Images = tuple[str, ...]


class Answers:
    """Which images the runs below a folder have right; each run is read once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._known: dict[str, tuple[Images, np.ndarray]] = {}

    def difference(self, own: Sequence[Run], other: Sequence[Run]) -> Interval | None:
        """95 % interval of one method's number minus another's, in points, over the images that both were tested on.

        The number is the mean accuracy of the runs or, where they are of base and of new classes, the mean of their seeds'
        harmonic means, whose interval is by the delta method. The models are given and the images are drawn; each image counts
        with its difference, so that what is hard for both cancels. None where there are no predictions, or of other images.
        Raises InputError for a file that is not as its record says.
        """
        sides = [self._influences(runs) for runs in (own, other)]
        if None in sides:
            return None
        (mine, ours), (yours, theirs) = sides
        if {key: images for key, (images, _) in ours.items()} != {key: images for key, (images, _) in theirs.items()}:
            return None
        differences = [influence - theirs[classes][1] for classes, (_, influence) in ours.items()]
        if any(len(difference) < 2 for difference in differences):
            return None
        half = Z * math.sqrt(sum(np.var(difference, ddof=1) / len(difference) for difference in differences))
        return Interval(mine - yours - half, mine - yours + half)

    def _influences(self, runs: Sequence[Run]) -> tuple[float, dict[str, tuple[Images, np.ndarray]]] | None:
        """A method's number and, by the tested classes, the images and what each adds to that number, times their count."""
        right: dict[str, dict[int | None, np.ndarray]] = {}
        images: dict[str, Images] = {}
        for run in runs:
            if run.record is None or run.record.predictions is None:
                return None
            names, right.setdefault(run.classes, {})[run.seed] = self._right(run)
            if images.setdefault(run.classes, names) != names:
                return None
        if len(right) == 1:
            ((classes, seeds),) = right.items()
            every = np.mean([*seeds.values()], axis=0)
            return float(every.mean()), {classes: (images[classes], every)}
        numbers, base, new = [], [], []
        for seed, of_base in right["base"].items():
            of_new = right["new"][seed]
            if of_base.mean() + of_new.mean() == 0:
                return None
            by_base, by_new = harmonic_gradient(of_base.mean(), of_new.mean())
            numbers.append(harmonic_mean(of_base.mean(), of_new.mean()))
            base.append(by_base * of_base)
            new.append(by_new * of_new)
        parts = {"base": (images["base"], np.mean(base, axis=0)), "new": (images["new"], np.mean(new, axis=0))}
        return float(np.mean(numbers)), parts

    def _right(self, run: Run) -> tuple[Images, np.ndarray]:
        """The images in the order of the file, [N], and 100 for each that is right, else 0."""
        if run.path not in self._known:
            table = predictions.read((self._folder / run.path).parent, run.record.predictions)
            self._known[run.path] = tuple(table.images), 100.0 * (table.top[:, 0] == table.labels)
        return self._known[run.path]
