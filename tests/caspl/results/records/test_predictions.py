"""The numbers of a result against other computations, and the file of predictions."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from caspl.ground.errors import InputError
from caspl.results.records import digest, write
from caspl.results.records import predictions as predictions_file
from caspl.results.records.measures import measured
from caspl.results.records.predictions import HEAD, NAME, Table, recomputed, verified
from caspl.results.records.schema import Predictions
from records_made import record


def guesses(images=500, classes=7, seed=0, missing=()):
    """Labels, likeliest labels and probabilities of a model that is often right; no image of the classes `missing`."""
    rng = np.random.default_rng(seed)
    present = [label for label in range(classes) if label not in missing]
    labels = rng.choice(present, images)
    scores = rng.normal(size=(images, classes)) * 2
    scores[np.arange(images), labels] += 2
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    top = np.argsort(-shares, axis=1)[:, :5].astype(np.int32)
    return labels, top, np.take_along_axis(shares, top, 1).astype(np.float32)


def calibration_by_hand(labels, top, probabilities, bins=15):
    """Expected calibration error in percent, image by image in float64."""
    gap = 0.0
    for k in range(bins):
        inside = [
            (float(p), int(guess == label))
            for label, guess, p in zip(labels, top[:, 0], probabilities[:, 0], strict=True)
            if k / bins < p <= (k + 1) / bins
        ]
        if inside:
            confidence = math.fsum(p for p, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            gap += len(inside) / len(labels) * abs(confidence - accuracy)
    return 100 * gap


@pytest.mark.parametrize(("classes", "missing"), [(2, ()), (7, ()), (7, (0, 6)), (300, (5,))])
def test_numbers_are_those_of_other_computations(classes, missing):
    labels, top, shares = guesses(classes=classes, missing=missing)
    found = measured(labels, top, shares, classes=classes, split="test", told=False)
    matrix = confusion_matrix(labels, top[:, 0], labels=range(classes))
    assert found.class_total == matrix.sum(1).tolist() and found.class_correct == matrix.diagonal().tolist()
    assert found.total == len(labels) and found.correct == matrix.trace()
    assert found.accuracy == found.all_classes == 100 * found.correct / found.total
    f1 = 100 * f1_score(labels, top[:, 0], average="macro", labels=np.unique(labels))
    assert found.macro_f1 == pytest.approx(f1, abs=1e-10)
    assert found.ece == pytest.approx(calibration_by_hand(labels, top, shares), abs=1e-10)
    assert sum(each.images for each in found.bins) == found.total and len(found.bins) == 15


def test_calibration_of_known_cases():
    """Sure and always right: 0; sure and always wrong: 100; 0.6 and right in six of ten: 0, as in the formula's paper."""

    def ece(probability, right, of):
        labels = np.array([0] * right + [1] * (of - right))
        rest = np.float32(1) - np.float32(probability)
        shares = np.array([[probability, rest]] * of, np.float32)
        return measured(labels, np.array([[0, 1]] * of), shares, classes=2, split="val", told=True).ece

    assert ece(1.0, 10, 10) == 0 and ece(1.0, 0, 10) == 100
    assert ece(0.6, 6, 10) == pytest.approx(0, abs=1e-5) and ece(0.9, 5, 10) == pytest.approx(40, abs=1e-5)


def table(**more):
    labels, top, shares = guesses(**more)
    return Table([f"class {label}/{n:04d}.png" for n, label in enumerate(labels)], labels, top, shares)


def run_of(folder, known, classes=7, **changes):
    """The record of a run with these predictions, written."""
    said = predictions_file.write(folder, known)
    arrays = known.labels, known.top, known.probabilities
    found = measured(*arrays, classes=classes, split="test", told=False)
    names = [f"class {label}" for label in range(classes)]
    more = {"dataset.classes": names, "dataset.subset": "all", "result": found, "predictions": said}
    whole = record(**more | changes)
    write(folder, whole)
    return whole


@pytest.mark.parametrize("classes", [3, 7])
def test_what_is_written_is_read_and_gives_the_same_numbers(tmp_path, classes):
    known = table(classes=classes)
    whole = run_of(tmp_path, known, classes)
    found = predictions_file.read(tmp_path, whole.predictions)
    assert found.images == known.images and found.top.shape == (500, min(5, classes))
    assert (found.labels == known.labels).all() and (found.top == known.top).all()
    assert (found.probabilities[:, 0] == known.probabilities[:, 0]).all()
    assert np.allclose(found.probabilities, known.probabilities, rtol=1e-4)
    assert recomputed(whole, found) == whole.result and verified(whole, tmp_path) == []
    first = (tmp_path / NAME).read_bytes()
    predictions_file.write(tmp_path, known)
    assert (tmp_path / NAME).read_bytes() == first  # no time in it
    assert gzip.decompress(first).decode().split("\n")[0] == ",".join(HEAD)


def test_names_act_upon_nothing(tmp_path):
    known = table(images=6)
    names = ["=1+1.png", "a,b.png", 'say "x".png', "line\nend.png", "\x1b[2J.png", "\udcff.png"]
    said = predictions_file.write(tmp_path, Table(names, known.labels, known.top, known.probabilities))
    found = predictions_file.read(tmp_path, said).images
    assert found == ["./=1+1.png", "a,b.png", 'say "x".png', "line\\nend.png", "\\x1b[2J.png", "\\udcff.png"]


def altered(folder, change, images=3):
    """A file whose text `change` has altered, and what a record that takes it for its own says."""
    said = predictions_file.write(folder, table(images=images))
    path = folder / NAME
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    return Predictions(NAME, said.images, predictions_file.sha256_of(path))


def cell(number, value):
    """Puts another value into a cell of the second image."""

    def change(content):
        lines = content.split(b"\n")
        cells = lines[2].split(b",")
        cells[number] = value
        return b"\n".join([*lines[:2], b",".join(cells), *lines[3:]])

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: b"", "the last line: it has 0 images"),
        (lambda content: b"image,label\n", "line 1: it has other columns"),
        (lambda content: content + content.split(b"\n")[1] + b"\n", "line 5: it has more than 3 images"),
        (lambda content: b"\n".join(content.split(b"\n")[:3]) + b"\n", "it has 2 images, expected 3"),
        (lambda content: content.replace(b",", b";"), "line 1: it has other columns"),
        (lambda content: content.replace(b"class", b"\xff"), "can't decode"),
        (lambda content: content + b'"', "line|CSV"),
        (lambda content: content + b"x" * 100_000, "larger than any such table"),
        (cell(1, b"-1"), 'line 3: it has the label "-1"'),
        (cell(1, "\u0661".encode()), "line 3: it has the label"),
        (cell(1, b"9" * 5_000), "line 3: it has the label"),
        (cell(2, b""), "line 3: it has no likeliest labels, one of them twice, or as many"),
        (cell(3, b"1e3"), "line 3: it has the label"),
        (cell(7, b"nan"), 'line 3: it has the probability "nan"'),
        (cell(7, b"inf"), "line 3: it has the probability"),
        (cell(8, b"1"), "line 3: its probabilities have the sum"),
        (cell(11, b"1" * 100), "line 3: it has the probability"),
        (cell(11, b"0,0"), "line 3: it has 13 columns"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, change, said):
    known = altered(tmp_path, change)
    with pytest.raises(InputError, match=said) as caught:
        predictions_file.read(tmp_path, known)
    assert str(tmp_path / NAME) in str(caught.value) and "\n" not in str(caught.value)


def test_another_file_is_refused(tmp_path):
    whole = run_of(tmp_path, table())
    path = tmp_path / NAME
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(InputError, match="is not the file of its run, as the checksum in the record says"):
        verified(whole, tmp_path)
    said = Predictions(NAME, 500, predictions_file.sha256_of(path))
    with pytest.raises(InputError, match="is cut short"):
        predictions_file.read(tmp_path, said)
    path.write_bytes(b"no gzip")
    with pytest.raises(InputError, match="not packed by gzip"):
        predictions_file.read(tmp_path, Predictions(NAME, 500, predictions_file.sha256_of(path)))
    path.unlink()
    with pytest.raises(InputError, match="there is no file .*csv.gz, of which the record beside it speaks"):
        verified(whole, tmp_path)
    with pytest.raises(InputError, match="has no predictions to compute its result from"):
        verified(record(predictions=None), tmp_path)


def test_one_changed_prediction_is_found(tmp_path):
    known = table()
    whole = run_of(tmp_path, known)
    right = int(np.flatnonzero(known.labels == known.top[:, 0])[0])
    known.top[right, :2] = known.top[right, 1::-1]
    said = predictions_file.write(tmp_path, known)
    found = verified(record(**{**vars(whole), "predictions": said}), tmp_path)
    label = known.labels[right]
    assert [phrase.split(" is ")[0] for phrase in found[:-1]] == [
        "correct",
        "accuracy",
        "macro_f1",
        "all_classes",
        "ece",
    ]
    assert found[-1] == f"the correct images of 1 classes are others, first of label {label}"


def test_labels_that_the_dataset_lacks(tmp_path):
    whole = run_of(tmp_path, table())
    alien = table()
    alien.top[0, 4] = 99
    said = predictions_file.write(tmp_path, alien)
    with pytest.raises(InputError, match="have the label 99, and its dataset 7 classes"):
        verified(record(**{**vars(whole), "predictions": said}), tmp_path)


def test_equal_settings_are_one_sum():
    assert digest({}) == digest({"OUTPUT_DIR": "x"})
