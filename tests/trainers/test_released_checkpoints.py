"""Released checkpoints of the family load with --model-dir --load-epoch: files in their layout, with pickled schedulers."""

import re

import pytest
import torch
from torch import nn

from boosting_files import official_state, save_official
from caspl.checkpoints.convert import main as convert
from registered import METHODS


def released(trainer, boosting=False):
    """The state dict that the family's own code would have saved for the prompts of `trainer`: a name for each of ours."""
    learner = trainer.model.learner
    adapting = learner.adapting if boosting else learner
    whole = boosting or trainer.method in ("VPT", "IVLP", "MaPLe", "PromptSRC")
    names = {}
    for key in adapting.state_dict():
        tower, _, block = key.partition(".")
        if tower in ("text", "vision") and block.isdigit():
            names[key] = in_tower(tower, int(block), "")
            if names[key] == "text":
                names[key] = "prompt_learner.ctx"
        else:
            names[key] = f"prompt_learner.{key}" if whole else key
    state = {names[key]: value.clone() for key, value in adapting.state_dict().items()}
    prefix = "prompt_learner." if whole else ""
    if trainer.method != "VPT":
        classes, width = trainer.num_classes + 1, trainer.backbone.text_width  # of other classes than here
        state[f"{prefix}token_prefix"] = torch.zeros(classes, 1, width).half()
        state[f"{prefix}token_suffix"] = torch.zeros(classes, 30, width).half()
    if boosting:
        for key, value in learner.boosting.state_dict().items():
            tower, _, block = key.partition(".")
            name = in_tower(tower, int(block), "_FIRST")
            state["prompt_learner_teacher.ctx" if name == "text" else name] = value.clone()
        state["prompt_learner_teacher.token_prefix"] = torch.zeros(3, 1, 64)
    if whole:
        state["image_encoder.conv1.weight"] = torch.zeros(64, 3, 4, 4).half()
        state["text_encoder.transformer.resblocks.0.attn.in_proj_weight"] = torch.zeros(4, 4).half()
        state["logit_scale"] = torch.tensor(4.6)
    return state


def in_tower(tower, block, suffix):
    encoder = {"text": "text_encoder", "vision": "image_encoder"}[tower]
    if block:
        return f"{encoder}.transformer.resblocks.{block}.VPT_shallow{suffix}"
    return "text" if tower == "text" else f"image_encoder.VPT{suffix}"


def save(path, state):
    """As Dassl saves: the schedule with its optimiser inside, as pickled objects."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    path.parent.mkdir(parents=True)
    content = {"state_dict": state, "epoch": 5, "optimizer": optimizer.state_dict(), "val_result": None}
    torch.save({**content, "scheduler": {"successor": schedule}}, path)
    with pytest.raises(Exception, match="[Ww]eights.only"):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("cascaded", [False, True], ids=["alone", "cascaded"])
@pytest.mark.parametrize("method", METHODS)
def test_prompts_of_released_checkpoints(method, cascaded, build, boosting, tmp_path):
    name = f"CasPL_{method}" if cascaded else method
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if cascaded else ()
    source = build(name, "base", "source", "--seed", "1", *more)
    with torch.no_grad():
        for parameter in source.model.learner.parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter)
    state = released(source, cascaded)
    if cascaded and method in ("CoOp", "CoCoOp", "MaPLe"):  # parameters that are there and never used
        state["image_encoder.VPT"] = torch.ones(8, 64)
        state["text_encoder.transformer.resblocks.1.VPT_shallow"] = torch.ones(8, 64)
    save(tmp_path / "released" / source.checkpoint_name / "model.pth.tar-5", state)

    trainer = build(name, "new", "out", "--seed", "2")
    trainer.load_model(str(tmp_path / "released"), epoch=5)
    ours, theirs = trainer.model.learner.state_dict(), source.model.learner.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_released_prompts_of_another_shape_are_named(build, tmp_path):
    state = {"ctx": torch.ones(16, 64), "token_prefix": torch.zeros(5, 1, 64), "token_suffix": torch.zeros(5, 39, 64)}
    save(tmp_path / "released" / "prompt_learner" / "model.pth.tar-5", state)
    trainer = build("CoOp", "new", "out", "--seed", "1")
    with pytest.raises(ValueError, match=r"ctx is \(16, 64\), expected \(8, 64\)"):
        trainer.load_model(str(tmp_path / "released"), epoch=5)


@pytest.fixture
def published(tmp_path):
    """A phase 1 of the published code on the ten digits, four tokens in all blocks of demo/student; gives its run's folder."""
    torch.manual_seed(3)
    folder = tmp_path / "published"
    (folder / "CasPL").mkdir(parents=True)
    for epoch in (9, 10, 20):
        state = official_state(64, 64, tokens=4, depth=3, classes=10)
        save_official(state, folder / "CasPL" / f"model.pth.tar-{epoch}", epoch)
    return folder


@pytest.mark.parametrize("source", [".", "CasPL", "CasPL/model.pth.tar-20"])
def test_phase_2_takes_a_published_phase_1_as_if_it_were_converted(source, published, run, tmp_path):
    converted = tmp_path / "converted"
    flags = ["--student", "demo/student", "--dataset", "Digits", "--output", str(converted)]
    assert convert([str(published / "CasPL" / "model.pth.tar-20"), *flags]) == 0
    short = ("--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "2", "TEST.NO_TEST", "True")
    states = []
    for name, boosting in (("direct", published / source), ("detour", converted)):
        assert run("CasPL_CoOp", "base", name, *short, "TRAINER.CASPL.BOOSTING", str(boosting)) == 0
        file = tmp_path / name / "prompt_learner" / "model.pth.tar-2"
        states.append(torch.load(file, weights_only=True)["state_dict"])
    assert states[0].keys() == states[1].keys() and len(states[0]) > 6
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    log = (tmp_path / "direct" / "log.txt").read_text()
    assert "assumed: for demo/student, on all classes of Digits" in log and "another dataset" not in log
    ends = [(tmp_path / name / "prompts.safetensors").read_bytes() for name in ("direct", "detour")]
    assert ends[0] == ends[1]


def test_what_a_published_phase_1_tells_is_compared(published, build, run, capsys, caplog, tmp_path):
    file = published / "CasPL" / "model.pth.tar-20"
    key = "TRAINER.CASPL.BOOSTING"
    save_official(official_state(64, 64, tokens=4, depth=3, classes=37), file)
    with caplog.at_level("WARNING"):
        build("CasPL_CoOp", "base", "out", "--seed", "1", key, str(file))
    assert f"{file} was boosted on 37 classes, and Digits has 5 (DATASET.SUBSAMPLE_CLASSES base)" in caplog.text
    nan = official_state(64, 64, tokens=4, depth=3, classes=10)
    nan["image_encoder.VPT_FIRST"][0, 0] = float("nan")
    for state, said in (
        (official_state(96, 64, tokens=4, depth=3), "MODEL.BACKBONE.NAME is demo/student, but .* text width 96 there"),
        (official_state(64, 64, tokens=4, depth=5), "text prompts for 5 blocks there and 3 blocks here"),
        (nan, "holds no prompts that can be used: .*vision.0"),
        ({"text.0": torch.zeros(2, 2)}, "is a checkpoint of this program"),
    ):
        save_official(state, file)
        assert run("CasPL_CoOp", "base", "out", "--seed", "1", key, str(file)) == 2
        assert re.search(said, capsys.readouterr().err)
