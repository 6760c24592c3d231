"""A dataset of a few generated PNG files, and a linear trainer on it (see stub_run.py)."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from dassl.utils import reset_logger, set_random_seed
from PIL import Image

STUB_PATH = Path(__file__).with_name("stub_run.py")


@pytest.fixture(scope="session")
def stub():
    """The module stub_run.py, with its classes registered once."""
    spec = importlib.util.spec_from_file_location("dassl_stub_run", STUB_PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # loader workers and pickling look the classes up here
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stub_path():
    return STUB_PATH


@pytest.fixture(scope="session")
def data_root(tmp_path_factory, stub):
    """A folder with stub/{train,val,test}/{class}/{n}.png; the classes differ in mean colour."""
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        for label, name in enumerate(stub.CLASSNAMES):
            folder = root / "stub" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 200, (12, 10, 3))
                pixels[..., label] += 40
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return root


@pytest.fixture
def make_cfg(stub, data_root, tmp_path):
    """A function that returns a small configuration; keywords are keys with `__` for the dots."""

    def make(output="out", **values):
        cfg = stub.make_cfg(data_root, tmp_path / output)
        cfg.merge_from_list([part for key, value in values.items() for part in (key.replace("__", "."), value)])
        return cfg

    return make


@pytest.fixture
def make_trainer():
    """A function that seeds everything and builds the configured trainer."""
    from dassl.engine import build_trainer

    def make(cfg):
        set_random_seed(cfg.SEED)
        return build_trainer(cfg)

    return make


@pytest.fixture(autouse=True)
def _logging(caplog):
    """Collect INFO messages, and undo whatever a test does to logging and sys.stdout."""
    caplog.set_level(logging.INFO)
    yield
    reset_logger()
