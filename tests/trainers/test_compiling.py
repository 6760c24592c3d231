"""TRAIN.COMPILE for every trainer: the numbers of a run without, nothing compiled anew, files that know nothing of it.

PyTorch traces the towers as it does for a compiler, forward and backward, and its own kernels compute what was traced; the
compiler itself is in tests/caspl/clip/compiling/. The trainer computes in float64, as far as traces and kernels differ at all.
"""

import pytest
import torch
from torch._dynamo.utils import counters

from caspl.clip.compiling import compiled
from registered import METHODS


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()


def made(build, name, *keys, boosting=None):
    cascade = ["TRAINER.CASPL.BOOSTING", str(boosting)] if name.startswith("CasPL_") else []
    common = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "DATALOADER.NUM_WORKERS", "0", "TRAIN.CHECKPOINT_FREQ", "0")
    trainer = build(name, "base", f"{name}-{'-'.join(keys)}"[:60].replace("/", "_"), *common, *cascade, *keys)
    trainer.model.double()
    with torch.no_grad():
        trainer.prepare()
    return trainer


def steps(trainer, count, size=4):
    """Losses of `count` steps on the same images, the prompts after them, and the scores of batches of 5, 5, 5, 5 and 3."""
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 99
    generator = torch.Generator().manual_seed(1)
    shape = (3, *trainer.cfg.INPUT.SIZE)
    images = torch.randn(size, *shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, trainer.num_classes, (size,), generator=generator)
    losses = [trainer.forward_backward({"img": images, "label": labels})["loss"] for _ in range(count)]
    trainer.set_model_mode("eval")
    tests = torch.randn(23, *shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        scores = torch.cat([trainer.model_inference(part) for part in tests.split(5)])
    return losses, [p.detach().clone() for p in trainer.trained], scores


@pytest.mark.parametrize("name", [*METHODS, "CasPLBoost", "CasPL_PromptSRC", "CasPL_CoCoOp"])
def test_the_numbers_are_those_of_a_run_without(name, build, boosting, caplog):
    plain = steps(made(build, name, boosting=boosting), 3)
    trainer = made(build, name, "TRAIN.COMPILE", "towers", boosting=boosting)
    random = torch.get_rng_state()
    found = steps(trainer, 3)
    assert torch.equal(torch.get_rng_state(), random)
    assert found[0] == pytest.approx(plain[0], rel=1e-9)
    for a, b in zip(found[1], plain[1], strict=True):
        assert (a - b).abs().max() <= 1e-9 * b.abs().max()
    assert (found[2] - plain[2]).abs().max() < 1e-8
    assert not [record for record in caplog.records if record.name.startswith("caspl.clip.compiling")]
    assert not counters["graph_break"]
    compiled_once = counters["stats"]["unique_graphs"]
    assert compiled_once
    steps(trainer, 3)
    assert counters["stats"]["unique_graphs"] == compiled_once
    assert not counters["recompile_limit"]
