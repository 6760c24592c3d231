"""Two processes of a job do what one does, up to rounding: steps, whole runs, and what they leave."""

import pytest
import torch
from in_processes import forks, in_processes
from safetensors.torch import load_file

from caspl.ground.processes import together
from caspl.results.records import read
from caspl.results.records.predictions import verified
from registered import tiers
from steps import CASES, at_a_start, near, stepped

pytestmark = forks
SHORT = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "2", "DATALOADER.NUM_WORKERS", "0")
SMALL = (
    "DATALOADER.TRAIN_X.BATCH_SIZE",
    "5",
    "DATALOADER.TEST.BATCH_SIZE",
    "97",
)  # shares of two and three; a small last batch
SEEDED = ("TRAINER.CASPL.CROPS", "seeded")


def in_a_job(work):
    def joined():
        with together.joined():
            return work()

    return joined


def values(answers):
    for answer in answers:
        assert answer.status == 0, answer.said
    return [answer.value for answer in answers]


@pytest.mark.parametrize("case", tiers(CASES, "ProGrad", "CasPL_PromptSRC", "CasPLBoost kl"))
def test_a_step_is_that_of_one_process(case, build, boosting):
    """With a share that goes through the model at once, and in parts."""
    trainer, batch = at_a_start(build, boosting, case)
    figures, gradients, after = stepped(trainer, batch, 1)

    work = in_a_job(lambda: [stepped(trainer, batch, parts) for parts in (1, 2)])
    first, second = values(in_processes(2, work))
    for one, other in zip(first, second, strict=True):
        assert one[0] == other[0] == pytest.approx(figures, rel=1e-6)
        for own, others, expected in zip(one[1:], other[1:], (gradients, after), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(own, others, strict=True))
            assert near(own, expected)


def state(folder, name, epoch):
    """The tensors of a model file, and those of resume.pth.tar beside it."""
    model = torch.load(folder / name / f"model.pth.tar-{epoch}", weights_only=True)
    resume = torch.load(folder / "resume.pth.tar", weights_only=True)
    return model["state_dict"], resume


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "events" not in path.name}


def same_runs(one, other, name, epoch=2):
    """Whether two folders have the same numbers up to float32's rounding; their records have the same results."""
    (tensors, resume), (others, resumed) = state(one, name, epoch), state(other, name, epoch)
    assert tensors.keys() == others.keys()
    assert all(torch.allclose(tensors[key], others[key], rtol=1e-4, atol=1e-6) for key in tensors)
    assert str(resume["random"]) == str(resumed["random"])
    assert resume["extra"]["course"]["first"]["images"] == resumed["extra"]["course"]["first"]["images"]
    files = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if "events" not in path.name}
        for folder in (one, other)
    ]
    assert files[0] == files[1]
    a, b = read(one), read(other)
    assert a.finished and b.finished and verified(b, other) == []
    assert (a.dataset, a.protocol, a.model.training) == (b.dataset, b.protocol, b.model.training)
    assert a.result.correct == b.result.correct and a.result.ece == pytest.approx(b.result.ece, abs=1e-3)


BY_CLASS = ("SAMPLER", "RandomClassSampler", "BATCH_SIZE", "6", "N_INS", "2")
RUNS = {
    "phase 1": ("CasPLBoost", "CasPL", ()),
    "phase 1, seeded": ("CasPLBoost", "CasPL", (*SEEDED, "OPTIM.ACCUMULATE", "2")),
    "teacher store": ("CasPLBoost", "CasPL", (*SEEDED, "TRAINER.CASPL.TEACHER_STORE", "{store}")),
    "best_val": ("CoOp", "prompt_learner", ("TEST.FINAL_MODEL", "best_val", "TEST.FEATURES", "True")),
    "workers": ("ProGrad", "prompt_learner", (*SEEDED, "DATALOADER.NUM_WORKERS", "2")),
    "images once": ("VPT", "prompt_learner", (*SEEDED, "DATALOADER.CACHE", "1", "TEST.IMAGE_STORE", "{store}")),
    "crop pool": (
        "ProGrad",
        "prompt_learner",
        (*SEEDED, "TRAINER.COOP.CROP_POOL", "2", "TEST.FEATURE_STORE", "{store}"),
    ),
    "by class": (
        "CoOp",
        "prompt_learner",
        [w if at % 2 else f"DATALOADER.TRAIN_X.{w}" for at, w in enumerate(BY_CLASS)],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", RUNS)
def test_a_run_is_that_of_one_process(case, run, build, tmp_path):
    build("CoOp", "base", "made", *SHORT)  # whoever makes the split of the digits has drawn random numbers for it
    name, folder, keys = RUNS[case]
    keys = (*SHORT, *SMALL, *keys)
    one, two = ([key.format(store=tmp_path / f"{each} store") for key in keys] for each in ("one", "two"))
    assert run(name, "base", "one", *one) == 0
    assert values(in_processes(2, lambda: run(name, "base", "two", *two))) == [0, 0]
    stores = [{path.name for path in tmp_path.glob(f"{each} store/*")} for each in ("one", "two")]
    assert stores[0] == stores[1]
    same_runs(tmp_path / "one", tmp_path / "two", folder)
    log = (tmp_path / "two" / "log.txt").read_text()
    assert log.count("Finish training") == 1 and "2 processes share" in log
    if "TEST.FEATURES" in keys:
        one, two = (load_file(tmp_path / each / "features.safetensors")["features"].float() for each in ("one", "two"))
        assert one.shape == two.shape and torch.allclose(one, two, atol=2e-3)
