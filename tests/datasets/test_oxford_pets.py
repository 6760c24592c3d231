"""Oxford Pets from a miniature of the official archives' layout."""

import json
import random
from types import SimpleNamespace

import pytest
from PIL import Image

from caspl.datasets.oxford_pets import OxfordPets
from caspl.ground.errors import InputError

BREEDS = ["Abyssinian", "american_bulldog", "yorkshire_terrier"]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "oxford_pets"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for part, first, count in (("trainval", 1, 10), ("test", 11, 3)):
        lines = []
        for label, breed in enumerate(BREEDS, 1):
            for n in range(first, first + count):
                Image.new("RGB", (8, 8)).save(folder / "images" / f"{breed}_{n}.jpg")
                lines.append(f"{breed}_{n} {label} 1 1")
        (folder / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def read(root):
    random.seed(1)
    return OxfordPets(
        SimpleNamespace(SEED=1, DATASET=SimpleNamespace(ROOT=str(root), NUM_SHOTS=-1, SUBSAMPLE_CLASSES="all"))
    )


def test_from_annotations_then_from_the_split_that_was_written(root):
    first = read(root)
    assert first.classnames == ["abyssinian", "american_bulldog", "yorkshire_terrier"]
    assert [len(part) for part in (first.train_x, first.val, first.test)] == [24, 6, 9]
    split = json.loads((root / "oxford_pets" / "split_zhou_OxfordPets.json").read_text())
    assert split["test"][0] == ["Abyssinian_11.jpg", 0, "abyssinian"]
    (root / "oxford_pets" / "annotations" / "trainval.txt").unlink()
    second = read(root)
    assert [d.impath for d in second.train_x] == [d.impath for d in first.train_x]


def test_what_is_wrong_is_named(root):
    annotation = root / "oxford_pets" / "annotations" / "trainval.txt"
    annotation.write_text("Abyssinian_1 1\n")
    with pytest.raises(InputError, match="line 1 of .*trainval.txt is 'Abyssinian_1 1', expected"):
        read(root)
    annotation.unlink()
    with pytest.raises(InputError, match="neither .*split_zhou_OxfordPets.json nor .*trainval.txt is there"):
        read(root)
