"""TRAIN.COMPILE for every trainer: the numbers of a run without, nothing compiled anew, files that know nothing of it.

PyTorch traces the towers as it does for a compiler, forward and backward, and its own kernels compute what was traced; the
compiler itself is in tests/caspl/clip/compiling/. The trainer computes in float64, as far as traces and kernels differ at all.
"""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from caspl.clip.compiling import compiled
from caspl.ground.errors import InputError
from caspl.trainers.prompt_trainer import PromptTrainer
from registered import METHODS, tiers


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()


def complaints(caplog):
    return [
        r.getMessage() for r in caplog.records if r.name.startswith("caspl.clip.compiling") and r.levelname == "WARNING"
    ]


def made(build, name, *keys, boosting=None, double=True):
    cascade = ["TRAINER.CASPL.BOOSTING", str(boosting)] if name.startswith("CasPL_") else []
    common = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "DATALOADER.NUM_WORKERS", "0", "TRAIN.CHECKPOINT_FREQ", "0")
    trainer = build(name, "base", f"{name}-{'-'.join(keys)}"[:60].replace("/", "_"), *common, *cascade, *keys)
    if double:
        trainer.model.double()
    with torch.no_grad():
        trainer.prepare()
    if name == "CasPLBoost":
        trainer.teacher.double().backbone.model.double()
    return trainer


def steps(trainer, count, size=4):
    """Losses of `count` steps on the same images, the prompts after them, and the scores of batches of 5, 5, 5, 5 and 3."""
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 99
    generator = torch.Generator().manual_seed(1)
    shape = (3, *trainer.cfg.INPUT.SIZE)
    images = torch.randn(size, *shape, generator=generator, dtype=torch.float64).to(next(iter(trainer.trained)).dtype)
    labels = torch.randint(0, trainer.num_classes, (size,), generator=generator)
    losses = [trainer.forward_backward({"img": images, "label": labels})["loss"] for _ in range(count)]
    trainer.set_model_mode("eval")
    tests = torch.randn(23, *shape, generator=generator, dtype=torch.float64).to(images.dtype)
    with torch.no_grad():
        scores = torch.cat([trainer.model_inference(part) for part in tests.split(5)])
    return losses, [p.detach().clone() for p in trainer.trained], scores


EVERY = tiers([*METHODS, "CasPLBoost", "CasPL_PromptSRC", "CasPL_CoCoOp"], "MaPLe", "ProGrad")
# A batch in parts, class names in parts, images in parts, in the last two activations computed again
KEYS = [
    ("CoOp", ("OPTIM.ACCUMULATE", "3")),
    ("MaPLe", ("TRAIN.MEMORY", "0.0005")),
    ("CoCoOp", ("TRAINER.COCOOP.MEMORY", "0.002")),
]


@pytest.mark.parametrize("name", EVERY)
def test_the_numbers_are_those_of_a_run_without(name, build, boosting, caplog):
    compare(build, name, (), boosting, caplog)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "keys"), KEYS, ids=[keys[0] for _, keys in KEYS])
def test_parts_are_compiled_too(name, keys, build, caplog):
    compare(build, name, keys, None, caplog)


def compare(build, name, keys, boosting, caplog):
    plain = steps(made(build, name, *keys, boosting=boosting), 3)
    trainer = made(build, name, "TRAIN.COMPILE", "towers", *keys, boosting=boosting)
    random = torch.get_rng_state()
    found = steps(trainer, 3)
    assert torch.equal(torch.get_rng_state(), random)
    assert found[0] == pytest.approx(plain[0], rel=1e-9)
    for a, b in zip(found[1], plain[1], strict=True):
        assert (a - b).abs().max() <= 1e-9 * b.abs().max()
    assert (found[2] - plain[2]).abs().max() < 1e-8
    assert not complaints(caplog)
    assert not counters["graph_break"]
    compiled_once = counters["stats"]["unique_graphs"]
    assert compiled_once
    steps(trainer, 3)
    assert counters["stats"]["unique_graphs"] == compiled_once
    assert not counters["recompile_limit"]


def test_under_autocast(build, caplog):
    """amp is bfloat16 on the CPU: numbers agree as far as that goes."""
    keys = ("TRAINER.PROMPTSRC.PREC", "amp")
    losses = [
        steps(made(build, "PromptSRC", *keys, *more, double=False), 2)[0] for more in ((), ("TRAIN.COMPILE", "towers"))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert counters["stats"]["unique_graphs"]
    assert not complaints(caplog)


def test_files_and_copies_know_nothing_of_it(build):
    trainer, plain = (made(build, "MaPLe", "TRAIN.COMPILE", mode) for mode in ("towers", "off"))
    steps(trainer, 1)
    assert list(trainer.model.state_dict()) == list(plain.model.state_dict())
    assert [type(module) for module in trainer.model.modules()] == [type(module) for module in plain.model.modules()]
    other, images = copy.deepcopy(trainer.model), torch.ones(2, 3, *trainer.cfg.INPUT.SIZE, dtype=torch.float64)
    with torch.no_grad():
        for parameter in other.learner.parameters():
            parameter.mul_(2)
        assert (other(images) - trainer.model(images)).abs().max() > 1e-3
        plain.model.learner.load_state_dict(other.learner.state_dict())
        assert (other(images) - plain.model(images)).abs().max() < 1e-8


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_numbers_of_one_that_was_not_stopped(run, tmp_path, monkeypatch):
    """CoOp's image tower learns nothing and is compiled all the same; so is the plain one of PromptSRC."""
    keys = ("DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "3", "TRAIN.COMPILE", "towers", "OPTIM.WARMUP_EPOCH", "0")
    for name in ("CoOp", "PromptSRC"):
        keys = (*keys, *(("TRAINER.PROMPTSRC.GPA_MEAN", "2") if name == "PromptSRC" else ()))
        assert run(name, "base", f"{name} whole", "--seed", "1", *keys) == 0
        with monkeypatch.context() as context:
            context.setattr(PromptTrainer, "save_resume_state", stopping_after(2, PromptTrainer.save_resume_state))
            with pytest.raises(Stopped):
                run(name, "base", f"{name} stopped", "--seed", "1", *keys)
        torch._dynamo.reset()
        assert run(name, "base", f"{name} stopped", "--seed", "1", *keys) == 0
        whole, stopped = (load_file(tmp_path / f"{name} {how}" / "prompts.safetensors") for how in ("whole", "stopped"))
        for key, value in whole.items():
            assert torch.equal(value, stopped[key]), (name, key)


class Stopped(BaseException):
    """No program catches it."""


def stopping_after(epochs, save):
    def call(self, finished):
        save(self, finished)
        if finished == epochs:
            raise Stopped

    return call


def test_graphs_without_cuda_are_refused_with_the_key(build):
    with pytest.raises(
        InputError, match="^TRAIN.COMPILE is graphs, but CUDA graphs need a CUDA device and this run is on cpu"
    ):
        build("CoOp", "base", "out", "TRAIN.COMPILE", "graphs")
