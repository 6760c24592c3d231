"""How far the model can be believed: of each bin of confidence, how many of its images are right."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ...records import Bin
from .pooled import Pooled


@dataclass(frozen=True)
class Bar:
    """One bin, pooled over runs: places and sizes in percent of the diagram."""

    left: str
    width: str
    top: str  # from above, of a bar as high as the percentage of its images that are right
    right: str  # that percentage
    confidence: str  # mean, in percent
    correct: int
    images: int


@dataclass(frozen=True)
class Reliability:
    bars: list[Bar]  # without those that have no image
    counts: str  # an SVG path: of each bin a bar as high as its images are many, the fullest bin's being 100
    most: int  # images of the fullest bin
    words: str


def reliability_of(test: Pooled) -> Reliability | None:
    """None where a run has no calibration error."""
    results = test.results
    if any(result.ece is None or not result.bins for result in results):
        return None
    bins = [_joined(column) for column in zip(*(result.bins for result in results), strict=True)]
    most = max(each.images for each in bins)
    width = 100 / len(bins)
    bars = [
        Bar(
            left=f"{place * width:.1f}",
            width=f"{width:.1f}",
            top=f"{100 - 100 * each.correct / each.images:.1f}",
            right=f"{100 * each.correct / each.images:.1f}",
            confidence=f"{100 * each.confidence / each.images:.1f}",
            correct=each.correct,
            images=each.images,
        )
        for place, each in enumerate(bins)
        if each.images
    ]
    counts = [
        f"M{place * width:.1f},100v-{100 * each.images / most:.1f}h{width:.1f}V100z"
        for place, each in enumerate(bins)
        if each.images
    ]
    return Reliability(
        bars, "".join(counts), most, _words(_joined(bins), [result.ece for result in results], len(bins))
    )


def _joined(bins: list[Bin] | tuple[Bin, ...]) -> Bin:
    return Bin(
        sum(each.images for each in bins),
        sum(each.correct for each in bins),
        sum(each.confidence for each in bins),
    )


def _words(whole: Bin, errors: list[float], bins: int) -> str:
    sure, right = 100 * whole.confidence / whole.images, 100 * whole.correct / whole.images
    judged = "about as sure as it is right" if abs(sure - right) < 1 else "too sure" if sure > right else "too modest"
    mean = f", the mean of {len(errors)} runs" if len(errors) > 1 else ""
    return (
        f"ECE {statistics.mean(errors):.2f} % ({bins} bins{mean}). On average its confidence is {sure:.1f} % and "
        f"{right:.1f} % are right: it is {judged}."
    )
