"""Short runs on devices that are not there: few images, and what the fixtures of tests/trainers/conftest.py make of them."""

import dassl.data.data_manager
import pytest

IMAGES = 24  # of a test, in batches of 16


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """Tests of a few of the digits: what is looked at is the way that they take."""
    build = dassl.data.data_manager.build_dataset

    def small(cfg):
        dataset = build(cfg)
        for part in ("_val", "_test"):
            items = getattr(dataset, part) or []
            setattr(dataset, part, items[:: max(len(items) // IMAGES, 1)][:IMAGES] or None)
        return dataset

    monkeypatch.setattr(dassl.data.data_manager, "build_dataset", small)
