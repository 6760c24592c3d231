"""How splits are made. Toy values were computed with CoOp's own code."""

from __future__ import annotations

import random

import pytest

from caspl.datasets.files import places
from caspl.datasets.splits.making import split_classes, split_folders, split_trainval
from caspl.datasets.splits.split_file import Item
from caspl.ground.errors import InputError

TOY = [Item(f"{label}_{i}", label, f"class {label}") for label in (2, 0, 1) for i in range(10)]


def paths(items) -> str:
    return " ".join(item.impath for item in items)


def test_trainval_toy():
    random.seed(1)
    train, val = split_trainval(TOY)
    assert paths(val) == "2_6 2_8 0_4 0_8 1_7 1_8"
    assert paths(train).startswith("2_9 2_7 2_5 2_3 2_0 2_4 2_1 2_2 0_2 ")
    assert len(train) == 24


def test_own_generator_gives_the_same_and_leaves_the_global_one():
    random.seed(1)
    expected, state = split_trainval(TOY), random.getstate()
    assert split_trainval(TOY, rng=random.Random(1)) == expected
    assert random.getstate() == state


def test_folders_toy(tmp_path, monkeypatch, caplog):
    for name, size in {"A": 10, "b": 7, "Ignored": 3}.items():
        (tmp_path / name).mkdir()
        for index in range(size):
            (tmp_path / name / str(index)).touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.txt").touch()
    listed = places.listdir_nohidden
    monkeypatch.setattr(places, "listdir_nohidden", lambda path: sorted(listed(path)))
    random.seed(1)
    split = split_folders(tmp_path, ignored=["Ignored"], new_names={"A": "alpha"})
    assert paths(split.train) == "A/6 A/8 A/9 A/7 A/5 b/2 b/5 b/4 b/3"
    assert paths(split.val) == "A/3 A/0 b/0"
    assert paths(split.test) == "A/4 A/1 A/2 b/1 b/6"
    assert {(item.label, item.classname) for items in split for item in items} == {(0, "alpha"), (1, "b")}
    assert "Splitting into 50% train, 20% val, and 30% test" in caplog.text


ROUNDED = [(12, 2, 6), (13, 3, 6), (17, 3, 8), (18, 4, 9), (23, 5, 12), (45, 9, 22)]


@pytest.mark.parametrize(("n", "fifth", "half"), ROUNDED)
def test_rounding(n, fifth, half):
    items = [Item(str(i), 0, "a") for i in range(n)]
    assert len(split_trainval(items)[1]) == fifth
    assert [len(part) for part in split_classes(items)] == [half, fifth, n - half - fifth]


def test_printed_as_the_family_does(caplog):
    split_trainval(TOY)
    assert "Splitting trainval into 80% train and 20% val" in caplog.messages


def test_too_small_classes():
    two = [Item("x", 0, "ant"), Item("y", 0, "ant")]
    with pytest.raises(InputError, match=r"class 'ant' has 2 images, too few to give 20% of them to val; check"):
        split_trainval(two)
    with pytest.raises(InputError, match=r"class 'ant' has 2 images, too few for train, val and test; check"):
        split_classes(two)


def test_folder_errors(tmp_path):
    with pytest.raises(InputError, match=r"image folder .*nowhere is missing, expected one folder per class"):
        split_folders(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="has no class folders, expected one folder per class; extract"):
        split_folders(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(InputError, match=r"class folder .*ant is empty, expected images; extract"):
        split_folders(tmp_path)
