import torch

from caspl.ground.errors import listed
from caspl.ground.tensors.shapes import differences, shapes_of


def test_equal_shapes_differ_in_nothing():
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(())}
    assert differences(shapes_of(tensors), shapes_of(tensors)) == []
    assert differences({"a": torch.Size([2, 3])}, {"a": (2, 3)}) == []


def test_each_difference_is_one_phrase():
    found = {"x": (1,), "text.0": (4, 64)}
    assert differences(found, {"text.0": (8, 64), "text.1": (8, 64)}) == [
        "text.0 is (4, 64), expected (8, 64)",
        "text.1 is missing",
        "x is unexpected",
    ]


def test_what_is_no_tensor_is_a_difference():
    assert differences(shapes_of({"a": 3}), {"a": (3,)}) == ["a is int, expected (3,)"]


def test_a_list_of_phrases_ends_with_how_many_more():
    assert listed(["a", "b"]) == "a; b"
    assert listed(["a", "b", "c", "d", "e"]) == "a; b; c and 2 more"
