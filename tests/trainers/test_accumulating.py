"""OPTIM.ACCUMULATE: a batch in parts is the batch, in float64, for every trainer and loss."""

import pytest
import torch

from caspl.ground.errors import InputError
from caspl.trainers.stepping import in_parts
from registered import METHODS, tiers

IMAGES, PARTS = 5, (2, 3, 5)  # uneven ones, too
CASES = {name: () for name in (*METHODS, *(f"CasPL_{name}" for name in METHODS))}
CASES |= {f"CasPLBoost {loss}": ("TRAINER.CASPL.LOSS", loss) for loss in ("kl", "reverse_kl", "l1", "mse", "feature")}
CASES["CoCoOp in parts of its own"] = ("TRAINER.COCOOP.MEMORY", "1.5e-4")


def at_a_start(build, boosting, case):
    """A trainer of the case in float64, away from where training starts, and a batch."""
    name = case.partition(" ")[0]
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    trainer = build(name, "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2", *CASES[case], *more)
    trainer.model.double()
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainer.trained:
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype)
        trainer.prepare()
    if name == "CasPLBoost":
        trainer.teacher.double()
        trainer.teacher_backbone.model.double()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 9
    batch = trainer.train_loader_x.dataset[0]
    images = torch.randn(IMAGES, *batch["img"].shape, generator=noise, dtype=torch.float64)
    labels = torch.randint(0, trainer.num_classes, (IMAGES,), generator=noise)
    return trainer, {"img": images, "label": labels, "impath": [str(number) for number in range(IMAGES)]}


def stepped(trainer, batch, parts):
    """Figures, gradients and prompts of a step from here in so many parts, after which the trainer is as before."""
    before = [p.detach().clone() for p in trainer.trained]
    trainer.cfg.defrost()
    trainer.cfg.OPTIM.ACCUMULATE = parts
    figures = trainer.forward_backward(batch)
    gradients = [p.grad.clone() for p in trainer.trained]
    after = [p.detach().clone() for p in trainer.trained]
    with torch.no_grad():
        for parameter, value in zip(trainer.trained, before, strict=True):
            parameter.copy_(value)
    trainer.optim.state.clear()  # momentum
    return figures, gradients, after


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
        for one, other in zip([*gradients, *after], [*found[1], *found[2]], strict=True):
            assert (one - other).abs().max() <= 1e-9 * one.abs().max().clamp_min(1e-3)


def test_parts_hold_all_that_belongs_to_their_images():
    batch = {"img": torch.arange(5), "label": torch.arange(5) * 10, "impath": list("abcde")}
    parts = list(in_parts(batch, 2))
    assert [part["impath"] for part, _ in parts] == [["a", "b"], ["c", "d", "e"]]
    assert [part["label"].tolist() for part, _ in parts] == [[0, 10], [20, 30, 40]]
    assert [share for _, share in parts] == [2 / 5, 3 / 5]
    assert [len(part["img"]) for part, _ in in_parts(batch, 9)] == [1] * 5  # never an empty one


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
