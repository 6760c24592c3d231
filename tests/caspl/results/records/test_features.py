"""features.safetensors: what is written is read, all else is refused, and it has to be of the images of the predictions."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from caspl.ground.errors import InputError
from caspl.results.records import Features, features, predictions, sha256_of
from caspl.results.records.measures import measured
from records_made import record


def table(images=7, width=12, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(images, width))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return features.Table(drawn.astype(np.float16), np.arange(images) % 3)


def test_what_is_written_is_read_and_the_same_is_the_same_file(tmp_path):
    first = features.write(tmp_path, table())
    content = (tmp_path / features.NAME).read_bytes()
    assert first == Features(features.NAME, 7, 12, sha256_of(tmp_path / features.NAME))
    found = features.read(tmp_path, first)
    assert found.features.dtype == np.float16 and (found.features == table().features).all()
    assert (found.labels == table().labels).all()
    assert features.write(tmp_path, table()) == first and (tmp_path / features.NAME).read_bytes() == content
    mixed = features.Table(np.asfortranarray(table().features), table().labels.astype(np.int32))
    assert features.write(tmp_path, mixed) == first  # whatever the layout in memory


def other(tmp_path, **tensors):
    whole = {"features": table().features, "labels": table().labels} | tensors
    (tmp_path / features.NAME).write_bytes(save({name: value for name, value in whole.items() if value is not None}))
    return Features(features.NAME, 7, 12, sha256_of(tmp_path / features.NAME))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"labels": None}, r"its tensor labels is none, expected int64 \[7\]"),
        ({"features": table().features[:6]}, r"its tensor features is float16 \[6, 12\], expected float16 \[7, 12\]"),
        ({"features": table().features.astype(np.float32)}, "its tensor features is float32"),
        ({"labels": np.arange(6)}, r"its tensor labels is int64 \[6\]"),
        ({"more": np.zeros(1)}, "it has 3 tensors, expected features and labels"),
        ({"features": 2 * table().features}, "features of another length than 1"),
        ({"features": table().features * np.float16("nan")}, "features of another length than 1"),
        ({"labels": table().labels - 1}, "it has a label out of 0 to"),
    ],
)
def test_other_tensors_are_refused(tmp_path, tensors, said):
    with pytest.raises(InputError, match=said) as caught:
        features.read(tmp_path, other(tmp_path, **tensors))
    assert str(tmp_path / features.NAME) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b"\xff\xff\xff\xff\0\0\0\0{}"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / features.NAME).write_bytes(content)
    with pytest.raises(InputError, match=r"features\.safetensors"):
        features.read(tmp_path, Features(features.NAME, 7, 12, sha256_of(tmp_path / features.NAME)))


def test_a_changed_or_missing_file_is_named(tmp_path):
    said = features.write(tmp_path, table())
    content = bytearray((tmp_path / features.NAME).read_bytes())
    content[-9] ^= 1
    (tmp_path / features.NAME).write_bytes(content)
    with pytest.raises(InputError, match="is not the file of its run"):
        features.read(tmp_path, said)
    (tmp_path / features.NAME).unlink()
    with pytest.raises(InputError, match="there is no file .*features"):
        features.read(tmp_path, said)


def test_features_are_verified_with_the_predictions(tmp_path):
    kept = table()
    names, top = [f"{i}.png" for i in range(7)], np.stack([kept.labels, (kept.labels + 1) % 3], 1)
    shares = np.full((7, 2), 0.4, np.float32)
    known = record(
        result=measured(kept.labels, top, shares, classes=3, split="test", told=True),
        predictions=predictions.write(tmp_path, predictions.Table(names, kept.labels, top, shares)),
        **{"dataset.classes": ["a", "b", "c"]},
    )
    known = replace(known, features=features.write(tmp_path, kept))
    assert predictions.verified(known, tmp_path) == []
    moved = features.write(tmp_path, features.Table(kept.features, 1 - kept.labels % 2))
    said = predictions.verified(replace(known, features=moved), tmp_path)
    count = (1 - kept.labels % 2 != kept.labels).sum()
    assert said == [f"the features of {count} images are of other labels than its predictions"]
