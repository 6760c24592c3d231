"""Fixtures of the dataset tests: configurations, a small dataset on disk, and the published files where present."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from caspl.datasets.files.storage import log_once
from caspl.datasets.splits.dataset import SplitDataset
from caspl.datasets.splits.making import split_folders
from caspl.datasets.splits.split_file import Split

# Beside the checkout or where the variable says, not part of it
PUBLISHED = Path(os.environ.get("CASPL_SHARED") or Path(__file__).parents[2].parent / "shared") / "data"


class Toy(SplitDataset):
    """Four classes of ten files in place of images, split by folders."""

    dataset_dir = "toy-set"
    image_dir = "images"
    split_file = "split_zhou_Toy.json"
    class_sizes = {"ant": 10, "bee": 10, "cat": 10, "dog": 10}

    def make_split(self) -> Split:
        return split_folders(self.image_dir)

    @classmethod
    def write(cls, root: Path) -> Path:
        """Make the folder of the dataset, without a split file."""
        for name, size in cls.class_sizes.items():
            folder = root / cls.dataset_dir / "images" / name
            folder.mkdir(parents=True)
            for index in range(size):
                (folder / f"{index}.jpg").write_text("not an image")
        return root / cls.dataset_dir


@pytest.fixture
def toy() -> type[Toy]:
    return Toy


@pytest.fixture
def make_cfg():
    """A function that builds the part of a configuration that datasets read."""

    def make(root: Path | str, shots: int = -1, seed: int = 1, subset: str = "all") -> SimpleNamespace:
        dataset = SimpleNamespace(ROOT=str(root), NUM_SHOTS=shots, SUBSAMPLE_CLASSES=subset)
        return SimpleNamespace(DATASET=dataset, SEED=seed)

    return make


@pytest.fixture
def published() -> Path:
    """The folder with published split files and few-shot lists."""
    if not PUBLISHED.is_dir():
        pytest.skip("needs the published split files in shared/data beside the checkout, or in CASPL_SHARED/data")
    return PUBLISHED


@pytest.fixture(autouse=True)
def all_messages(caplog):
    """Record messages from level INFO on, and forget which were logged once by another test."""
    caplog.set_level(logging.INFO)
    log_once.cache_clear()
