"""Released checkpoints of the family load with --model-dir --load-epoch: files in their layout, with pickled schedulers."""

import pytest
import torch
from torch import nn

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
