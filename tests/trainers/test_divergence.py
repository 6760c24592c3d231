"""A training that diverges ends, keeps what was good before it, and goes on at a lower rate."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_lr_scheduler, build_optimizer
from safetensors.torch import load_file

from caspl.ground.errors import InputError
from caspl.ground.tensors import finite
from registered import PROMPT_LEARNERS, tiers

ROOT = Path(__file__).resolve().parents[2]
# Two batches of four of the ten images, in each of three epochs
SHORT = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "DATALOADER.TRAIN_X.BATCH_SIZE", "4", "OPTIM.MAX_EPOCH", "3")
QUIET = (*SHORT, "TEST.NO_TEST", "True")
FINISHED = {"first": 0, "middle": 1, "last": 2}  # epochs before a step
STEPS = {"first": 1, "middle": 4, "last": 6}


def boosted(name, boosting):
    return ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()


def at_step(trainer, number, inject):
    """Call `inject(trainer)` before a step of the training, counted from 1."""
    steps, forward_backward = [], trainer.forward_backward

    def counted(batch):
        steps.append(1)
        if len(steps) == number:
            inject(trainer)
        return forward_backward(batch)

    trainer.forward_backward = counted


def explode(trainer):
    trainer.optim.param_groups[0]["lr"] = 1e38


def tensors_in(value):
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item)


def files_of(folder):
    """The names of all files with weights in a run's folder, each of which has finite numbers only."""
    names = set()
    for path in folder.rglob("*"):
        if path.suffix == ".safetensors" or ".pth.tar" in path.name:
            content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
            assert all(torch.isfinite(t).all() for t in tensors_in(content) if t.is_floating_point()), path
            names.add(path.name)
    return names


def rates_of(trainer):
    """The learning rates of the epochs of a run with this configuration."""
    optimizer = build_optimizer(torch.nn.Linear(1, 1), trainer.cfg.OPTIM)
    schedule, rates = build_lr_scheduler(optimizer, trainer.cfg.OPTIM), []
    for _ in range(trainer.max_epoch):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("moment", STEPS)
@pytest.mark.parametrize(
    "name", tiers((*PROMPT_LEARNERS, "CasPLBoost"), "CoOp", "ProGrad", "CasPL_MaPLe", "CasPLBoost")
)
def test_it_keeps_what_was_good_and_goes_on_at_a_lower_rate(name, moment, build, boosting, tmp_path):
    more, folder, finished = boosted(name, boosting), tmp_path / "out", FINISHED[moment]
    trainer = build(name, "base", "out", *QUIET, "TRAIN.CHECKPOINT_FREQ", "1", *more)
    at_step(trainer, STEPS[moment], explode)
    with pytest.raises(FloatingPointError, match=rf"epoch {finished + 1} of 3, batch \d of 2 \(learning rate 1e\+38\)"):
        trainer.train()
    models = {f"model.pth.tar-{epoch + 1}" for epoch in range(finished)}
    assert files_of(folder) == {"resume.pth.tar", *models}
    assert torch.load(folder / "resume.pth.tar", weights_only=True)["epoch"] == finished

    again = build(name, "base", "out", *QUIET, "TRAIN.CHECKPOINT_FREQ", "1", "OPTIM.LR", "0.001", *more)
    rates, before_epoch = [], again.before_epoch
    again.before_epoch = lambda: rates.append(again.get_current_lr()) or before_epoch()
    again.train()
    assert again.start_epoch == finished and rates == rates_of(again)[finished:]
    deployed = {"boosting.safetensors"} if name == "CasPLBoost" else {"prompts.safetensors"}
    assert files_of(folder) == {"resume.pth.tar", *(f"model.pth.tar-{epoch}" for epoch in (1, 2, 3)), *deployed}


def spoil(of):
    """Make the next value of a method of the trainer something else."""

    def inject(trainer):
        method, change = of
        own = getattr(trainer, method)
        setattr(trainer, method, lambda *args: change(own(*args)))

    return inject


def bad_momentum(trainer):
    for state in trainer.optim.state.values():
        state["momentum_buffer"].fill_(math.inf)


def bad_gradient(trainer):
    trainer.trained[0].register_hook(lambda gradient: gradient * math.nan)


KINDS = {
    "loss": (spoil(("loss", lambda pair: (pair[0] * math.inf, pair[1]))), "loss inf"),
    "gradient": (bad_gradient, "gradients nan"),
    "momentum": (bad_momentum, "parameters inf"),
    "absurd": (
        lambda trainer: trainer.trained[0].data.fill_(1e5),
        r"parameters of norm 2.26e\+06, expected at most 10000",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_number_is_looked_at(kind, build, tmp_path):
    inject, said = KINDS[kind]
    trainer = build("CoOp", "base", "out", *QUIET)
    at_step(trainer, 4, inject)
    with pytest.raises(
        finite.DivergedError, match=rf"epoch 2 of 3, batch 2 of 2 \(learning rate .*\): {said}; try a lower"
    ):
        trainer.train()
    assert files_of(tmp_path / "out") == {"resume.pth.tar"}


def test_a_bad_gradient_is_not_stepped(build):
    trainer = build("MaPLe", "base", "out", *QUIET)
    before = [p.clone() for p in trainer.trained]
    at_step(trainer, 1, bad_gradient)
    with pytest.raises(finite.DivergedError):
        trainer.train()
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.trained, strict=True))


def test_a_general_direction_that_is_not_finite_counts(build, monkeypatch):
    """ProGrad's second loss decides on the gradient only."""
    trainer = build("ProGrad", "base", "out", *QUIET)
    general = trainer.general_loss
    monkeypatch.setattr(trainer, "general_loss", lambda *args: general(*args) * math.nan)
    with pytest.raises(finite.DivergedError, match="epoch 1 of 3, batch 1 of 2 .*gradients nan"):
        trainer.train()


# Scores of the last epoch's validation, and of what its prompts give for training images, before anything of them is saved
EVALUATIONS = {
    "validation": ("CoOp", ("TEST.FINAL_MODEL", "best_val")),
    "last prompts": ("CoOp", ()),
    "phase 1": ("CasPLBoost", ()),
    "untested": ("CasPLBoost", ("TEST.NO_TEST", "True")),
}


@pytest.mark.parametrize("case", EVALUATIONS)
def test_scores_that_are_not_finite_are_no_accuracy(case, build, tmp_path):
    name, keys = EVALUATIONS[case]
    trainer = build(name, "base", "out", *SHORT, *keys)
    logits = trainer.model.prompted.logits

    def spoiled(*features):
        last = trainer.epoch == 2 and not torch.is_grad_enabled()
        return logits(*features) * (math.nan if last else 1)

    trainer.model.prompted.logits = spoiled
    with pytest.raises(
        finite.DivergedError, match=r"epoch 3 of 3.*scores of \d+ of \d+ images are not finite.*after epoch 2"
    ):
        trainer.train()
    left = files_of(tmp_path / "out")
    assert left <= {"resume.pth.tar", "model-best.pth.tar"}
    assert torch.load(tmp_path / "out" / "resume.pth.tar", weights_only=True)["epoch"] == 2
    trainer = build(name, "base", "out", *SHORT, *keys, "OPTIM.LR", "0.001")
    trainer.train()
    assert trainer.start_epoch == 2


def test_unusual_prompts_are_tried_before_they_are_saved(build, tmp_path):
    """In the middle of a training, too: a state from which the next epoch can only diverge replaces none."""
    trainer = build("CoOp", "base", "out", *QUIET)
    at_step(trainer, 4, lambda trainer: trainer.trained[0].data.fill_(20))
    logits = trainer.model.prompted.logits
    overflow = lambda: math.nan if trainer.trained[0].abs().max() > 19 and not torch.is_grad_enabled() else 1  # noqa: E731
    trainer.model.prompted.logits = lambda *features: logits(*features) * overflow()
    with pytest.raises(finite.DivergedError, match="epoch 2 of 3"):
        trainer.train()
    assert torch.load(tmp_path / "out" / "resume.pth.tar", weights_only=True)["epoch"] == 1


@pytest.fixture
def diverged(build, tmp_path):
    """A run of CoOp that has finished an epoch and diverged."""
    trainer = build("CoOp", "base", "out", *QUIET)
    at_step(trainer, 4, explode)
    with pytest.raises(finite.DivergedError):
        trainer.train()
    return tmp_path / "out" / "resume.pth.tar"


OTHERS = {
    "another key": ("OPTIM.MOMENTUM", "0.5"),
    "a rate and another key": ("OPTIM.LR", "0.001", "OPTIM.WARMUP_EPOCH", "2"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_after_a_divergence_nothing_but_rates_and_precision_may_change(case, diverged, build):
    before = diverged.read_bytes()
    with pytest.raises(
        InputError, match="another configuration: .*its learning rates and PREC may change, and nothing else"
    ):
        build("CoOp", "base", "out", *QUIET, *OTHERS[case]).train()
    assert diverged.read_bytes() == before


CALMER = {
    "rate": ("OPTIM.LR", "0.0005"),
    "warm-up": ("OPTIM.LR", "0.0005", "OPTIM.WARMUP_CONS_LR", "1e-06"),
    "precision": ("TRAINER.COOP.PREC", "bf16"),
}


@pytest.mark.parametrize("case", CALMER)
def test_once_it_has_gone_on_the_configuration_is_fixed_again(case, diverged, build, caplog):
    caplog.set_level("INFO")
    build("CoOp", "base", "out", *QUIET, *CALMER[case]).train()
    assert f"goes on with another setting: {CALMER[case][0]} was" in caplog.text
    assert "diverged" not in torch.load(diverged, weights_only=True)
    with pytest.raises(InputError, match="OPTIM.LR was .* and is now 0.0001"):
        build("CoOp", "base", "out", *QUIET, *CALMER[case], "OPTIM.LR", "0.0001").train()


def test_the_way_it_goes_on_is_that_of_its_own_momentum(diverged, build, monkeypatch):
    """Only the rates are new: prompts, momentum and random streams are those of the last good state."""
    stored = torch.load(diverged, weights_only=True)["optimizers"]["prompt_learner"]["state"][0]["momentum_buffer"]
    trainer = build("CoOp", "base", "out", *QUIET, "OPTIM.LR", "0.0005")
    monkeypatch.setattr(trainer, "run_epochs", lambda: None)
    trainer.train()
    (state,) = trainer.optim.state.values()
    assert torch.equal(state["momentum_buffer"], stored)
    assert trainer.get_current_lr() == trainer.sched.get_last_lr()[0] == rates_of(trainer)[1]


def test_model_files_go_on_at_the_rate_that_is_asked_for(build, caplog):
    """Without resume.pth.tar, as in hosts, the files say nothing of their configuration but the rate."""
    caplog.set_level("INFO")
    keys = (*QUIET, "TRAIN.RESUME_FREQ", "0", "TRAIN.CHECKPOINT_FREQ", "1")
    trainer = build("CoOp", "base", "out", *keys)
    at_step(trainer, 4, explode)
    with pytest.raises(finite.DivergedError, match="goes on from the newest model files"):
        trainer.train()
    again = build("CoOp", "base", "out", *keys, "OPTIM.LR", "0.0005")
    again.before_train()
    again.close_writer()
    assert again.start_epoch == 1 and again.get_current_lr() == rates_of(again)[1]
    assert "training goes on at the present one" in caplog.text


def test_steps_that_a_scaler_leaves_out_are_no_divergence(build):
    """Until its factor is so small that they will never be made."""
    trainer = build("CoOp", "base", "out", *QUIET)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0, enabled=True)
    overflows = [True, True, False]
    trainer.trained[0].register_hook(lambda gradient: gradient * (math.inf if overflows.pop(0) else 1))
    trainer.before_train()
    trainer.close_writer()
    trainer.batch_idx, trainer.num_batches = 0, 9
    batch = next(iter(trainer.train_loader_x))
    before = trainer.trained[0].clone()
    for moves in (False, False, True):
        trainer.forward_backward(batch)
        assert torch.equal(trainer.trained[0], before) is not moves
    overflows += [True] * 20
    with pytest.raises(finite.DivergedError, match="not finite at a loss scale of 3.1e-05"):
        while overflows:
            trainer.forward_backward(batch)
    assert len(overflows) > 3


def test_training_that_does_not_help_is_told(build, caplog, monkeypatch):
    trainer = build("CoOp", "base", "out", *QUIET, "OPTIM.MAX_EPOCH", "2")
    at_step(trainer, 3, lambda trainer: spoil(("loss", lambda pair: (pair[0] * 50, -pair[1])))(trainer))
    trainer.train()
    (line,) = [line for line in caplog.messages if line.startswith("Training did not help")]
    assert re.search(r"the loss at the end, .*; try a lower OPTIM.LR$", line)


@pytest.mark.slow
def test_the_command_ends_with_one_sentence_and_status_1(command, tmp_path):
    def train(*more):
        arguments = command("CasPLBoost", "base", "out", *QUIET, *more)
        return subprocess.run([sys.executable, ROOT / "train.py", *arguments], cwd=ROOT, capture_output=True, text=True)

    ended = train("OPTIM.LR", "1000")
    assert ended.returncode == 1
    assert re.fullmatch(
        r"error: training has diverged in epoch 2 of 3, batch 1 of 2 \(learning rate 1000\): .*; try a lower OPTIM.LR: "
        r"the same command then goes on after epoch 1, from \S+resume.pth.tar\n",
        ended.stderr,
    )
    assert files_of(tmp_path / "out") == {"resume.pth.tar"}
    ended = train("OPTIM.LR", "0.001")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "OPTIM.LR was 1000.0 and is now 0.001" in ended.stdout
    assert files_of(tmp_path / "out") == {"resume.pth.tar", "model.pth.tar-3", "boosting.safetensors"}


# Starting from the prompts of another run
STARTS = ("CoOp", "CasPL_CoOp", "CasPLBoost", "MaPLe", "PromptSRC")


@pytest.mark.parametrize("name", STARTS)
def test_a_finished_run_says_how_its_prompts_are_trained_on(name, build, boosting, tmp_path):
    more = boosted(name, boosting)
    build(name, "base", "out", *QUIET, *more).train()
    with pytest.raises(InputError, match="OPTIM.MAX_EPOCH was 3 and is now 5") as caught:
        build(name, "base", "out", *QUIET, *more, "OPTIM.MAX_EPOCH", "5").train()
    file = tmp_path / "out" / TRAINER_REGISTRY.get(name).checkpoint_name / "model.pth.tar-3"
    assert f"give MODEL.INIT_WEIGHTS {file} and another --output-dir" in str(caught.value)
    start = build(name, "base", "more", *QUIET, *more, "MODEL.INIT_WEIGHTS", str(file)).model.learner.state_dict()
    stored = torch.load(file, weights_only=True)["state_dict"]
    assert start.keys() == stored.keys() and all(torch.equal(start[key], stored[key]) for key in stored)


def test_prompts_that_fit_in_part_are_no_start(build, boosting, tmp_path):
    build("CoOp", "base", "out", *QUIET).train()
    file = str(tmp_path / "out" / "prompt_learner" / "model.pth.tar-3")
    for name, keys, said in (
        ("CoOp", ("TRAINER.COOP.N_CTX", "4"), "TRAINER.COOP.N_CTX was 8 and is 4"),
        ("MaPLe", (), "does not fit this MaPLe run: .*proj.weight is missing"),
        ("CasPL_CoOp", boosted("CasPL_", boosting), "does not fit this CasPL_CoOp run: .*adapting.ctx is missing"),
    ):
        with pytest.raises(InputError, match=said):
            build(name, "base", "more", *QUIET, *keys, "MODEL.INIT_WEIGHTS", file)
