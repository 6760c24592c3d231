"""A step of every trainer in float64, whole or in parts."""

import torch

from registered import METHODS

IMAGES = 5
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


def near(one, other):
    """Whether two lists of tensors are the same up to float64's rounding."""
    pairs = zip(one, other, strict=True)
    return all((a - b).abs().max() <= 1e-9 * a.abs().max().clamp_min(1e-3) for a, b in pairs)
