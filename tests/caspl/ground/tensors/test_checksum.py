"""Checksums of values: what counts and what does not."""

import collections
import math

import pytest
import torch

from caspl.ground.tensors.checksum import checksum, with_checksum, without_checksum

ENTRIES = {
    "state_dict": {"ctx": torch.arange(6.0).view(2, 3)},
    "epoch": 3,
    "lr": [0.1, (1, None)],
    "name": "x",
    "on": True,
}


def changed(**entries):
    return {**ENTRIES, **entries}


@pytest.mark.parametrize(
    "other",
    [
        changed(epoch=3.0),
        changed(epoch=True),
        changed(epoch="3"),
        changed(on=1),
        changed(name=b"x"),
        changed(lr=[0.1, [1, None]]),
        changed(lr=[0.1, (1,), None]),
        changed(lr=[math.nextafter(0.1, 1), (1, None)]),
        changed(state_dict={"ctx": torch.arange(6.0).view(3, 2)}),
        changed(state_dict={"ctx": torch.arange(6.0).view(2, 3).double()}),
        changed(state_dict={"ctx": torch.arange(6).view(2, 3)}),
        changed(state_dict={"ctx": torch.arange(6.0).view(2, 3) * -1}),
        changed(state_dict={"ctv": ENTRIES["state_dict"]["ctx"]}),
        dict(reversed(ENTRIES.items())),
        changed(more=None),
    ],
)
def test_every_difference_counts(other):
    assert checksum(other) != checksum(ENTRIES)
    with pytest.raises(ValueError, match="not what was written"):
        without_checksum({**other, "checksum": checksum(ENTRIES)})


@pytest.mark.parametrize(("a", "b"), [(0.0, -0.0), (float("nan"), 0.0), ("1", 1), ("ab", ["a", "b"]), (None, "None")])
def test_values_that_look_alike(a, b):
    assert checksum(a) != checksum(b)


def test_what_does_not_count():
    same = collections.OrderedDict(ENTRIES)
    same["state_dict"] = {"ctx": ENTRIES["state_dict"]["ctx"].t().contiguous().t()}  # other strides, the same numbers
    assert checksum(same) == checksum(ENTRIES)
    assert without_checksum(with_checksum(ENTRIES)) == ENTRIES
    assert without_checksum(ENTRIES) == ENTRIES  # files of the family have none


def test_tangled_lists_end():
    doubled = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    assert checksum(doubled) != checksum(doubled[0])
