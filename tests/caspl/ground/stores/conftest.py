"""A small store: rows of 5 numbers under names that begin alike."""

import numpy as np
import pytest

from caspl.ground.stores.facts import Facts
from caspl.ground.stores.rows import Rows

FACTS = Facts("teacher", {"network": "a"}, {"name": "small"})


def names(*numbers):
    return [bytes([number % 256]) + number.to_bytes(15, "big") for number in numbers]


def values(*numbers, width=5):
    return np.stack([np.random.default_rng(number).normal(size=width).astype("f4") for number in numbers])


@pytest.fixture
def open_rows(tmp_path):
    def make(facts=FACTS, **more):
        return Rows(tmp_path / "stores", facts, **{"width": 5} | more)

    return make


@pytest.fixture
def files(tmp_path):
    """The files of rows below the folder of the test."""
    return lambda: sorted((tmp_path / "stores").glob("*/*.rows"))
