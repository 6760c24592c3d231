"""DATALOADER.CACHE: an image that is kept in memory is the one of its file, and whoever can't be kept is read as before."""

import logging
import multiprocessing
import pickle
import random

import numpy as np
import pytest
import torch
from dassl.config import get_cfg_default
from dassl.data.decoded import DecodedImages
from dassl.data.transforms import build_transform
from dassl.data.transforms.transforms import AVAI_CHOICES
from dassl.engine import build_trainer
from PIL import Image

from caspl.ground.errors import InputError
from caspl.ground.images import read_image

GB = 1e9


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder, generator, paths = tmp_path_factory.mktemp("images"), np.random.default_rng(0), []
    for number, (mode, ending) in enumerate((("RGB", "jpg"), ("L", "png"), ("P", "gif"), ("RGBA", "png")) * 5):
        path = folder / f"{number}.{ending}"
        pixels = generator.integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
        paths.append(str(path))
    return paths


def reading(monkeypatch):
    """The paths that are read from now on."""
    calls = []
    monkeypatch.setattr("dassl.data.decoded.read_image", lambda path: calls.append(path) or read_image(path))
    return calls


@pytest.mark.parametrize("transform", [*AVAI_CHOICES])
def test_random_crops_are_those_of_the_file(transform, paths):
    cfg = get_cfg_default()
    cfg.INPUT.SIZE, cfg.INPUT.TRANSFORMS = (16, 16), (transform, "normalize")
    cfg.INPUT.GB_K = 5
    transform, kept = build_transform(cfg), DecodedImages(1)
    kept.keep(paths, processes=0)
    assert len(kept) == len(paths)
    for path in paths:
        crops = []
        for image in (read_image(path), kept.read(path)):
            random.seed(1), np.random.seed(1), torch.manual_seed(1)
            crops.append(transform(image))
        assert torch.equal(*crops)


def test_nothing_is_read_twice_and_nothing_beyond_the_bound_is_kept(paths, monkeypatch):
    sizes = {path: len(read_image(path).tobytes()) for path in paths}
    kept, calls = DecodedImages(sum(sizes.values()) / 2 / GB), reading(monkeypatch)
    kept.keep(paths, processes=1)
    assert len(paths) / 4 < len(kept) < len(paths) and kept.held <= sum(sizes.values()) / 2
    calls.clear()
    for path in paths * 2:
        assert np.array_equal(np.asarray(kept.read(path)), np.asarray(read_image(path)))
    assert len(calls) == 2 * (len(paths) - len(kept))


def test_no_memory_is_spent_where_it_holds_few_of_the_images(paths, monkeypatch):
    kept, calls = DecodedImages(1e-6), reading(monkeypatch)  # 1 kB
    kept.keep(paths, processes=0)
    assert not len(kept) and len(calls) == 8
    DecodedImages(0).keep(paths, processes=0)
    assert len(calls) == 8


def test_a_broken_image_gets_its_error_when_it_is_read(paths, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    kept = DecodedImages(1)
    kept.keep([*paths, str(tmp_path / "broken.png"), str(tmp_path / "missing.png")], processes=0)
    assert len(kept) == len(paths)
    for name, said in (("broken", "is no image"), ("missing", "there is no image")):
        with pytest.raises(InputError, match=said):
            kept.read(str(tmp_path / f"{name}.png"))


def test_processes_that_start_afresh_are_sent_no_images(paths, monkeypatch, caplog):
    kept = DecodedImages(1)
    kept.keep(paths, processes=0)
    assert len(pickle.dumps(kept)) < 1000 and not len(pickle.loads(pickle.dumps(kept)))
    other, context = DecodedImages(1), multiprocessing.get_context("spawn")
    monkeypatch.setattr("dassl.data.decoded.multiprocessing.get_context", lambda: context)
    with caplog.at_level(logging.INFO):
        other.keep(paths, processes=2)
    assert not len(other) and "processes start by spawn here" in caplog.text
    other.keep(paths, processes=0)
    assert len(other) == len(paths)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_is_the_same_with_and_without(workers, make_cfg, monkeypatch):
    def trained(folder, gigabytes):
        torch.manual_seed(0), random.seed(0), np.random.seed(0)
        cfg = make_cfg(folder, DATALOADER__NUM_WORKERS=workers, DATALOADER__CACHE=gigabytes, TEST__NO_TEST=True)
        cfg.INPUT.TRANSFORMS = ("random_resized_crop", "random_flip", "gaussian_noise", "normalize")
        trainer = build_trainer(cfg)
        calls = reading(monkeypatch)
        trainer.train()
        return trainer, calls

    kept, calls = trained("kept", 1.0)
    plain, more = trained("plain", 0.0)
    images = len(kept.dm.dataset.train_x)
    assert kept.max_epoch > 1 and len(calls) == images
    assert workers or len(more) >= (kept.max_epoch - 1) * images
    assert all(torch.equal(a, b) for a, b in zip(kept.model.parameters(), plain.model.parameters(), strict=True))


def test_nothing_is_decoded_ahead_for_a_single_epoch(make_cfg, caplog):
    trainer = build_trainer(make_cfg("out", OPTIM__MAX_EPOCH=1, TEST__NO_TEST=True, DATALOADER__NUM_WORKERS=0))
    with caplog.at_level(logging.INFO):
        trainer.train()
    assert not len(trainer.train_loader_x.dataset.decoded) and "kept in memory" not in caplog.text
