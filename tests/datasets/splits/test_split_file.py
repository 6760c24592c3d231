"""Split files: their text, their checks, and what is said about missing images."""

from __future__ import annotations

import json
import os

import pytest

from caspl.datasets.splits.split_file import (
    Item,
    Split,
    check_images,
    check_split,
    decode_split,
    encode_split,
    read_split,
)
from caspl.ground.errors import InputError

ENTRY = r"val entry 1 is .*, expected \[relative path, label from 0, class name\]; download or correct the file"
GOOD = Split([Item("a/1.jpg", 0, "a"), Item("b/1.jpg", 1, "b")], [], [Item("a/2.jpg", 0, "a")])


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
        (
            {"val": [["a/../../b.jpg", 0, "a"]]},
            "val entry 0 has the path out of the folder a/../../b.jpg, expected one",
        ),
        ({"val": [["..", 0, "a"]]}, "val entry 0 has the path out of the folder .., expected one"),
        ({"val": [["a\0b.jpg", 0, "a"]]}, "val entry 0 has the impossible path"),
        ({"val": [["\ud800", 0, "a"]]}, "val entry 0 has the impossible path"),
        ({"val": [["a", 10**12, "c"]]}, "train has no image of label 2, expected every label from 0 to 1000000000000"),
        ({"val": [["a", 2, " "]]}, "the class name of label 2 is empty, expected a text; correct it"),
        ({"val": [["a", 2, "c\x1b[2J"]]}, r"class name of label 2 holds the hidden character \\x1b, expected"),
        ({"val": [["a", 2, "c\nd"]]}, r"class name of label 2 holds the hidden character \\n, expected"),
        ({"val": [["a", 2, "c" * 100_000]]}, "class name of label 2 has 100,000 characters, expected at most 1,000"),
        ({"val": [[[["a"]]]]}, ENTRY.replace("entry 1", "entry 0")),
        ('{"train": [["a", NaN, "a"]], "val": [], "test": []}', "train entry 0 is .*NaN, .*, expected"),
        ('{"train": [["a", ' + "9" * 100_000 + ', "a"]]}', r"s\.json is not JSON \(Exceeds the limit"),
        ('{"train": ' + "[" * 100_000, r"s\.json is not JSON \(maximum recursion depth"),
        ('{"train": [], "train": [], "val": [], "test": []}', r's\.json is not JSON \("train" stands there twice'),
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


def test_a_deep_entry_of_a_split_file(tmp_path):
    (tmp_path / "s.json").write_text('{"train": [' + "[" * 900 + "]" * 900 + '], "val": [], "test": []}')
    with pytest.raises(InputError, match="train entry 0 is .*, expected"):
        read_split(tmp_path / "s.json")


def test_two_classes_of_one_name_are_a_warning(caplog):
    check_split(Split([Item("a", 0, "crane"), Item("b", 1, "crane")], [], [Item("c", 0, "crane")]), "cranes.json")
    assert caplog.messages == ["cranes.json: labels 0 and 1 are both called 'crane', no prompt can tell them apart"]


def test_unreadable_split_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(
        InputError, match=r"split file .*pipe.json cannot be read \(it is a named pipe, expected a file\)"
    ):
        read_split(tmp_path / "pipe.json")
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
    (tmp_path / "b" / "1.jpg").mkdir()  # a folder is no image
    with pytest.raises(InputError, match="2 of the 3 images that the split lists are missing"):
        check_images(tmp_path, items)
    (tmp_path / "b" / "1.jpg").rmdir()
    for name in ("a/2.jpg", "b/1.jpg"):
        (tmp_path / name).touch()
    check_images(tmp_path, items)
