"""Split files and how splits are made. Toy values and hashes were computed with CoOp's own code."""

from __future__ import annotations

import json
import random

import pytest

import datasets.splits as splits
from caspl.ground.errors import InputError
from datasets.splits import (
    Item,
    Split,
    check_images,
    check_split,
    decode_split,
    encode_split,
    read_split,
    split_folders,
    split_trainval,
)

TOY = [Item(f"{label}_{i}", label, f"class {label}") for label in (2, 0, 1) for i in range(10)]
GOOD = Split([Item("a/1.jpg", 0, "a"), Item("b/1.jpg", 1, "b")], [], [Item("a/2.jpg", 0, "a")])


def paths(items) -> str:
    return " ".join(item.impath for item in items)


def test_text_of_a_split_file_is_coops():
    split = Split([Item("a/1.jpg", 0, "café")], [], [Item("a/2.jpg", 0, "café")])
    text = encode_split(split)
    item = '        [\n            "a/{}.jpg",\n            0,\n            "caf\\u00e9"\n        ]\n    ]'
    train, test = item.format(1), item.format(2)
    assert text.decode() == f'{{\n    "train": [\n{train},\n    "val": [],\n    "test": [\n{test}\n}}'
    assert decode_split(text, "x") == split


@pytest.mark.parametrize("name", ["Caltech101", "DescribableTextures"])
def test_published_files_survive_reading_and_writing(published, name):
    path = published / "splits" / f"split_zhou_{name}.json"
    assert encode_split(read_split(path)) == path.read_bytes()


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
    listed = splits.listdir_nohidden
    monkeypatch.setattr(splits, "listdir_nohidden", lambda path: sorted(listed(path)))
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
    assert [len(part) for part in splits.split_classes(items)] == [half, fifth, n - half - fifth]


def test_printed_as_the_family_does(caplog):
    split_trainval(TOY)
    assert "Splitting trainval into 80% train and 20% val" in caplog.messages


def test_too_small_classes():
    two = [Item("x", 0, "ant"), Item("y", 0, "ant")]
    with pytest.raises(InputError, match=r"class 'ant' has 2 images, too few to give 20% of them to val; check"):
        split_trainval(two)
    with pytest.raises(InputError, match=r"class 'ant' has 2 images, too few for train, val and test; check"):
        splits.split_classes(two)


def test_folder_errors(tmp_path):
    with pytest.raises(InputError, match=r"image folder .*nowhere is missing, expected one folder per class"):
        split_folders(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="has no class folders, expected one folder per class; extract"):
        split_folders(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(InputError, match=r"class folder .*ant is empty, expected images; extract"):
        split_folders(tmp_path)


ENTRY = r"val entry 1 is .*, expected \[relative path, label from 0, class name\]; download or correct the file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"s\.json is not JSON \(.*line 1.*\): expected an object with the lists train, val and test; download"),
        ("<!DOCTYPE html>", "is not JSON .*a web page was saved in its place"),
        ("\xff", "is not JSON"),
        ("[]", "holds list, expected the keys train, val and test; download"),
        ({"train": [], "test": []}, "holds the keys train, test, expected the keys train, val and test"),
        ({}, r"holds the keys \(none\), expected"),
        ({"val": {}}, r"val is dict, expected a list of \[path, label, class name\]; download"),
        ({"val": [["a", 0, "a"], ["b", 0]]}, ENTRY),
        ({"val": [["a", 0, "a"], ["b", "0", "a"]]}, ENTRY),
        ({"val": [["a", 0, "a"], ["b", True, "a"]]}, ENTRY),
        ({"val": [["a", 0, "a"], ["b", -1, "a"]]}, ENTRY),
        ({"val": [["a", 0, "a"], ["b", 0, None]]}, ENTRY),
        ({"val": [["a", 0, "a"], "bcd"]}, ENTRY),
        ({"val": [["/a/b.jpg", 0, "a"]]}, "val entry 0 has the absolute path /a/b.jpg, expected one relative to"),
        ({"train": []}, "train is empty, expected at least one image"),
        ({"test": []}, "test is empty, expected at least one image"),
        ({"val": [["a/2.jpg", 1, "a"]]}, r"label 1 is called both 'b' and 'a' \(in val entry 0\), expected one"),
        ({"val": [["a/2.jpg", 3, "d"]]}, "train has no image of label 2, expected every label from 0 to 3; correct or"),
    ],
)
def test_split_file_errors(tmp_path, content, message):
    path = tmp_path / "s.json"
    if isinstance(content, dict) and content and set(content) != {"train", "test"}:
        content = GOOD._asdict() | content
    path.write_bytes(content.encode("latin-1") if isinstance(content, str) else json.dumps(content).encode())
    with pytest.raises(InputError, match=message) as caught:
        read_split(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_unreadable_split_file(tmp_path):
    with pytest.raises(InputError, match=r"split file .* cannot be read \(Is a directory\); check the path"):
        read_split(tmp_path)


def test_empty_val_is_fine():
    check_split(GOOD, "x")


def test_missing_images(tmp_path):
    items = GOOD.train + GOOD.test
    with pytest.raises(InputError, match=r"image folder .*none is missing, expected 3 images in it; extract"):
        check_images(tmp_path / "none", items)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    with pytest.raises(InputError, match=r"2 of the 3 images that the split lists are missing, .* is .*b/1\.jpg; "):
        check_images(tmp_path, items)
    (tmp_path / "b").mkdir()
    for name in ("a/2.jpg", "b/1.jpg"):
        (tmp_path / name).touch()
    check_images(tmp_path, items)
