"""CROP_POOL: the features of K seeded crops of each image stand in for the images, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from dassl.data.wrappers import DatasetWrapper
from dassl.utils import set_random_seed

from caspl.ground.errors import InputError
from caspl.trainers import crop_pool
from registered import tiers

POOLED = ("CoOp", "CoCoOp", "KgCoOp", "ProGrad")
NAMES = (*POOLED, *(f"CasPL_{name}" for name in POOLED))
SEEDED = ("TRAINER.CASPL.CROPS", "seeded")


def keys(name, crops, boosting):
    node = "COCOOP" if name.endswith("CoCoOp") else "COOP"
    boosted = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    return (*SEEDED, *boosted, f"TRAINER.{node}.CROP_POOL", str(crops))


def small(name, epochs):
    shots = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", str(epochs), "TEST.NO_TEST", "True")
    return (*shots, "OPTIM.WARMUP_EPOCH", "-1", "DATALOADER.TRAIN_X.BATCH_SIZE", "4")


def trained(trainer, stop=None):
    """The prompts after training, which ends by force after `stop` epochs."""
    set_random_seed(7)
    if stop is not None:
        after = trainer.save_resume_state

        def end(finished):
            after(finished)
            if finished == stop:
                raise KeyboardInterrupt

        trainer.save_resume_state = end
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
    else:
        trainer.train()
    return {key: value.clone() for key, value in trainer.model.learner.state_dict().items()}


def close(a, b):
    return a.keys() == b.keys() and all(torch.allclose(a[key], b[key], atol=2e-6, rtol=1e-4) for key in a)


@pytest.mark.parametrize("name", tiers(NAMES, "CasPL_ProGrad", "CoCoOp"))
def test_as_many_crops_as_epochs_are_the_crops_of_a_run_without_a_pool(name, build, boosting):
    plain = build(name, "base", "plain", *small(name, 3), *keys(name, 0, boosting))
    pooled = build(name, "base", "pooled", *small(name, 3), *keys(name, 3, boosting))
    fewer = build(name, "base", "fewer", *small(name, 3), *keys(name, 1, boosting))
    start = {key: value.clone() for key, value in plain.model.learner.state_dict().items()}
    expected, found, other = trained(plain), trained(pooled), trained(fewer)
    assert close(found, expected) and not close(found, start)
    assert not close(other, expected)


def test_no_image_is_read_or_encoded_after_the_pool_is_made(build, monkeypatch):
    trainer = build("CoOp", "base", "out", *small("CoOp", 2), *keys("CoOp", 2, ""))
    trainer.before_train()
    trainer.close_writer()

    def refused(*_):
        raise AssertionError("an image was encoded")

    monkeypatch.setattr(trainer.model.prompted.clip.visual, "forward", refused)
    monkeypatch.setattr("dassl.data.decoded.read_image", refused)
    monkeypatch.setattr(crop_pool, "encoded", refused)
    batches = {}
    for trainer.epoch in range(3):
        trainer.before_epoch()
        batches[trainer.epoch] = {
            path: crop
            for batch in trainer.train_loader_x
            for path, crop in zip(batch["impath"], batch["img"], strict=True)
        }
    shared = batches[0].keys() & batches[1].keys() & batches[2].keys()
    assert shared and all(crop.dim() == 1 for crop in batches[0].values())
    assert all(torch.equal(batches[2][path], batches[0][path]) for path in shared)
    assert not any(torch.equal(batches[1][path], batches[0][path]) for path in shared)
    trainer.before_train()  # as whoever trains again calls it
    trainer.close_writer()
    trainer.batch_idx, trainer.num_batches = 0, 2
    trainer.forward_backward(next(iter(trainer.train_loader_x)))


@pytest.mark.parametrize("name", tiers(("CasPL_ProGrad", "CasPL_CoCoOp"), "CasPL_ProGrad"))
def test_a_killed_run_goes_on_to_the_same_bits(name, build, boosting):
    settings = (*small(name, 4), *keys(name, 3, boosting))
    whole = trained(build(name, "base", "whole", *settings))
    trained(build(name, "base", "parts", *settings), stop=2)
    again = build(name, "base", "parts", *settings)
    found = trained(again)
    assert again.start_epoch == 2
    assert all(torch.equal(found[key], value) for key, value in whole.items())


def test_the_features_are_kept_and_shared(build, boosting, tmp_path, monkeypatch):
    """By crop: a larger pool, or another method, computes only what is not there."""
    store = ("TEST.FEATURE_STORE", str(tmp_path / "store"))
    calls, encode = [], crop_pool.encoded
    monkeypatch.setattr(crop_pool, "encoded", lambda *given: calls.append(1) or encode(*given))

    def computed(name, crops, *more):
        calls.clear()
        trainer = build(name, "base", "out", *small(name, 3), *keys(name, crops, boosting), *store, *more)
        trainer.prepare()
        trainer.pool_crops()
        return len(calls), trainer.train_loader_x.dataset.features

    count, first = computed("CoOp", 2)
    assert count == 2
    count, more = computed("ProGrad", 3)
    assert count == 1 and all(torch.equal(a, b) for a, b in zip(first["img"], more["img"], strict=False))
    assert more["plain"] is more["img"]
    count, boosted = computed("CasPL_ProGrad", 2)
    assert count == 2 and torch.equal(boosted["plain"][0], first["img"][0])
    assert not torch.equal(boosted["img"][0], first["img"][0])
    assert computed("CoOp", 1, "TRAINER.CASPL.CROP_SEED", "5")[0] == 1


def test_images_are_decoded_beforehand_only_where_several_crops_are_to_be_encoded(build, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(DatasetWrapper, "keep_images", lambda dataset: decoded.append(len(dataset)))
    for crops, times in ((1, 0), (3, 1), (3, 0)):  # the second computes two, the third none
        decoded.clear()
        store = ("TEST.FEATURE_STORE", str(tmp_path / "store"))
        trainer = build("CoOp", "base", "out", *small("CoOp", 3), *keys("CoOp", crops, ""), *store)
        trainer.before_train()
        trainer.close_writer()
        assert len(decoded) == times


def test_the_random_stream_is_where_it_was(build):
    trainer = build("CoOp", "base", "out", *small("CoOp", 2), *keys("CoOp", 2, ""))
    before = torch.get_rng_state()
    trainer.pool_crops()
    assert torch.equal(torch.get_rng_state(), before)


REFUSED = {
    "crops of the stream": ("CoOp", ("TRAINER.COOP.CROP_POOL", "2")),
    "boosting prompts that learn": (
        "CasPL_CoOp",
        (*SEEDED, "TRAINER.COOP.CROP_POOL", "2", "TRAINER.CASPL.FREEZE", "False"),
    ),
    "one phase": ("CasPL_CoCoOp", (*SEEDED, "TRAINER.COCOOP.CROP_POOL", "2", "TRAINER.CASPL.ONE_PHASE", "True")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_where_no_features_can_be_kept(case, run, boosting, capsys):
    name, given = REFUSED[case]
    boosted = ("TRAINER.CASPL.BOOSTING", str(boosting)) if "FREEZE" in str(given) else ()
    assert run(name, "base", "out", *given, *boosted) == 2
    said = capsys.readouterr().err
    assert "CROP_POOL is 2" in said and "expected seeded crops and frozen boosting prompts" in said


def test_a_host_that_knows_no_rules_is_told_too(build):
    trainer = build("CoOp", "base", "out", *small("CoOp", 2))
    trainer.cfg.defrost()
    trainer.cfg.TRAINER.COOP.CROP_POOL = 2
    with pytest.raises(InputError, match="CROP_POOL is 2, expected seeded crops"):
        trainer.train()


def test_too_many_crops_are_refused_before_any_is_made(build, monkeypatch):
    trainer = build("CoOp", "base", "out", *small("CoOp", 2), *keys("CoOp", 100, ""))
    monkeypatch.setattr(crop_pool, "MOST_BYTES", 10_000)
    monkeypatch.setattr(crop_pool, "encoded", None)
    with pytest.raises(
        InputError, match=r"CROP_POOL is 100, and the features .* of 10 images .* set it to \d+ or less"
    ):
        trainer.pool_crops()


def test_other_trainers_do_not_read_it(run, capsys):
    assert run("MaPLe", "base", "out", "TRAINER.COOP.CROP_POOL", "2") == 2
    assert "MaPLe does not read it" in capsys.readouterr().err
