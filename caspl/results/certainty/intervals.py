"""95 % intervals of accuracies, over the test images and over seeds. All in percent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

from ..tables import Interval, harmonic_mean

LEVEL = 0.95
Z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)


def wilson(percent: float, images: int) -> Interval:
    """Of the accuracy `percent` on so many images (Wilson, J. Am. Stat. Assoc. 22, 1927).

    The images are drawn, the model is not: where the accuracy of the same model on other images of this kind lies.
    """
    share, weight = percent / 100, Z * Z / images
    middle = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / images + weight / (4 * images)) / (1 + weight)
    return Interval(100 * max(0.0, middle - half), 100 * min(1.0, middle + half))


def harmonic_over_images(pairs: Sequence[tuple[float, float]], base_images: int, new_images: int) -> Interval | None:
    """Of the mean of harmonic means, by the delta method; None where a pair of accuracies is 0 and 0.

    `pairs` are the accuracies on base and on new classes of each seed, on the same images: the errors of seeds are added as if
    other images shifted all seeds alike, which is never too narrow.
    """
    if any(base + new == 0 for base, new in pairs):
        return None
    gradients = [harmonic_gradient(base, new) for base, new in pairs]
    of_base = statistics.mean(
        by * _error(base, base_images) for (by, _), (base, _) in zip(gradients, pairs, strict=True)
    )
    of_new = statistics.mean(by * _error(new, new_images) for (_, by), (_, new) in zip(gradients, pairs, strict=True))
    middle, half = statistics.mean(harmonic_mean(*pair) for pair in pairs), Z * math.hypot(of_base, of_new)
    return Interval(max(0.0, middle - half), min(100.0, middle + half))


def harmonic_gradient(base: float, new: float) -> tuple[float, float]:
    """Derivatives of the harmonic mean by both accuracies, which are not both 0."""
    return 2 * (new / (base + new)) ** 2, 2 * (base / (base + new)) ** 2


def _error(percent: float, images: int) -> float:
    """Standard error of an accuracy in percent, over the images."""
    return math.sqrt(percent * (100 - percent) / images)


def over_seeds(numbers: Sequence[float]) -> Interval | None:
    """Of the mean over repetitions with other seeds, by Student's t; None of fewer than two."""
    if len(numbers) < 2:
        return None
    half = student(len(numbers) - 1) * statistics.stdev(numbers) / math.sqrt(len(numbers))
    mean = statistics.mean(numbers)
    return Interval(mean - half, mean + half)


@cache
def student(freedom: int) -> float:
    """How many standard errors the interval of LEVEL reaches to each side, with so many degrees of freedom."""
    from scipy.special import stdtrit  # takes a while, and logs without seeds don't need it

    return float(stdtrit(freedom, (1 + LEVEL) / 2))
