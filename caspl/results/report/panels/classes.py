"""The classes that a method gets wrong most often, each with what it takes them for and the images it is surest about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .pictures import Finder
from .pooled import Images, Pooled

MOST_CLASSES = 8
MOST_IMAGES = 4  # of each class


@dataclass(frozen=True)
class Example:
    """An image whose class was not seen."""

    address: str  # a data: address, which holds the picture
    predicted: str
    confidence: str
    path: str
    size: int  # pixels of its longer side, as it is shown


@dataclass(frozen=True)
class Class:
    name: str
    correct: int
    total: int
    percent: str
    taken_for: list[str]  # the classes it was called most often, with counts
    examples: list[Example]


@dataclass(frozen=True)
class Worst:
    classes: list[Class]
    of: int  # classes with images


def worst_of(test: Pooled, images: Images | None, finder: Finder) -> Worst:
    """Worst first; among equals the first label."""
    totals = np.sum([result.class_total for result in test.results], axis=0)
    correct = np.sum([result.class_correct for result in test.results], axis=0)
    there = np.flatnonzero(totals)
    order = there[np.argsort(correct[there] / totals[there], kind="stable")][:MOST_CLASSES]
    examples = _examples(test, images, order.tolist(), finder) if images is not None else {}
    return Worst(
        [
            Class(
                name=test.names[label],
                correct=int(correct[label]),
                total=int(totals[label]),
                percent=f"{100 * correct[label] / totals[label]:.1f}",
                taken_for=_taken_for(test, images, label) if images is not None else [],
                examples=examples.get(label, []),
            )
            for label in order.tolist()
        ],
        len(there),
    )


def _taken_for(test: Pooled, images: Images, label: int) -> list[str]:
    guesses = Counter(images.predicted[(images.labels == label) & (images.predicted != label)].tolist())
    often = sorted(guesses.items(), key=lambda pair: (-pair[1], pair[0]))[:2]
    return [f"{test.names[guess]} ({count})" for guess, count in often]


def _examples(test: Pooled, images: Images, order: list[int], finder: Finder) -> dict[int, list[Example]]:
    """Each class's first image, then each one's second, as many as a test may have; those are the surest mistakes."""
    wrong = {label: _surest(images, label) for label in order}
    found: dict[int, list[Example]] = {label: [] for label in order}
    left = finder.each
    for turn in range(MOST_IMAGES):
        for label in order:
            if left and turn < len(wrong[label]):
                place = wrong[label][turn]
                picture = finder.picture(test.runs[0], images.paths[place])
                if picture is None:
                    continue
                left -= 1
                guess, sure = test.names[images.predicted[place]], f"{100 * images.confidence[place]:.0f} %"
                found[label].append(Example(picture.address, guess, sure, images.paths[place], picture.size))
    return found


def _surest(images: Images, label: int) -> list[int]:
    """Places of the mistakes on a class that the model is surest about; an image that several runs miss counts once."""
    wrong = np.flatnonzero((images.labels == label) & (images.predicted != label))
    ranked = wrong[np.argsort(-images.confidence[wrong], kind="stable")].tolist()
    first: dict[str, int] = {}
    for place in ranked:
        first.setdefault(images.paths[place], place)
    return list(first.values())[:MOST_IMAGES]
