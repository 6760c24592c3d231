"""Exact tests of whether paired differences have the middle 0, both sides, by scipy.

Where there is no effect the sign of each difference is that of a fair coin: the sign-flip test looks at the mean of the
differences, Wilcoxon's at the sum of their signed ranks. With n differences no p is below 2 / 2^n.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SIGNIFICANT = 0.05
ENOUGH = 6  # differences, with which p can fall below SIGNIFICANT
ALL_FLIPS = 14  # differences, of which all flips of signs are counted; of more DRAWN ones with a fixed seed
DRAWN = 9_999
DIGITS = 9  # of differences in percent: what differs less are roundings of the same number


@dataclass(frozen=True)
class PairedTest:
    """Of paired differences, one for each `unit`: seed or dataset. The p are None where there are fewer than ENOUGH."""

    unit: str
    differences: tuple[float, ...]
    wilcoxon: float | None = None
    sign_flip: float | None = None

    @property
    def mean(self) -> float:
        return statistics.mean(self.differences)


def least_p(differences: int) -> float:
    """The smallest p that so many differences can have."""
    return 2.0 ** (1 - differences)


def exact_test(unit: str, differences: Sequence[float]) -> PairedTest:
    """Raises ValueError for none, and for differences that are no finite numbers."""
    rounded = tuple(round(float(difference), DIGITS) for difference in differences)
    if not rounded or not all(abs(difference) < float("inf") for difference in rounded):
        raise ValueError(f"differences {rounded}, expected finite numbers")
    if len(rounded) < ENOUGH:
        return PairedTest(unit, rounded)
    if not any(rounded):
        return PairedTest(unit, rounded, 1.0, 1.0)
    return PairedTest(unit, rounded, _wilcoxon([each for each in rounded if each]), _sign_flip(rounded))


def _wilcoxon(differences: Sequence[float]) -> float:
    """Of differences that are not 0. Where two have the same size, for which scipy has no exact p, ranks are flipped."""
    from scipy import stats  # takes a second, and most tables have too few seeds and datasets

    sizes = {abs(difference) for difference in differences}
    if len(sizes) == len(differences):
        return float(stats.wilcoxon(differences, method="exact").pvalue)
    ranks = stats.rankdata([abs(difference) for difference in differences])
    return _sign_flip([rank if each > 0 else -rank for rank, each in zip(ranks, differences, strict=True)])


def _sign_flip(differences: Sequence[float]) -> float:
    from numpy import inf, mean
    from numpy.random import default_rng
    from scipy import stats

    flips = inf if len(differences) <= ALL_FLIPS else DRAWN
    found = stats.permutation_test(
        (differences,),
        mean,
        permutation_type="samples",
        n_resamples=flips,
        vectorized=True,
        random_state=default_rng(1),
    )
    return float(found.pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """p corrected for testing them all (Holm, Scand. J. Stat. 6, 1979), in their order."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = largest
    return corrected
