"""A figure: what was measured, as data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTS = ("", "jobs", "files", "images", "classes")  # units that are shown as whole numbers


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number. `n` samples are behind it, whose quartiles are `low` and `high`; a target is `least` or `most`."""

    name: str
    value: float
    unit: str
    n: int = 1
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it reaches its target; one without a target does, one that is no number doesn't."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def target(self) -> str:
        """In words, with whether it was met; empty where there is none."""
        bounds = {"at least": self.least, "at most": self.most}
        said = " and ".join(f"{word} {shown(bound, self.unit)}" for word, bound in bounds.items() if bound is not None)
        return said and f"{said}: {'met' if self.met else 'MISSED'}"

    def __str__(self) -> str:
        spread = "" if self.low is None or self.high is None or self.n < 3 else f" ({_both(self)})"
        return f"{shown(self.value, self.unit)}{spread}"


def median(name: str, samples: Sequence[float], unit: str = "s", **target: float) -> Figure:
    """The median of some samples, with their quartiles."""
    low, middle, high = quartiles(samples)
    return Figure(name=name, value=middle, unit=unit, n=len(samples), low=low, high=high, **target)


def ratio(name: str, above: Sequence[float], below: Sequence[float], unit: str = "x", **target: float) -> Figure:
    """The median of the ratios of samples that were taken in turn: what slows a whole turn down is in both."""
    return median(name, [a / b for a, b in zip(above, below, strict=True)], unit, **target)


def faster(times: Mapping[str, Sequence[float]], slow: str, fast: str, name: str = "faster", **target: float) -> Figure:
    """How many times faster one path of `alternating` is than another."""
    return ratio(name, times[slow], times[fast], **target)


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, interpolated as NumPy does."""
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def shown(value: float, unit: str) -> str:
    """A number with its unit, in as many digits as a measurement has."""
    if unit == "relative":
        return f"{value:.0e}" if value else "0"
    if unit in COUNTS:
        return f"{value:,.0f} {unit}".strip()
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}{'' if unit == 'x' else ' '}{unit}"


def _both(figure: Figure) -> str:
    low, high = (shown(value, figure.unit).removesuffix(figure.unit).strip() for value in (figure.low, figure.high))
    return f"{low} to {high}"
