"""Seeded crops: a pure function of the seed, the epoch and the image; the run's random stream does not move."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from caspl.trainers.crops import Seeded, drawing_from

TRANSFORM = v2.Compose([v2.RandomResizedCrop(16), v2.RandomHorizontalFlip(), v2.PILToTensor()])


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_the_same_image_and_epoch_give_the_same_crop_whatever_was_drawn_before(image):
    crop = Seeded(TRANSFORM, seed=1)
    first = crop(image)
    draws()
    assert torch.equal(crop(image.copy()), first)


def test_another_epoch_seed_or_image_gives_another_crop(image):
    first, other = Seeded(TRANSFORM, seed=1), Seeded(TRANSFORM, seed=2)
    of_epoch_0 = first(image)
    assert not torch.equal(other(image), of_epoch_0)
    first.epoch = 1
    assert not torch.equal(first(image), of_epoch_0)
    altered = image.copy()
    altered.putpixel((0, 0), (1, 2, 3))
    first.epoch = 0
    assert not torch.equal(first(altered), of_epoch_0)


def test_the_streams_go_on_where_they_were(image):
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    plain = draws()
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    Seeded(TRANSFORM, seed=1)(image)
    assert draws() == plain
    with pytest.raises(ZeroDivisionError), drawing_from(bytes(16)):
        inside = draws()
        _ = 1 / 0
    with drawing_from(bytes(16)):
        assert draws() == inside


def test_crops_cover_the_image_as_those_of_the_stream_do(image):
    """Mean brightness of 300 crops of a ramp: their places are spread over the image."""
    ramp = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (64, 1, 3)))
    crop, place = Seeded(v2.Compose([v2.RandomCrop(16), v2.PILToTensor()]), seed=5), []
    for crop.epoch in range(300):
        place.append(float(crop(ramp).float().mean()) / 4 - 7.5)  # its left edge, 0 to 48
    assert 20 < np.mean(place) < 28 and 12 < np.std(place) < 16 and min(place) < 2 and max(place) > 46


def seen(trainer):
    """The crops of two epochs, by epoch and image."""
    found = {}
    for trainer.epoch in range(2):
        trainer.before_epoch()
        for batch in trainer.train_loader_x:
            found |= {(trainer.epoch, path): crop for path, crop in zip(batch["impath"], batch["img"], strict=True)}
    return found


@pytest.mark.parametrize("workers", ["0", "2"])
def test_runs_of_any_seed_see_the_same_crops(build, workers):
    def crops(seed, *options):
        keys = ("TRAINER.CASPL.CROPS", "seeded", "DATALOADER.NUM_WORKERS", workers, "DATASET.NUM_SHOTS", "4", *options)
        return seen(build("CoOp", "base", f"coop{seed}", "--seed", "1", *keys))

    torch.manual_seed(0)
    one = crops(1)
    torch.manual_seed(5)
    again, changed = crops(2), crops(3, "TRAINER.CASPL.CROP_SEED", "7")
    common = one.keys() & again.keys()
    assert len(common) >= 8
    assert all(torch.equal(one[key], again[key]) for key in common)
    assert not all(torch.equal(one[key], changed[key]) for key in one.keys() & changed.keys())
    twice = [path for epoch, path in one if epoch and (0, path) in one]
    assert twice and not all(torch.equal(one[0, path], one[1, path]) for path in twice)
