"""Evaluations out of a feature store: the same results, computed once for all seeds and methods with one image tower."""

import os
from collections import namedtuple

import pytest
import torch

from caspl.clip.feature_store import FILES, FeatureStore
from caspl.ground import stores
from caspl.ground.errors import InputError
from caspl.trainers.stored_features import facts

from .test_trainers import accuracy


@pytest.fixture
def store(tmp_path):
    return tmp_path / "features"


def files(store):
    return {path.name for path in store.iterdir()} if store.exists() else set()


@pytest.mark.parametrize("name", ["CoOp", "CasPL_CoOp", pytest.param("CasPL_CoCoOp", marks=pytest.mark.slow)])
def test_results_are_those_of_the_images(name, build, boosting, store):
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    small = ("--seed", "1", "DATALOADER.TEST.BATCH_SIZE", "40", *more)
    plain = build(name, "base", "plain", *small)
    stored = build(name, "base", "stored", *small, "TEST.FEATURE_STORE", str(store))
    expected = torch.cat([plain.model_inference(batch["img"]).detach() for batch in plain.test_loader])
    for _ in range(2):  # filling the store, and out of it
        batches = list(stored.test_loader)
        found = torch.cat([stored.model_inference(batch["img"]).detach() for batch in batches])
        assert torch.allclose(found, expected, atol=1e-4)
        assert torch.equal(torch.cat([batch["label"] for batch in batches]).sort().values, plain_labels(plain))
        assert len(batches) == len(stored.test_loader) == len(plain.test_loader)
    assert stored.test() == plain.test() and len(files(store)) == 1


def plain_labels(trainer):
    return torch.tensor([item.label for item in trainer.dm.dataset.test]).sort().values


@pytest.mark.slow
def test_one_file_for_all_that_share_a_tower(run, boosting, store, tmp_path):
    common = ("TEST.FEATURE_STORE", str(store), "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1")
    boosted = ("TRAINER.CASPL.BOOSTING", str(boosting))
    assert run("CoOp", "base", "a", "--seed", "1", *common) == 0
    assert run("CoOp", "base", "b", "--seed", "2", *common) == 0
    assert run("ProGrad", "base", "c", "--seed", "1", *common) == 0
    assert len(files(store)) == 1
    assert run("CasPL_CoOp", "base", "d", "--seed", "1", *common, *boosted) == 0  # boosted images are others
    assert run("CasPL_CoCoOp", "base", "e", "--seed", "1", *common, *boosted) == 0
    assert len(files(store)) == 2
    assert run("CoOp", "new", "f", "--seed", "1", *common) == 0  # so are other classes
    assert len(files(store)) == 3
    assert run("MaPLe", "base", "g", "--seed", "1", *common) == 0  # its image tower learns: nothing to keep
    assert len(files(store)) == 3
    assert run("CoOp", "base", "h", "--seed", "1", *common, "TRAINER.COOP.PREC", "bf16") == 0
    assert len(files(store)) == 4
    assert accuracy(tmp_path / "a")


def test_weights_that_differ_in_a_last_bit_are_others(build, store):
    trainer = build("CoOp", "base", "out", "--seed", "1")
    known = facts(trainer, (), None)
    weight = trainer.backbone.model.visual.conv1.weight
    weight.data.view(-1)[0] = torch.nextafter(weight.data.view(-1)[0], torch.tensor(9.0))
    assert facts(trainer, (), None)["weights"] != known["weights"]


def test_what_others_keep_is_read_where_it_may_not_be_written(monkeypatch, store):
    def refuse(*_, **__):
        raise InputError("cannot be written")

    monkeypatch.setattr(stores, "check_writable", refuse)
    with pytest.raises(InputError, match="cannot be written"):
        stores.check_place(store, "TEST.FEATURE_STORE", FILES)
    FeatureStore(store).find({}, ["one"], lambda: torch.ones(1, 2), "a text")
    stores.check_place(store, "TEST.FEATURE_STORE", FILES)


def test_the_last_gigabyte_of_a_disk_is_left_alone(monkeypatch, store, caplog):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(stores.shutil, "disk_usage", lambda _: usage(0, 0, stores.SPARED_BYTES))
    assert torch.equal(FeatureStore(store).find({}, ["one"], lambda: torch.ones(1, 2), "a text"), torch.ones(1, 2))
    assert not [*store.glob(FILES)] and "its disk has 1.1 GB left" in caplog.text


def test_a_changed_image_or_a_damaged_file_is_computed_again(tmp_path, store):
    image = tmp_path / "image"
    image.write_bytes(b"one")
    calls = []

    def get():
        return FeatureStore(store).get({"weights": "x"}, [str(image)], lambda: calls.append(1) or torch.ones(1, 2))

    assert torch.equal(get(), torch.ones(1, 2)) and torch.equal(get(), torch.ones(1, 2)) and len(calls) == 1
    os.utime(image, ns=(1, 1))
    get()
    assert len(calls) == 2
    for path in store.iterdir():
        path.write_bytes(path.read_bytes()[:10])
    assert torch.equal(get(), torch.ones(1, 2)) and len(calls) == 3
    get()
    assert len(calls) == 3
