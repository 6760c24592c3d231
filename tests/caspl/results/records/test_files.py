"""run.json: what is written is read, everything else is refused in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from caspl.ground.errors import InputError
from caspl.results.records import NAME, Features, Status, digest, found, read, write
from caspl.results.records.files import _seal
from records_made import boosting, of_a_test, record, result

FEATURES = Features("features.safetensors", 267, 64, "f" * 64)
UNFINISHED = {"result": None, "predictions": None}


def altered(tmp_path, change, *, seal=True):
    """The file of a record whose JSON `change` has altered, with the checksum that fits."""
    path = write(tmp_path, record())
    values = json.loads(path.read_text())
    values.pop("sha256")
    change(values)
    path.write_text(json.dumps(values | ({"sha256": _seal(values)} if seal else {})))
    return path


@pytest.mark.parametrize(
    "known",
    [
        record(),
        of_a_test(boosting=boosting(), protocol=record().protocol),
        record(status=Status.RUNNING, **UNFINISHED),
        record(status=Status.REFUSED, reason="x is 3", dataset=None, protocol=None, model=None, **UNFINISHED),
        record(
            **{"code.modified": None, "model.training": None, "model.epoch": None}, command=["--root", "\udcff \x1b[2J"]
        ),
        record(predictions=None, result=result(ece=None, bins=[])),
        record(features=FEATURES),
    ],
)
def test_what_is_written_is_read(tmp_path, known):
    path = write(tmp_path, known)
    assert read(path) == read(tmp_path) == found(tmp_path) == known
    first = path.read_bytes()
    assert write(tmp_path, read(path)).read_bytes() == first
    assert path.read_text().isascii() and sorted(os.listdir(tmp_path)) == [NAME]


def test_only_a_record_with_features_is_of_version_2(tmp_path):
    """Others are what older programs write and read, to the byte: no field, version 1."""
    plain = json.loads(write(tmp_path, record()).read_text())
    assert plain["version"] == 1 and "features" not in plain
    more = json.loads(write(tmp_path, record(features=FEATURES)).read_text())
    assert more["version"] == 2 and more["features"]["width"] == 64
    assert {name for name in more if name not in plain} == {"features"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features.images": 3}, "features of other images than its result counts"),
        ({"features.file": "../x"}, "names no file beside the record"),
        ({"features.sha256": ""}, "no checksum of it"),
        ({"features.width": 0}, "features.width is 0"),
        ({"status": "failed", **UNFINISHED}, "it is failed and has a result"),
    ],
)
def test_features_that_cannot_be_are_not_written(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        write(tmp_path, record(**{"features": FEATURES} | changes))


def test_reformatting_changes_nothing(tmp_path):
    path = write(tmp_path, record())
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert read(path) == record()


def test_where_there_is_none(tmp_path):
    assert found(tmp_path) is None and found(tmp_path / "not there") is None
    with pytest.raises(InputError, match=r"there is no file .*run\.json; check the path"):
        read(tmp_path)
    (tmp_path / NAME).mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        found(tmp_path)


def put(place, value):
    def change(values):
        *outer, last = place.split(".")
        for name in outer:
            values = values[name]
        values[last] = value

    return change


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("format", "caspl", 'is JSON of another kind \\(format "caspl"\\), expected "caspl run"'),
        (
            "version",
            3,
            "has version 3 of a run's record, this program reads versions 1 to 2; use the program that wrote it",
        ),
        ("version", 0, "has version 0"),
        ("version", 2, "it lacks features"),
        ("features", None, "it has features, which version 1 does not know"),
        ("version", True, "has version true of a run's record"),
        ("version", "1", 'has version "1"'),
        ("status", "done", 'status is "done", expected one of'),
        ("more", 1, "it has more, which is not known here"),
        ("dataset.shots", True, "dataset.shots is true, expected a whole number"),
        ("code.modified", 1, "code.modified is 1, expected true or false"),
        ("result.accuracy", float("nan"), "result.accuracy is NaN, expected 0 to 100"),
        ("result.accuracy", 99.0, "result has 231 of 267 images correct and an accuracy of 99.0"),
        ("result.correct", 2**70, "result.correct is 1180591620717411303424"),
        ("result.class_total", [267], "result counts 1 classes and correct images of 5"),
        ("result.class_correct", [230, 1, 0, 0, 0], "class with more correct images than images"),
        ("result.class_correct", [48, 41, 50, 40, -1], r"result.class_correct\[4\] is -1"),
        ("result.ece", 50, "calibration error of 50"),
        ("result.bins", [], "its bins of confidence have other sums"),
        ("result.all_classes", 3, "of all classes 3"),
        ("result", [], "result is .*, expected fields with names"),
        ("predictions.file", "../x", "names no file beside the record"),
        ("predictions.images", 3, "predictions of other images than its result counts"),
        ("predictions.sha256", "", "no checksum of it"),
        ("status", "diverged", "it is diverged and has a result"),
        ("dataset.classes", ["a"], "result for other classes than its dataset has"),
        ("dataset.classes", ["a" * 2_000] * 5, "has 2,000 characters"),
        ("dataset.test.sha256", "z" * 64, "expected 64 hexadecimal digits"),
        ("configuration.settings", {"SEED": 1}, r'settings\["SEED"\] is 1, expected a text'),
        ("configuration.settings", ["SEED"], "expected up to 2,000 texts with names"),
        ("configuration.settings", {str(i): "" for i in range(2_001)}, "has 2,001 entries"),
        ("cost.memory", -1, "cost.memory is -1"),
        ("command", "train", "command has .*, expected a list"),
        ("dataset", None, "result for other classes"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, place, value, said):
    path = altered(tmp_path, put(place, value))
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"\x80\x04", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"format": "caspl run", "version": 1, "x": ' + b"[" * 900 + b"]" * 900 + b"}", "it lacks sha256"),
        (b"[]", "is JSON of another kind"),
        (
            b'{"fingerprint": "x", "classnames": []}',
            'is JSON of another kind \\(format "not given"\\)',
        ),  # a host's facts
        (b'{"format": "caspl run", "format": "caspl run"}', "stands there twice"),
        (b'{"format": "caspl run", "version": 1, "sha256": 3}', "its content is not what was written"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(InputError, match=said):
        found(tmp_path)


def test_a_changed_digit_and_a_cut_file_are_seen(tmp_path):
    path = write(tmp_path, record())
    whole = path.read_text()
    path.write_text(whole.replace('"seed": 1', '"seed": 2'))
    with pytest.raises(InputError, match="not what was written, as its checksum says"):
        read(path)
    for length in range(0, len(whole) - 2, 97):
        path.write_text(whole[:length])
        with pytest.raises(InputError, match="it is not JSON"):
            read(path)


def test_a_pipe_and_a_huge_file_are_not_read(tmp_path):
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(InputError, match="named pipe"):
        found(tmp_path)
    (tmp_path / NAME).unlink()
    with open(tmp_path / NAME, "wb") as file:
        file.truncate(2**26)
    with pytest.raises(InputError, match="expected at most"):
        found(tmp_path)


def test_what_no_file_may_hold_is_not_written(tmp_path):
    with pytest.raises(InputError, match="was not written: it would be wrong: it is interrupted and has a result"):
        write(tmp_path, record(status=Status.INTERRUPTED))
    assert not os.listdir(tmp_path)


def test_the_checksum_of_settings():
    settings = {"OPTIM.LR": "0.1", "SEED": "1"}
    moved = {
        "SEED": "1",
        "OUTPUT_DIR": "elsewhere",
        "DATASET.ROOT": "/data",
        "OPTIM.LR": "0.1",
        "TRAIN.PRINT_FREQ": "1",
    }
    assert digest(settings) == digest(moved) != digest(settings | {"SEED": "2"})


@pytest.mark.slow
def test_reading_takes_no_torch():
    code = (
        "import sys, caspl.results.records, caspl.results.records.predictions; "
        "assert not {'torch', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
