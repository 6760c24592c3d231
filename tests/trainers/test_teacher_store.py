"""Phase 1 with the teacher's features out of a store: the same numbers, and the teacher's image tower left in peace."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import train
from caspl.checkpoints.boosting import read_boosting
from caspl.clip.backbones import Backbone
from caspl.ground import stores
from caspl.ground.errors import InputError
from caspl.prompting.distillation import Teacher, distillation_loss, feature_loss
from caspl.trainers.teacher_store import NAMES, Naming, row_name
from registered import tiers
from waiting import wait_for

# 20 images in batches of 10: no epoch leaves one out
SHORT = ("DATASET.NUM_SHOTS", "2", "DATALOADER.TRAIN_X.BATCH_SIZE", "10", "OPTIM.MAX_EPOCH", "2")
SEEDED = ("TRAINER.CASPL.CROPS", "seeded")
NO_TEST = ("TEST.NO_TEST", "True")


@pytest.fixture
def store(tmp_path):
    return ("TRAINER.CASPL.TEACHER_STORE", str(tmp_path / "store"))


@pytest.fixture
def make(build):
    """A trainer of phase 1 ready to train, with the images of seed 1."""

    def call(*keys, folder="out", draw=1):
        trainer = build("CasPLBoost", "all", folder, "--seed", "1", *SHORT, *SEEDED, *keys)
        torch.manual_seed(draw)  # another order of the images
        trainer.prepare()
        trainer.set_model_mode("train")
        return trainer

    return call


def pass_over(trainer, epochs=2):
    """Losses and gradients of each batch of some epochs, without a step; what was computed is published."""
    found = []
    for trainer.epoch in range(epochs):
        trainer.before_epoch()
        for batch in trainer.train_loader_x:
            trainer.model.zero_grad()
            loss, _ = trainer.loss(*trainer.parse_batch_train(batch))
            loss.backward()
            found.append([loss.detach(), *(p.grad.clone() for p in trainer.trained)])
    if trainer.rows is not None:
        trainer.rows.publish()
    return found


def equal(one, other):
    return all(torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def refuse_to_teach(monkeypatch):
    def called(*_):
        raise AssertionError("the teacher's image tower was asked")

    monkeypatch.setattr(Teacher, "image_features", called)
    monkeypatch.setattr(Backbone, "place_image_tower", called)


@pytest.mark.parametrize("form", ["fp32", "fp16"])
@pytest.mark.parametrize("loss", tiers(("kl", "feature"), "kl"))
def test_empty_and_full_store_give_the_same_bits_and_fp32_those_of_the_teacher(form, loss, make, store, monkeypatch):
    keys = ("TRAINER.CASPL.TEACHER_FORMAT", form, "TRAINER.CASPL.LOSS", loss)
    without = pass_over(make(*keys))
    cold = pass_over(make(*keys, *store))
    refuse_to_teach(monkeypatch)
    trainer = make(*keys, *store)
    assert equal(cold, pass_over(trainer)) and equal(cold, without)
    assert trainer.rows.found == trainer.rows.asked == 40


def test_rounding_is_all_that_a_row_changes(make, store):
    """In float64: the loss and its gradients are those of the rounded features, by either way."""
    for form, dtype, small in (("fp32", torch.float32, 1e-6), ("fp16", torch.float16, 1e-2)):
        trainer = make("TRAINER.CASPL.TEACHER_FORMAT", form, *store)
        trainer.precision = replace(trainer.precision, weights=torch.float64)
        for part in (trainer.model, trainer.teacher, trainer.teacher_backbone.model):
            part.double()
        images = next(iter(trainer.train_loader_x))["img"].double()
        exact = trainer.teacher.image_features(images)

        def result(features, trainer=trainer, images=images):
            trainer.model.zero_grad()
            image, text = trainer.model.encode(images)
            target = trainer.teacher.logits(features, trainer.model.prompted.scale)
            loss = distillation_loss(trainer.model.prompted.logits(image, text), target)
            loss.backward()
            return [loss.detach(), *(p.grad.clone() for p in trainer.trained)]

        expected, rounded = result(exact), result(exact.to(dtype).double())
        for _ in range(2):  # computed, then out of the store
            trainer.model.zero_grad()
            loss, _ = trainer.loss(images, None)
            loss.backward()
            found = [loss.detach(), *(p.grad for p in trainer.trained)]
            for value, same, near in zip(found, rounded, expected, strict=True):
                assert torch.allclose(value, same, rtol=1e-9, atol=1e-12)
                assert torch.allclose(value, near, rtol=small, atol=small)
        assert trainer.rows.found == trainer.rows.asked // 2


def test_one_store_serves_everything_that_the_students_change(make, store, monkeypatch):
    cold = make(*store)
    pass_over(cold)
    features = {NAMES: [], "known": []}
    for batch in cold.train_loader_x:
        features[NAMES] += batch[NAMES]
        features["known"].append(cold.teacher.image_features(batch["img"]))
    refuse_to_teach(monkeypatch)
    shape = ("N_CTX_TEXT", "3", "N_CTX_VISION", "2", "DEPTH_TEXT", "1", "DEPTH_VISION", "2")
    shape = [word if at % 2 else f"TRAINER.CASPL.{word}" for at, word in enumerate(shape)]
    for keys in (
        ("TRAINER.CASPL.TEMPERATURE", "4.0", "TRAINER.CASPL.LOSS", "reverse_kl", *shape),
        ("TRAINER.CASPL.LOSS", "feature", "TRAINER.CASPL.TEMPLATE", "a {}", "TRAINER.CASPL.CLASSES", "base"),
        ("DATALOADER.TRAIN_X.BATCH_SIZE", "5", "DATALOADER.NUM_WORKERS", "2", "OPTIM.ACCUMULATE", "3"),
    ):
        trainer = make(*store, *keys, draw=len(keys))
        pass_over(trainer)
        assert trainer.rows.found == trainer.rows.asked == 40, keys
    rows, known = trainer.rows.get(features[NAMES])
    assert known.all() and torch.allclose(torch.from_numpy(rows), torch.cat(features["known"]), atol=1e-6)


@pytest.mark.slow
def test_other_crops_networks_and_precisions_are_others(make, store):
    pass_over(make(*store), 1)
    for keys in (
        ("TRAINER.CASPL.CROP_SEED", "7"),
        ("TRAINER.CASPL.TEACHER", "demo/student"),
        ("TRAINER.CASPL.PREC", "bf16"),
        ("TRAINER.CASPL.TEACHER_FORMAT", "fp16"),
    ):
        trainer = make(*store, *keys)
        pass_over(trainer, 1)
        assert trainer.rows.found < 5, keys  # some digits of 8 x 8 pixels have one crop more than once


def test_a_bit_of_a_weight_makes_another_store(make, store):
    """Fingerprints are of weights in half precision; rows are of every bit."""
    one = make(*store)
    facts = one.teacher.image_facts()
    with torch.no_grad():
        weight = one.teacher_backbone.model.visual.ln_post.weight
        weight[0] = torch.nextafter(weight[0], weight[0] + 1)
    other = one.teacher.image_facts()
    assert facts["network"] == other["network"] and facts != other


def test_a_batch_in_parts_has_the_rows_of_its_images(make, store):
    trainer = make(*store, "OPTIM.ACCUMULATE", "3")
    trainer.batch_idx, trainer.num_batches = 0, 9
    batch = next(iter(trainer.train_loader_x))
    trainer.forward_backward(batch)
    rows, known = trainer.rows.get(batch[NAMES])
    assert known.all()
    assert torch.allclose(torch.from_numpy(rows), trainer.teacher.image_features(batch["img"]), atol=1e-6)


@pytest.mark.parametrize("prec", ["fp32", "bf16", "amp"])
def test_features_have_the_format_of_the_weights(prec, make, store):
    trainer = make(*store, "TRAINER.CASPL.PREC", prec)
    images = next(iter(trainer.train_loader_x))["img"]
    with trainer.precision.autocast():
        expected = trainer.teacher.image_features(images)
        found = [trainer.teacher_features(images) for _ in range(2)]
    assert torch.equal(*found) and found[0].dtype == (torch.bfloat16 if prec == "bf16" else torch.float32)
    assert torch.equal(found[0].float(), expected.float())


def test_names_come_from_the_pixels_wherever_they_are_taken(make, store):
    """In the loader's workers; from the images themselves, as of a loader that a host has made; of a part of a batch."""
    trainer = make(*store, "DATALOADER.NUM_WORKERS", "1")
    batch = next(iter(trainer.train_loader_x))
    images, _ = trainer.parse_batch_train(batch)
    assert trainer._names(images) is batch[NAMES] and len({*batch[NAMES]}) > 5
    assert trainer._names(images[3:5]) == batch[NAMES][3:5]
    del batch[NAMES]
    images, _ = trainer.parse_batch_train(batch)
    assert trainer._names(images) == [row_name(image) for image in images]


def test_a_name_is_of_values_shape_and_format():
    image = torch.arange(48.0).reshape(3, 4, 4)
    names = {row_name(other) for other in (image, image + 1, image.reshape(3, 2, 8), image.half(), -image)}
    assert len(names) == 5 and {len(name) for name in names} == {16}
    assert (
        row_name(image.clone(memory_format=torch.preserve_format).transpose(1, 2).contiguous().transpose(1, 2)) in names
    )
    assert Naming(lambda items: items)("what is no batch of images") == "what is no batch of images"


# ---------------------------------------------------------------------------------------------------------------------
# Whole runs
# ---------------------------------------------------------------------------------------------------------------------
def log_of(folder):
    return "".join(path.read_text() for path in sorted(folder.glob("log.txt*")))


def learned(folder):
    return read_boosting(folder)[0]


def same_prompts(one, other):
    return all(torch.equal(one[key], other[key]) for key in one.keys() | other.keys())


@pytest.mark.slow
def test_runs_say_what_they_found_and_learn_the_same(run, store, tmp_path):
    common = ("--seed", "1", *SHORT, *SEEDED, *NO_TEST)
    for folder, keys in (("plain", ()), ("cold", store), ("warm", store)):
        assert run("CasPLBoost", "all", folder, *common, *keys) == 0
    assert "Of the teacher's features of 40 images 40 were in the store" in log_of(tmp_path / "warm")
    assert same_prompts(learned(tmp_path / "plain"), learned(tmp_path / "cold"))
    assert same_prompts(learned(tmp_path / "plain"), learned(tmp_path / "warm"))


def test_crops_of_the_stream_are_named_too(run, store, tmp_path):
    common = ("--seed", "1", *SHORT, *NO_TEST, *store)
    for folder in ("cold", "warm"):
        assert run("CasPLBoost", "all", folder, *common) == 0
        assert "They serve only this run, should it be repeated: set TRAINER.CASPL.CROPS seeded" in log_of(
            tmp_path / folder
        )
    assert "Of the teacher's features of 40 images 40 were in the store" in log_of(tmp_path / "warm")
    assert same_prompts(learned(tmp_path / "cold"), learned(tmp_path / "warm"))


def test_a_full_store_is_told_once_and_ends_no_run(run, store, tmp_path):
    keys = ("--seed", "1", *SHORT, *NO_TEST, *store, "TRAINER.CASPL.TEACHER_STORE_GB", "0")
    assert run("CasPLBoost", "all", "out", *keys) == 0
    assert log_of(tmp_path / "out").count("Nothing more is kept in") == 1 and not (tmp_path / "store").exists()


@pytest.mark.slow
def test_a_run_may_go_on_with_another_store_but_not_with_another_format(run, store, tmp_path, capsys):
    one = ("--seed", "1", *SHORT, *SEEDED, *NO_TEST)
    assert run("CasPLBoost", "all", "out", *one) == 0
    assert run("CasPLBoost", "all", "out", *one, *store, "TRAINER.CASPL.TEACHER_STORE_GB", "3") == 0
    assert run("CasPLBoost", "all", "out", *one, "TRAINER.CASPL.TEACHER_FORMAT", "fp16") == 2
    assert 'TRAINER.CASPL.TEACHER_FORMAT was "fp32" and is now "fp16"' in capsys.readouterr().err


def test_a_place_that_can_not_be_is_refused_before_the_work(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(train, "build_trainer", None, raising=False)
    keys = ("--seed", "1", *SHORT, "TRAINER.CASPL.TEACHER_STORE", str(tmp_path / "file"))
    assert run("CasPLBoost", "all", "out", *keys) == 2
    said = capsys.readouterr().err
    assert f"TRAINER.CASPL.TEACHER_STORE {tmp_path / 'file'} cannot be written (Not a directory)" in said
    assert "Loading CLIP" not in log_of(tmp_path / "out")


def test_what_can_only_be_read_is_of_use(make, store, tmp_path, monkeypatch):
    pass_over(make(*store), 1)

    def refuse(place, name, **_):
        raise InputError(f"{name} {place} cannot be written")

    monkeypatch.setattr(stores, "check_writable", refuse)
    trainer = make(*store)
    pass_over(trainer, 1)
    assert trainer.rows.found == 20
    with pytest.raises(InputError, match="TRAINER.CASPL.TEACHER_STORE .* cannot be written"):
        make("TRAINER.CASPL.TEACHER_STORE", str(tmp_path / "empty"))


@pytest.mark.slow
def test_a_killed_run_goes_on_with_what_it_has_kept(command, run, store, tmp_path):
    """It is killed behind its first epoch, and ends as one that was not."""
    common = ("--seed", "1", *SEEDED, *NO_TEST, "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "9", *store)
    words = command("CasPLBoost", "all", "killed", *common)
    root = Path(train.__file__).parent
    child = subprocess.Popen(
        [sys.executable, str(root / "train.py"), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: any((tmp_path / "store").glob("*/*.rows")), 60)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert run("CasPLBoost", "all", "killed", *common) == 0
    assert run("CasPLBoost", "all", "whole", *common) == 0
    assert same_prompts(learned(tmp_path / "killed"), learned(tmp_path / "whole"))
    assert "images 288 were in the store" in log_of(tmp_path / "whole")


def test_the_feature_loss_takes_stored_features(make, store):
    trainer = make(*store, "TRAINER.CASPL.LOSS", "feature")
    images = next(iter(trainer.train_loader_x))["img"]
    for _ in range(2):
        loss, _ = trainer.loss(images, None)
        image, text = trainer.model.encode(images)
        weight = trainer.model.learner.projection.weight
        expected = feature_loss(image @ weight.T, trainer.teacher.image_features(images))
        assert torch.allclose(loss, expected + feature_loss(text @ weight.T, trainer.teacher.classes), rtol=1e-5)
