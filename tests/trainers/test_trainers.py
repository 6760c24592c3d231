"""The trainers on digits: what they compute, what they train, what they leave alone, what they write and read back."""

import re

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

import reference
from caspl.boosting import load_boosting, read_boosting
from caspl.datasets.digits import NAMES
from caspl.distillation import distillation_loss
from caspl.prompts import Cascade

EPOCHS = ("OPTIM.MAX_EPOCH", "2")


def accuracy(folder):
    """All accuracies in the logs of a run, in percent as printed."""
    text = "".join(path.read_text() for path in sorted(folder.glob("log.txt*")))
    return [float(value) for value in re.findall(r"^\* accuracy: ([\d.]+)%$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def boosting(tmp_path_factory):
    """A boosting checkpoint of two epochs, of digits."""
    from dassl.utils import reset_logger

    import train

    from .conftest import ROOT

    folder = tmp_path_factory.mktemp("boost")
    status = train.main(
        [
            "--root",
            str(folder / "data"),
            "--trainer",
            "CasPLBoost",
            "--output-dir",
            str(folder),
            "--seed",
            "1",
            "--dataset-config-file",
            str(ROOT / "configs/datasets/digits.yaml"),
            "--config-file",
            str(ROOT / "configs/trainers/CasPLBoost/digits.yaml"),
            "OPTIM.MAX_EPOCH",
            "2",
            "TRAINER.CASPL.N_CTX_VISION",
            "4",
            "TRAINER.CASPL.DEPTH_TEXT",
            "2",
        ]
    )
    reset_logger()
    assert status == 0
    return folder / "boosting.safetensors"


def batch_of(trainer, count=6):
    batch = next(iter(trainer.train_loader_x))
    return {key: value[:count] if torch.is_tensor(value) else value for key, value in batch.items()}


def reference_logits(trainer, images, groups):
    clip = trainer.backbone.model
    text = F.normalize(reference.text_features(clip, trainer.model.prompted.tower.tokens, groups), dim=-1)
    image = F.normalize(reference.image_features(clip.visual, images, groups), dim=-1)
    return clip.logit_scale.exp() * image @ text.T


VARIANTS = {
    "CoOp": ("CoOp",),
    "CoOp from words": ("CoOp", "TRAINER.COOP.CTX_INIT", "a photo of the"),
    "CoOp class-specific": ("CoOp", "TRAINER.COOP.CSC", "True"),
    "CoOp middle": ("CoOp", "TRAINER.COOP.CLASS_TOKEN_POSITION", "middle", "TRAINER.COOP.N_CTX", "5"),
    "CoOp front": ("CoOp", "TRAINER.COOP.CLASS_TOKEN_POSITION", "front"),
    "CasPL": ("CasPL_CoOp",),
    "CasPL class-specific, in the middle": (
        "CasPL_CoOp",
        "TRAINER.COOP.CSC",
        "True",
        "TRAINER.COOP.CLASS_TOKEN_POSITION",
        "middle",
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_forward_loss_gradients_and_one_step_equal_the_plain_reference(variant, build, boosting):
    name, *keys = VARIANTS[variant]
    if name == "CasPL_CoOp":
        keys += ["TRAINER.CASPL.BOOSTING", str(boosting)]
    trainer = build(name, "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2", *keys)
    trainer.model.double()
    learner = trainer.model.learner
    ctx = (learner.adapting if isinstance(learner, Cascade) else learner).ctx
    batch = batch_of(trainer)
    images, labels = batch["img"].double(), batch["label"]

    loss, logits = trainer.loss(images, labels)
    plain = reference_logits(trainer, images, learner())
    assert (logits - plain).abs().max() < 1e-8
    plain_loss = F.cross_entropy(plain, labels)
    assert loss.item() == pytest.approx(plain_loss.item(), rel=1e-10)
    (gradient,) = torch.autograd.grad(plain_loss, [ctx])

    before, rate = ctx.detach().clone(), trainer.optim.param_groups[0]["lr"]
    trainer.batch_idx, trainer.num_batches = 0, 9
    trainer.forward_backward(batch | {"img": images})
    assert (ctx.grad - gradient).abs().max() / gradient.abs().max() < 1e-8
    assert torch.allclose(
        ctx, before - rate * (gradient + 5e-4 * before), atol=1e-12
    )  # first step of SGD, weight decay


def test_boosting_prompts_and_clip_do_not_move(build, boosting):
    trainer = build(
        "CasPL_CoOp",
        "base",
        "out",
        "--seed",
        "1",
        "DATASET.NUM_SHOTS",
        "2",
        *EPOCHS,
        "TRAINER.CASPL.BOOSTING",
        str(boosting),
    )
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.train()
    after = trainer.model.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"learner.adapting.ctx"}
    assert all(p.grad is None for p in trainer.model.learner.boosting.parameters())
    trainer.model.train()
    assert not trainer.backbone.model.training


def test_boosting_prompts_can_be_trained_in_phase_2(build, boosting):
    trainer = build(
        "CasPL_CoOp",
        "base",
        "out",
        "--seed",
        "1",
        "DATASET.NUM_SHOTS",
        "2",
        *EPOCHS,
        "TRAINER.CASPL.BOOSTING",
        str(boosting),
        "TRAINER.CASPL.FREEZE",
        "False",
    )
    before = [p.clone() for p in trainer.model.learner.boosting.parameters()]
    trainer.train()
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.model.learner.boosting.parameters(), strict=True))


def test_an_empty_boosting_group_changes_nothing(build):
    """L = 0: CasPL + X is X, to the bit."""
    from caspl.prompts import Prompts

    trainer = build("CoOp", "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2")
    images = batch_of(trainer)["img"]
    with torch.no_grad():
        alone = trainer.model(images)
        trainer.model.learner = Cascade(trainer.model.learner, Prompts())
        assert torch.equal(trainer.model(images), alone)


def test_phase_1_reads_no_labels_and_follows_the_teacher(build, boosting):
    tensors, header = read_boosting(boosting)
    assert (header.text_length, header.text_depth, header.vision_length, header.vision_depth) == (8, 2, 4, 4)
    assert (header.student, header.teacher, header.dataset, header.epochs) == (
        "demo/student",
        "demo/teacher",
        "Digits",
        2,
    )
    assert header.classnames == list(NAMES)
    with safe_open(boosting, framework="pt") as file:
        assert len(file.keys()) == 6 == len(tensors)

    trainer = build("CasPLBoost", "all", "out", "--seed", "1")
    trainer.before_train()
    trainer.close_writer()
    batch = batch_of(trainer)
    loss, logits = trainer.loss(batch["img"], batch["label"])
    assert torch.equal(loss, trainer.loss(batch["img"], batch["label"] * 0)[0])
    target = trainer.teacher(batch["img"], trainer.model.prompted.scale)
    assert torch.equal(loss, distillation_loss(logits, target, 1.0))
    loss.backward()
    assert all(p.grad.abs().max() > 0 for p in trainer.model.learner.parameters())
    assert all(p.grad is None for p in trainer.backbone.model.parameters())


def test_train_then_evaluate_on_new_classes(run, boosting, tmp_path):
    common = ("--seed", "1", "DATASET.NUM_SHOTS", "2", *EPOCHS)
    assert run("CasPL_CoOp", "base", "train", *common, "TRAINER.CASPL.BOOSTING", str(boosting)) == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / "train"), "--load-epoch", "2")
    assert run("CasPL_CoOp", "base", "again", *load) == 0  # no TRAINER.CASPL.BOOSTING: the checkpoint carries it
    assert accuracy(tmp_path / "again") == accuracy(tmp_path / "train")
    assert run("CasPL_CoOp", "new", "new", *load) == 0
    assert len(accuracy(tmp_path / "new")) == 1
    state = torch.load(tmp_path / "train" / "prompt_learner" / "model.pth.tar-2", weights_only=True)["state_dict"]
    assert state.keys() == {"adapting.ctx", *(f"boosting.{k}" for k in read_boosting(boosting)[0])}


def test_released_coop_checkpoints_load(build, tmp_path):
    """CoOp's own files hold buffers that depend on the class names; they are left out."""
    trainer = build("CoOp", "new", "out", "--seed", "1")
    folder = tmp_path / "released" / "prompt_learner"
    folder.mkdir(parents=True)
    state = {"ctx": torch.ones(8, 64), "token_prefix": torch.zeros(5, 1, 64), "token_suffix": torch.zeros(5, 39, 64)}
    torch.save({"state_dict": state, "epoch": 50, "val_result": None}, folder / "model.pth.tar-50")
    trainer.load_model(str(tmp_path / "released"), epoch=50)
    assert torch.equal(trainer.model.learner.ctx, torch.ones(8, 64))


def test_class_features_are_encoded_once_per_evaluation(build, monkeypatch):
    trainer = build("CoOp", "base", "out", "--seed", "1", "DATALOADER.TEST.BATCH_SIZE", "20")
    calls, encode = [], trainer.model.prompted.class_features
    monkeypatch.setattr(trainer.model.prompted, "class_features", lambda groups: calls.append(1) or encode(groups))
    first = trainer.test()
    assert len(calls) == 1 < len(trainer.test_loader)
    assert trainer.test() == first and len(calls) == 1
    with torch.no_grad():
        trainer.model.learner.ctx.add_(1.0)
    trainer.test()
    assert len(calls) == 2


@pytest.mark.parametrize("precision", ["fp32", "bf16", "amp", "fp16"])
@pytest.mark.parametrize("name", ["CoOp", "CasPL_CoOp", "CasPLBoost"])
def test_every_precision_trains(name, precision, build, boosting):
    keys = {"CasPLBoost": "CASPL"}.get(name, "COOP")
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name == "CasPL_CoOp" else ()
    trainer = build(
        name, "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2", f"TRAINER.{keys}.PREC", precision, *more
    )
    trainer.before_train()
    trainer.close_writer()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 9
    summary = trainer.forward_backward(batch_of(trainer))
    assert summary["loss"] > 0 and torch.isfinite(torch.tensor(summary["loss"]))
    assert all(p.dtype == torch.float32 for p in trainer.model.learner.parameters())


def test_fast_and_plain_boosting_agree_after_loading(build, boosting):
    """Loaded prompts give the student the boosted logits of the plain reference."""
    trainer = build("ZeroshotCLIP", "base", "out", "--seed", "1")
    prompts, _ = load_boosting(boosting, trainer.backbone)
    from caspl.model import PromptedCLIP

    model = PromptedCLIP(trainer.backbone, trainer.dm.dataset.classnames)
    images = batch_of(trainer)["img"]
    text = F.normalize(reference.text_features(trainer.backbone.model, model.tower.tokens, prompts()), dim=-1)
    image = F.normalize(reference.image_features(trainer.backbone.model.visual, images, prompts()), dim=-1)
    assert torch.allclose(model(images, prompts()), model.scale * image @ text.T, atol=1e-4)
