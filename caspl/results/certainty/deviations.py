"""Whether one of our numbers deviates from the published one by more than chance and number formats explain."""

from __future__ import annotations

import math
import statistics

from ..names import UNTRAINED
from ..tables import Cell
from .intervals import student

FORMATS = 0.1  # points: CLIP in fp16, as published, and in fp32 answers a few of a thousand images otherwise
PUBLISHED_SEEDS = 3  # that a published number is the mean of

BEYOND = "!"
NOTE = (
    f"{BEYOND}: the difference is beyond its tolerance: rounding, {FORMATS} points for number formats and, of what is trained, "
    "what holds 95 % of differences between our mean and that of three other seeds that deviate as ours do (Student's t). "
    "Of one seed nothing trained is judged."
)


def tolerance(cell: Cell) -> float | None:
    """In points, of a cell with a published counterpart; None where nothing can be said: one seed, or no runs.

    The published deviation is not known, so that ours stands for both: t with n - 1 degrees of freedom times
    s sqrt(1/n + 1/3), of n seeds with the sample deviation s.
    """
    fixed = cell.published.rounding + FORMATS
    if cell.runs and all(run.trainer in UNTRAINED for run in cell.runs):
        return fixed
    numbers = [*cell.by_seed.values()]
    if len(numbers) < 2:
        return None
    spread = statistics.stdev(numbers) * math.sqrt(1 / len(numbers) + 1 / PUBLISHED_SEEDS)
    return fixed + student(len(numbers) - 1) * spread


def beyond(cell: Cell) -> bool:
    """Whether a cell with a published counterpart deviates from it by more than its tolerance."""
    allowed = tolerance(cell)
    return allowed is not None and abs(cell.mean - cell.published.percent) > allowed
