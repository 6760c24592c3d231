"""The numbers of a result, all computed from the predictions of the images: when a run is recorded, and when it is verified."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from .schema import BINS, Bin, Result, calibration_error


def measured(
    labels: np.ndarray, top: np.ndarray, probabilities: np.ndarray, *, classes: int, split: str, told: bool
) -> Result:
    """The result of N images: true labels [N], likeliest labels [N, K] and their probabilities [N, K].

    `told`: the model was told whether the images are of base or of new classes, so that there is no accuracy of all classes.
    Sums are taken in the order of the images.
    """
    predicted = top[:, 0]
    right = predicted == labels
    total = np.bincount(labels, minlength=classes)
    correct = np.bincount(labels[right], minlength=classes)
    accuracy = 100 * int(right.sum()) / len(labels)
    bins = _bins(probabilities[:, 0].astype(np.float64), right)
    return Result(
        split=split,
        total=len(labels),
        correct=int(right.sum()),
        accuracy=accuracy,
        macro_f1=_macro_f1(total, correct, np.bincount(predicted, minlength=len(total))),
        all_classes=None if told else accuracy,
        class_total=total.tolist(),
        class_correct=correct.tolist(),
        ece=calibration_error(bins),
        bins=bins,
    )


def _macro_f1(total: np.ndarray, correct: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 in percent of the classes that have images; counts of images, correct ones and predictions by class."""
    there = total > 0
    f1 = 2 * correct[there] / (total[there] + predicted[: len(total)][there])
    return 100 * float(f1.mean())


def _bins(confidences: np.ndarray, right: np.ndarray) -> list[Bin]:
    """Bin k holds the confidences above k / BINS, up to and including (k + 1) / BINS."""
    edges = np.linspace(0, 1, BINS + 1)
    places = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    correct = np.bincount(places[right], minlength=BINS)
    sums = np.bincount(places, weights=confidences, minlength=BINS)
    return [Bin(int(n), int(k), float(s)) for n, k, s in zip(counts, correct, sums, strict=True)]


def differences(recorded: Result, recomputed: Result) -> list[str]:
    """Which numbers of a recorded result are not those that its predictions give, a phrase each."""
    wrong = [
        f"{name} is recorded as {getattr(recorded, name)}, and its predictions give {getattr(recomputed, name)}"
        for name in ("total", "correct", "accuracy", "macro_f1", "all_classes", "ece")
        if not _same(getattr(recorded, name), getattr(recomputed, name))
    ]
    for what, ours, theirs in (
        ("images", recorded.class_total, recomputed.class_total),
        ("correct images", recorded.class_correct, recomputed.class_correct),
    ):
        other = [label for label, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b]
        if other:
            wrong.append(f"the {what} of {len(other)} classes are others, first of label {other[0]}")
    return wrong


def _same(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= 1e-9 * max(1, abs(a))
