"""OPTIM.ACCUMULATE: a batch in parts is the batch, in float64, for every trainer and loss."""

import pytest
import torch

from caspl.ground.errors import InputError
from caspl.trainers.stepping import in_parts
from registered import tiers
from steps import CASES, IMAGES, at_a_start, near, stepped

PARTS = (2, 3, 5)  # uneven ones, too


@pytest.mark.parametrize("case", tiers(CASES, "CasPL_CoCoOp", "CasPL_PromptSRC", "ProGrad", "CasPLBoost kl"))
def test_parts_are_the_batch(case, build, boosting, monkeypatch):
    trainer, batch = at_a_start(build, boosting, case)
    sizes, loss = [], trainer.loss
    monkeypatch.setattr(trainer, "loss", lambda images, labels: sizes.append(len(images)) or loss(images, labels))
    figures, gradients, after = stepped(trainer, batch, 1)
    assert sizes == [IMAGES] and any(gradient.abs().max() > 0 for gradient in gradients)
    for parts in PARTS:
        sizes.clear()
        found = stepped(trainer, batch, parts)
        assert sum(sizes) == IMAGES and len(sizes) == parts and max(sizes) - min(sizes) <= 1
        assert found[0] == pytest.approx(figures, rel=1e-6)  # reported in float32
        assert near(gradients, found[1]) and near(after, found[2])


def test_parts_hold_all_that_belongs_to_their_images():
    batch = {"img": torch.arange(5), "label": torch.arange(5) * 10, "impath": list("abcde")}
    parts = list(in_parts(batch, 2))
    assert [part["impath"] for part in parts] == [["a", "b"], ["c", "d", "e"]]
    assert [part["label"].tolist() for part in parts] == [[0, 10], [20, 30, 40]]
    assert [len(part["img"]) for part in in_parts(batch, 9)] == [1] * 5  # never an empty one


def test_a_run_in_parts_goes_on_whole(build, tmp_path):
    """Memory may run out in the middle of a run; the number of parts is no other configuration."""
    keys = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "2", "TEST.NO_TEST", "True")
    whole = build("CoOp", "base", "whole", *keys)
    whole.train()
    trainer = build("CoOp", "base", "out", *keys)
    trainer.run_epoch, run_epoch = (
        lambda: (_ for _ in ()).throw(MemoryError) if trainer.epoch else run_epoch(),
        trainer.run_epoch,
    )
    with pytest.raises(MemoryError):
        trainer.train()
    trainer.close_writer()
    again = build("CoOp", "base", "out", *keys, "OPTIM.ACCUMULATE", "3")
    again.train()
    assert again.start_epoch == 1
    for one, other in zip(whole.trained, again.trained, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_more_parts_than_images_are_a_mistake(build):
    with pytest.raises(
        InputError, match="OPTIM.ACCUMULATE is 33 and DATALOADER.TRAIN_X.BATCH_SIZE is 32, expected no more parts"
    ):
        build("CoOp", "base", "out", "OPTIM.ACCUMULATE", "33", "DATALOADER.TRAIN_X.BATCH_SIZE", "32")
