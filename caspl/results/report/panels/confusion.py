"""Which classes are taken for which: all of them in a matrix, the most frequent mistakes in words."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .pooled import Images, Pooled

MOST_SHOWN = 12  # classes whose counts are written into the matrix; of more it is a picture
MOST_LETTERS = 14  # of a name beside the matrix
MOST_PAIRS = 10
SIDE = 160  # pixels of that picture, at most: of more classes several share one
DENSEST = 0.65  # of a square, on which its number is to be read
COLOR = (68, 119, 170)  # seen on white and on black; how many images is how dense it is


@dataclass(frozen=True)
class Square:
    """True class in row, predicted class in column."""

    row: int
    column: int
    count: int
    density: str  # 0 to DENSEST: the share of the true class's images


@dataclass(frozen=True)
class Pair:
    """A mistake: images of one class that were taken for another."""

    true: str
    predicted: str
    count: int
    total: int  # images of the true class


@dataclass(frozen=True)
class Confusion:
    names: list[str]  # of the rows and columns of `squares`; none where there are too many
    left: int  # pixels that the rows' names take
    squares: list[Square]
    picture: str  # the matrix as an image's address; "" where squares say it
    classes: int
    pairs: list[Pair]  # the most frequent mistakes, where squares don't say it
    images: int
    runs: int


def confusion_of(test: Pooled, images: Images) -> Confusion:
    classes = len(test.names)
    counts = np.bincount(images.labels * classes + images.predicted, minlength=classes**2).reshape(classes, classes)
    small = classes <= MOST_SHOWN
    return Confusion(
        names=list(test.names) if small else [],
        left=14 + 6 * min(MOST_LETTERS, max(map(len, test.names))),
        squares=_squares(counts) if small else [],
        picture="" if small else _picture(counts),
        classes=classes,
        pairs=[] if small else _pairs(test.names, counts),
        images=len(images.labels),
        runs=images.runs,
    )


def _squares(counts: np.ndarray) -> list[Square]:
    totals = counts.sum(axis=1)
    return [
        Square(int(row), int(column), int(counts[row, column]), f"{DENSEST * counts[row, column] / totals[row]:.2f}")
        for row, column in np.argwhere(counts)
    ]


def _pairs(names: tuple[str, ...], counts: np.ndarray) -> list[Pair]:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    places = [divmod(int(place), len(names)) for place in order]
    return [
        Pair(names[row], names[column], int(wrong[row, column]), int(counts[row].sum()))
        for row, column in places
        if wrong[row, column]
    ]


def _picture(counts: np.ndarray) -> str:
    """Of C classes C x C pixels or, where they are more than SIDE, the sums of blocks; each row by its own images."""
    step = -(-len(counts) // SIDE)
    edges = np.arange(0, len(counts), step)
    blocks = np.add.reduceat(np.add.reduceat(counts, edges, axis=0), edges, axis=1)
    share = blocks / np.maximum(blocks.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*share.shape, 4), np.uint8)
    pixels[..., :3] = COLOR
    pixels[..., 3] = np.rint(255 * np.sqrt(share))  # the root, so that few mistakes are seen, too
    file = io.BytesIO()
    Image.fromarray(pixels).quantize(16).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
