"""The file beside a record with the prediction of each image: a CSV table, packed by gzip.

    image,label,label1,...,label5,probability1,...,probability5
    zero/0000.png,0,0,6,5,8,9,0.991804957,0.0030141,0.0020531,0.00120412,0.00109712

`image` is its path in the folder of the dataset's images, or in that of its data; where there is none, its number in the list
of test images. `label` is the true one; the others are the likeliest, the first is the prediction. Where a dataset has fewer
than five classes, the last columns are empty. The first probability is written to the last bit of its float32, from which the
calibration error follows, the others to five digits. Equal predictions are equal files.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ...checkpoints.headers import MOST_CLASSES
from ...ground.errors import InputError, cause
from ...ground.files import regular, replacing
from ...ground.texts import FORMULA, shown, visible
from . import features
from .files import UNALTERED, sha256_of
from .measures import differences, measured
from .schema import Predictions, Record, Result

NAME = "predictions.csv.gz"
TOP = 5
HEAD = ["image", "label", *(f"label{n}" for n in range(1, TOP + 1)), *(f"probability{n}" for n in range(1, TOP + 1))]
PACKING = 3  # of 9: more take twice the time and save a twentieth
LARGEST = 2**32  # bytes, unpacked
LONGEST_LINE = 65_536
OTHER = "is not the file of its run, as the checksum in the record says"
MOST_SUM = 1.001  # of an image's probabilities, which are rounded


@dataclass(frozen=True)
class Table:
    """What a file holds, of N images in its order; K is TOP, or the number of classes where that is smaller."""

    images: list[str]
    labels: np.ndarray  # [N]
    top: np.ndarray  # [N, K]
    probabilities: np.ndarray  # [N, K], float32


def write(folder: str | Path, table: Table) -> Predictions:
    """Write the file into the folder of a run, in one step, and give what its record says of it.

    Raises OSError where it can't be written.
    """
    path = Path(folder) / NAME
    content = gzip.compress(_text(table).encode("utf-8"), PACKING, mtime=0)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return Predictions(NAME, len(table.images), sha256_of(path))


def _text(table: Table) -> str:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(HEAD)
    empty = [[""] * len(table.images)] * (TOP - table.top.shape[1])
    first, *others = table.probabilities.T.tolist()
    columns = [
        map(shown_path, table.images),
        table.labels.tolist(),
        *table.top.T.tolist(),
        *empty,
        map("{:.9g}".format, first),
        *(map("{:.5g}".format, column) for column in others),
        *empty,
    ]
    writer.writerows(zip(*columns, strict=True))
    return rows.getvalue()


def shown_path(image: str) -> str:
    """A path as the table holds it: nothing in it acts upon a terminal, and nothing is a spreadsheet's formula."""
    text = visible(image)
    return f"./{text}" if text.startswith(FORMULA) else text


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------
def read(folder: str | Path, said: Predictions) -> Table:
    """The file in the folder of a run, of which its record has `said` something.

    Raises InputError, in one sentence with the file and the line, where there is none, where it is not the one that the record
    speaks of, or is no such table.
    """
    path = Path(folder) / said.file
    with _in_a_sentence(path):
        if sha256_of(path) != said.sha256:
            raise ValueError(OTHER)
        with open(regular(path), "rb") as file:
            return _table(file, said.images)


def unpacked(content: bytes, name: str, said: Predictions) -> Table:
    """The same from the bytes of a file called `name`. Raises InputError as `read`."""
    with _in_a_sentence(name):
        if hashlib.sha256(content).hexdigest() != said.sha256:
            raise ValueError(OTHER)
        return _table(io.BytesIO(content), said.images)


@contextmanager
def _in_a_sentence(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"there is no file {path}, of which the record beside it speaks; copy it, too") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not packed by gzip, or is cut short ({cause(error)}); {UNALTERED}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); {UNALTERED}") from None
    except ValueError as error:  # InputErrors, too
        if isinstance(error, InputError):
            raise
        comma = "" if str(error) == OTHER else ","
        raise InputError(f"{path}{comma} {error}; {UNALTERED}") from None


def _table(file: BinaryIO, images: int) -> Table:
    """Raises ValueError, with the line, for what is no table of so many images."""
    names, labels, top, probabilities = [], [], [], []
    for number, row in enumerate(_rows(file), 1):
        if number == 1:
            if row != HEAD:
                raise ValueError(f"line 1: it has other columns than {','.join(HEAD)}")
            continue
        if number > images + 1:
            raise ValueError(f"line {number}: it has more than {images:,} images")
        try:
            label, guesses, shares = _parsed(row)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if top and len(guesses) != len(top[0]):
            raise ValueError(
                f"line {number}: it has {len(guesses)} likeliest labels, and the first image {len(top[0])}"
            )
        names.append(row[0])
        labels.append(label)
        top.append(guesses)
        probabilities.append(shares)
    if len(names) != images:
        raise ValueError(f"the last line: it has {len(names):,} images, expected {images:,}")
    return Table(names, np.array(labels), np.array(top), np.array(probabilities, np.float32))


def _rows(file: BinaryIO) -> Iterator[list[str]]:
    with gzip.open(file, "rb") as packed:
        try:
            yield from csv.reader(_lines(packed), strict=True)
        except csv.Error as error:
            raise ValueError(f"it is no CSV table ({error})") from None


def _lines(packed: Any) -> Iterator[str]:
    size = 0
    while line := packed.readline(LONGEST_LINE):
        size += len(line)
        if size > LARGEST or len(line) == LONGEST_LINE:
            raise ValueError("it is larger than any such table")
        yield line.decode("utf-8")


def _parsed(row: Sequence[str]) -> tuple[int, list[int], list[float]]:
    """True label, likeliest labels and their probabilities. Raises ValueError for what cannot be."""
    if len(row) != len(HEAD):
        raise ValueError(f"it has {len(row)} columns, expected {len(HEAD)}")
    label, *guesses = [_label(cell) for cell in [row[1], *filter(None, row[2 : 2 + TOP])]]
    shares = [_probability(cell) for cell in filter(None, row[2 + TOP :])]
    if not guesses or len(set(guesses)) < len(guesses) or len(guesses) != len(shares):
        raise ValueError("it has no likeliest labels, one of them twice, or as many probabilities")
    if sum(shares) > MOST_SUM:
        raise ValueError(f"its probabilities have the sum {sum(shares):.4g}, expected 1 or less")
    return label, guesses, shares


def _label(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 10 and int(cell) < MOST_CLASSES):
        raise ValueError(f"it has the label {shown(cell, 40)}, expected 0 to {MOST_CLASSES - 1:,}")
    return int(cell)


def _probability(cell: str) -> float:
    value = float(cell) if len(cell) < 30 else -1.0
    if not 0 <= value <= 1.0001:
        raise ValueError(f"it has the probability {shown(cell, 40)}, expected 0 to 1")
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Verifying
# ---------------------------------------------------------------------------------------------------------------------
def recomputed(record: Record, table: Table) -> Result:
    """The result of a record, computed anew from its predictions. Raises InputError for labels that its dataset lacks."""
    classes = len(record.dataset.classes)
    largest = max(table.labels.max(), table.top.max())
    if largest >= classes:
        raise InputError(f"its predictions have the label {largest}, and its dataset {classes} classes; {UNALTERED}")
    return measured(
        table.labels,
        table.top,
        table.probabilities,
        classes=classes,
        split=record.result.split,
        told=record.dataset.subset != "all",
    )


def verified(record: Record, folder: str | Path) -> list[str]:
    """What is recorded of the run in `folder` and does not follow from its predictions, a phrase each; none: all of it does.

    Image features, where there are some, are to be of the images of the predictions.

    Raises InputError where there are no predictions, and as `read`.
    """
    if record.result is None or record.predictions is None:
        raise InputError(f"{folder} has no predictions to compute its result from (TEST.PREDICTIONS False, or no test)")
    table = read(folder, record.predictions)
    wrong = differences(record.result, recomputed(record, table))
    if record.features is not None:
        other = int((features.read(folder, record.features).labels != table.labels).sum())
        wrong += [f"the features of {other:,} images are of other labels than its predictions"] if other else []
    return wrong
