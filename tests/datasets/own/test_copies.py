"""Copies among images: under two labels, and in train and again in test."""

from __future__ import annotations

import pytest

from caspl.datasets.own.copies import ENDS, find_copies
from caspl.datasets.splits.split_file import Item, Split

LARGE = bytes(range(256)) * 64


@pytest.fixture
def split(tmp_path):
    """A function that writes files, given as (part, class, content), and returns their split."""

    def make(*files) -> Split:
        parts = {"train": [], "val": [], "test": []}
        for number, (part, name, content) in enumerate(files):
            (tmp_path / f"{number}.png").write_bytes(content)
            parts[part].append(Item(f"{number}.png", "abc".index(name), name))
        return Split(**parts)

    return make


CASES = {
    "none": ([("train", "a", b"1"), ("train", "b", b"2"), ("test", "a", b"3"), ("test", "b", b"44")], []),
    "two classes": (
        [("train", "a", b"1"), ("train", "b", b"1"), ("test", "b", b"2")],
        ["0.png and 1.png have the same content and different classes, 'a' and 'b'"],
    ),
    "two classes of three": (
        [("train", "a", b"1"), ("train", "a", b"1"), ("train", "c", b"1")],
        ["0.png and 2.png have the same content and different classes, 'a' and 'c'"],
    ),
    "in one class and part": ([("train", "a", b"1"), ("train", "a", b"1"), ("test", "a", b"2")], []),
    "train and test": (
        [("test", "a", b"1"), ("train", "a", b"1"), ("train", "a", b"2"), ("val", "a", b"2")],
        [
            "1.png and 0.png, and 1 more such pairs, have the same content, the first in train and the second in val or test"
        ],
    ),
    "both": (
        [("train", "a", LARGE), ("test", "b", LARGE)],
        [
            "0.png and 1.png have the same content and different classes",
            "0.png and 1.png have the same content, the first in",
        ],
    ),
    "the same ends": (
        [("train", "a", LARGE), ("test", "b", LARGE[:ENDS] + bytes(len(LARGE) - 2 * ENDS) + LARGE[-ENDS:])],
        [],
    ),
    "empty": ([("train", "a", b""), ("test", "b", b"")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_copies(split, tmp_path, case):
    files, expected = CASES[case]
    found = list(find_copies(split(*files), str(tmp_path)))
    assert len(found) == len(expected)
    assert all(sentence.startswith(start) for sentence, start in zip(found, expected, strict=True))


def test_val_that_stands_in_for_test_and_files_that_are_gone(split, tmp_path):
    made = split(("train", "a", b"1"), ("test", "a", b"2"), ("test", "b", b"3"))
    (tmp_path / "2.png").unlink()
    assert not list(find_copies(made._replace(val=made.test), str(tmp_path)))
