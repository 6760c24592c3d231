"""A training step and a batch of an evaluation never wait for the GPU: its numbers are read when it has the next one to do."""

import math
from itertools import product

import pytest
import torch
from safetensors.torch import load_file

from caspl.ground.devices.transfers import Figures
from caspl.ground.tensors import finite
from fake_devices import on_fake
from registered import PROMPT_LEARNERS, keys_of

# Five batches of four of the twenty images; a test of three batches
SHORT = (
    *("--seed", "1", "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "1", "DATALOADER.TRAIN_X.BATCH_SIZE", "4"),
    *("DATALOADER.TEST.BATCH_SIZE", "8", "TEST.PREDICTIONS", "True"),
)


class Watch:
    """Notes at each call of a trainer's method how often the program has waited for the device so far, and why."""

    def __init__(self, trainer, device):
        self.trainer, self.device, self.calls, self.launches = trainer, device, {}, []
        for name in ("forward_backward", "model_inference", "after_epoch"):
            self.watch(trainer, name)
        self.watch(trainer.evaluator, "evaluate")

    def watch(self, owner, name):
        method, calls = getattr(owner, name), self.calls.setdefault(name, [])

        def watched(*args, **options):
            calls.append(len(self.device.waits))
            if name == "forward_backward":
                self.launches.append(self.device.launches)
            return method(*args, **options)

        setattr(owner, name, watched)

    def between(self, first, last):
        """Waits between two moments, each (method, number of its call)."""
        begin, end = (self.calls[name][number] for name, number in (first, last))
        return self.device.waits[begin:end]


QUICK = (("CoOp", "amp"), ("CoCoOp", "fp16"), ("CasPL_VPT", "fp16"), ("CasPL_ProGrad", "fp16"), ("CasPLBoost", "amp"))


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in product((*PROMPT_LEARNERS, "CasPLBoost"), ("fp16", "amp"))
    ],
)
def test_nobody_waits_for_a_step(name, precision, build, boosting):
    """From the third step on: the first makes the plan of the tokens, and the first under a scaler the momentum."""
    with on_fake("cuda") as there:
        trainer = build(name, "base", "out", *SHORT, *keys_of(name, precision, boosting))
        if trainer.scaler.is_enabled():
            trainer.scaler = torch.amp.GradScaler(
                "cuda", init_scale=2.0
            )  # with the default the first steps are left out
        watch = Watch(trainer, there)
        trainer.train()
    assert watch.between(("forward_backward", 2), ("after_epoch", 0)) == []
    assert len(there.behind) == 5 and there.behind[-1] == 0  # the figures of each step; the last one has none behind it
    steps = [b - a for a, b in zip(watch.launches, watch.launches[1:], strict=False)]
    assert all(behind > 0.9 * min(steps) for behind in there.behind[:-1])
    # The test of the last prompts, and then the evaluation, whose first batch makes class features
    assert watch.between(("model_inference", -2), ("evaluate", -1)) == []


@pytest.mark.parametrize("name", ["ZeroshotCLIP", "LinearProbe"])
def test_nobody_waits_for_a_test_without_prompts(name, build):
    with on_fake("cuda") as there:
        trainer = build(name, "base", "out", *SHORT, *keys_of(name, "fp16"), "TEST.FEATURES", "True")
        watch = Watch(trainer, there)
        trainer.test()
    assert watch.between(("model_inference", 0), ("evaluate", -1)) == []
    assert trainer.image_features.shape[0] == 24


@pytest.mark.parametrize("keys", [("TEST.FEATURES", "True"), ("TEST.FEATURE_STORE", "kept")])
def test_nobody_waits_for_features(keys, build, tmp_path):
    keys = [str(tmp_path / key) if key == "kept" else key for key in keys]
    with on_fake("cuda") as there:
        trainer = build("CoOp", "base", "out", *SHORT, *keys_of("CoOp", "fp16"), *keys)
        watch = Watch(trainer, there)
        trainer.test()
    assert watch.between(("model_inference", 1), ("evaluate", -1)) == []


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("CasPLBoost", ("TRAINER.CASPL.TEACHER_STORE", "kept", "TRAINER.CASPL.CROPS", "seeded")),
        ("ProGrad", ("TRAINER.COOP.CROP_POOL", "1", "TRAINER.CASPL.CROPS", "seeded")),
        pytest.param("CoOp", ("DATALOADER.CACHE", "1"), marks=pytest.mark.slow),
    ],
)
def test_nobody_waits_for_what_is_kept(name, keys, build, tmp_path):
    """The rows of a teacher that are there already, features of crops, images in memory."""
    keys = [str(tmp_path / key) if key == "kept" else key for key in keys]
    with on_fake("cuda") as there:
        for folder in ("first", "second"):
            trainer = build(name, "base", folder, *SHORT, *keys_of(name, "fp16"), *keys, "TEST.NO_TEST", "True")
            watch = Watch(trainer, there)
            trainer.train()
    assert watch.between(("forward_backward", 2), ("after_epoch", 0)) == []


def test_a_host_s_meters_read_a_step_themselves(build):
    """Upstream's loop hands the figures to its meters at once: they wait, and have the numbers of this step."""
    with on_fake("cuda") as there:
        trainer = build("CoOp", "base", "out", *SHORT, *keys_of("CoOp", "fp32"))
        trainer.batch_idx, trainer.num_batches = 0, 9
        batch = next(iter(trainer.train_loader_x))
        figures = trainer.forward_backward(batch)
        assert type(figures) is Figures and isinstance(figures, dict) and not there.behind
        assert [name for name, _ in figures.items()] == ["loss", "acc"] and there.behind == [0]
        assert all(isinstance(value, float) and math.isfinite(value) for value in {**figures}.values())
        assert trainer.course.latest.batches == 1
    trainer = build("CoOp", "base", "here", *SHORT, *keys_of("CoOp", "fp32"), "USE_CUDA", "False")
    trainer.batch_idx, trainer.num_batches = 0, 9
    assert trainer.forward_backward(batch) == pytest.approx(dict(figures), rel=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# Training that diverges is found a step later, at the right place
# ---------------------------------------------------------------------------------------------------------------------
def at_step(trainer, number, inject):
    steps, forward_backward = [], trainer.forward_backward

    def counted(batch):
        steps.append(1)
        if len(steps) == number:
            inject(trainer)
        return forward_backward(batch)

    trainer.forward_backward = counted


def bad_gradient(trainer):
    trainer.trained[0].register_hook(lambda gradient: gradient * math.nan)


def explode(trainer):
    trainer.optim.param_groups[0]["lr"] = 1e38


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *(("gradient", 5), ("rate", 6)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("gradient", 2), ("gradient", 10), ("rate", 5), ("rate", 10))
        ),
    ],
)
def test_divergence_is_told_of_the_step_in_which_it_happened(kind, step, build, tmp_path):
    """In the middle of an epoch, in its last batch, in the first and last of the next; nothing of it is written."""
    inject, said = {"gradient": (bad_gradient, "gradients nan"), "rate": (explode, "parameters")}[kind]
    keys = (*SHORT, *keys_of("CoOp", "fp32"), "OPTIM.MAX_EPOCH", "2", "TEST.NO_TEST", "True")
    epoch, batch = (step - 1) // 5 + 1, (step - 1) % 5 + 1
    with on_fake("cuda"):
        trainer = build("CoOp", "base", "out", *keys)
        at_step(trainer, step, inject)
        rate = r"1e\+38" if kind == "rate" else r"\S+"
        place = rf"epoch {epoch} of 2, batch {batch} of 5 \(learning rate {rate}\): {said}"
        with pytest.raises(finite.DivergedError, match=place):
            trainer.train()
    assert {path.name for path in (tmp_path / "out").rglob("*.pth.tar*")} == {"resume.pth.tar"}
    left = torch.load(tmp_path / "out" / "resume.pth.tar", weights_only=True)
    assert left["epoch"] == epoch - 1 and "diverged" in left
    (learned,) = left["models"].values()
    assert all(value.isfinite().all() for value in learned.values())
    with on_fake("cuda"):
        again = build("CoOp", "base", "out", *keys, "OPTIM.LR", "0.001")
        again.train()
    assert again.start_epoch == epoch - 1
    assert load_file(tmp_path / "out" / "prompts.safetensors")


@pytest.mark.parametrize("when", ["every", "in the last batch"])
def test_scores_that_are_not_finite_are_no_accuracy(when, build):
    with on_fake("cuda"):
        trainer = build("CoOp", "base", "out", *SHORT, *keys_of("CoOp", "fp16"))
        logits, batches = trainer.model.prompted.logits, []

        def spoiled(*features):
            batches.append(1)
            return logits(*features) * (math.nan if when == "every" or len(batches) == 3 else 1)

        trainer.model.prompted.logits = spoiled
        with pytest.raises(finite.NotFiniteError, match="the scores of 8 of 8 images are not finite"):
            trainer.test()


# ---------------------------------------------------------------------------------------------------------------------
# Steps under a scaler
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_steps_under_a_scaler_are_those_of_pytorch_s(optimizer, build, monkeypatch):
    """Left out where gradients overflow, in the first step and later, with prompts, momentum and factor to the bit."""
    overflows = (True, False, False, True, False, True, True, False)

    def trained(plain):
        with on_fake("cuda") as there:
            damped = ("OPTIM.SGD_DAMPNING", "0.1") if optimizer == "sgd" else ()
            keys = (*keys_of("CoOp", "amp"), "OPTIM.NAME", optimizer, *damped)
            trainer = build("CoOp", "base", "plain" if plain else "ours", *SHORT, *keys)
            trainer.scaler = torch.amp.GradScaler("cuda", init_scale=256.0)
            trainer.batch_idx, trainer.num_batches = 0, 99
            left = list(overflows)
            trainer.trained[0].register_hook(lambda gradient: gradient * (math.inf if left.pop(0) else 1))
            batch = next(iter(trainer.train_loader_x))
            with monkeypatch.context() as patched:
                if plain:
                    patched.setattr("caspl.trainers.stepping.scaled_step", lambda scaler, optim: scaler.step(optim))
                waits = []
                for _ in overflows:
                    before = len(there.waits)
                    trainer.forward_backward(batch)
                    waits.append(len(there.waits) - before)
            (state,) = trainer.optim.state_dict()["state"].values()
            state = {key: value.cpu() if torch.is_tensor(value) else value for key, value in state.items()}
            return trainer.trained[0].detach().cpu(), state, trainer.scaler.get_scale(), waits

    (ours, momentum, scale, waits), (plain, expected, factor, _) = trained(False), trained(True)
    assert torch.equal(ours, plain) and scale == factor == 256.0 / 2 ** sum(overflows)
    assert all(torch.equal(torch.as_tensor(momentum[key]), torch.as_tensor(value)) for key, value in expected.items())
    if optimizer == "sgd":
        assert waits[2:] == [0] * 6


def test_a_scaler_whose_factor_has_shrunk_to_nothing_has_diverged(build):
    with on_fake("cuda"):
        trainer = build("CoOp", "base", "out", *SHORT, *keys_of("CoOp", "amp"))
        trainer.scaler = torch.amp.GradScaler("cuda", init_scale=2e-4)
        trainer.trained[0].register_hook(lambda gradient: gradient * math.inf)
        with pytest.raises(finite.DivergedError, match="batch 2 of 5 .*not finite at a loss scale of 5e-05 either"):
            trainer.train()
