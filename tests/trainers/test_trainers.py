"""The trainers on digits: what they compute, what they train, what they leave alone, what they write and read back."""

import itertools
import math
import re
from dataclasses import replace

import pytest
import torch
from dassl.engine import TRAINER_REGISTRY
from safetensors import safe_open

from caspl.checkpoints.boosting import read_boosting
from caspl.datasets.digits import NAMES
from caspl.ground.errors import InputError
from caspl.prompting.distillation import distillation_loss
from caspl.results.records import Protocol, Training, read, sha256_of
from caspl.results.records.predictions import verified
from registered import CASCADED, PROMPT_LEARNERS, tiers

EPOCHS = ("OPTIM.MAX_EPOCH", "2")


def accuracy(folder):
    """All accuracies in the logs of a run, in percent as printed."""
    text = "".join(path.read_text() for path in sorted(folder.glob("log.txt*")))
    return [float(value) for value in re.findall(r"^\* accuracy: ([\d.]+)%$", text, re.MULTILINE)]


def batch_of(trainer, count=6):
    batch = next(iter(trainer.train_loader_x))
    return {key: value[:count] if torch.is_tensor(value) else value for key, value in batch.items()}


@pytest.mark.parametrize("name", tiers(PROMPT_LEARNERS, *CASCADED))
def test_only_the_adapting_prompts_move(name, build, boosting):
    """Boosting prompts get no gradient and stay, CLIP stays bit by bit, everything that is to learn learns."""
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    trainer = build(
        name, "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2", *EPOCHS, "TEST.NO_TEST", "True", *more
    )
    learner = trainer.model.learner
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.train()
    after = trainer.model.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {f"learner.{key}" for key, p in learner.named_parameters() if p.requires_grad}
    assert not any("boosting" in key for key in moved)
    if name.startswith("CasPL_"):
        tensors, _ = read_boosting(boosting)
        stored = {key.removeprefix("boosting."): v for key, v in learner.state_dict().items() if "boosting." in key}
        assert stored.keys() == tensors.keys()
        assert all(torch.equal(stored[key], value) for key, value in tensors.items())
        assert all(p.grad is None for p in learner.boosting.parameters())
    trainer.model.train()
    assert not trainer.backbone.model.training


def test_boosting_prompts_can_be_trained_in_phase_2(build, boosting):
    keys = ("TRAINER.CASPL.BOOSTING", str(boosting), "TRAINER.CASPL.FREEZE", "False")
    trainer = build("CasPL_CoOp", "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2", *EPOCHS, *keys)
    before = [p.clone() for p in trainer.model.learner.boosting.parameters()]
    trainer.train()
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.model.learner.boosting.parameters(), strict=True))


def test_one_phase_trains_as_many_tokens_without_a_checkpoint(run, build, tmp_path):
    keys = ("TRAINER.CASPL.ONE_PHASE", "True", "TRAINER.CASPL.DEPTH_TEXT", "2", "TRAINER.CASPL.DEPTH_VISION", "4")
    shots = ("--seed", "1", "DATASET.NUM_SHOTS", "2", *EPOCHS)
    trainer = build("CasPL_MaPLe", "base", "out", *shots, *keys)
    shapes = {key: tuple(p.shape) for key, p in trainer.model.learner.boosting.named_parameters() if p.requires_grad}
    assert shapes == {f"{t}.{i}": (8, 64) for t, depth in (("text", 2), ("vision", 4)) for i in range(depth)}
    assert run("CasPL_MaPLe", "base", "train", *shots, *keys) == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / "train"), "--load-epoch", "2")
    assert run("CasPL_MaPLe", "base", "again", *load) == 0
    assert accuracy(tmp_path / "again") == accuracy(tmp_path / "train")


def test_one_phase_and_a_checkpoint_exclude_each_other(run, boosting, capsys):
    keys = ("TRAINER.CASPL.ONE_PHASE", "True", "TRAINER.CASPL.BOOSTING", str(boosting))
    assert run("CasPL_CoOp", "base", "out", *keys) == 2
    assert "leave out one of the two" in capsys.readouterr().err


def test_depth_of_the_published_promptsrc(build, boosting):
    """Boosting prompts in as many blocks as the adapting ones: cut, or filled up with random ones that are frozen."""
    keys = ("TRAINER.CASPL.BOOSTING", str(boosting), "TRAINER.CASPL.DEPTH_OF_ADAPTING", "True")
    depths = ("TRAINER.PROMPTSRC.PROMPT_DEPTH_TEXT", "3", "TRAINER.PROMPTSRC.PROMPT_DEPTH_VISION", "1")
    learner = build("CasPL_PromptSRC", "base", "out", *keys, *depths).model.learner
    tensors, _ = read_boosting(boosting)  # 2 text blocks, 4 vision blocks
    assert [tuple(p.shape) for p in learner.boosting.text] == [(8, 64)] * 3 and len(learner.boosting.vision) == 1
    assert torch.equal(learner.boosting.text[1], tensors["text.1"])
    assert not any(p.requires_grad for p in learner.boosting.parameters())


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


@pytest.mark.parametrize("name", tiers(PROMPT_LEARNERS, "CoOp", "CasPL_MaPLe"))
def test_train_then_evaluate_on_new_classes(name, run, boosting, tmp_path):
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    assert run(name, "base", "train", "--seed", "1", "DATASET.NUM_SHOTS", "2", *EPOCHS, *more) == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / "train"), "--load-epoch", "2")
    # no TRAINER.CASPL.BOOSTING: the checkpoint carries it
    assert run(name, "base", "again", *load, "TEST.FEATURES", "True") == 0
    assert accuracy(tmp_path / "again") == accuracy(tmp_path / "train")
    assert run(name, "new", "new", *load) == 0
    assert len(accuracy(tmp_path / "new")) == 1
    folder = tmp_path / "train" / TRAINER_REGISTRY.get(name).checkpoint_name
    state = torch.load(folder / "model.pth.tar-2", weights_only=True)["state_dict"]
    boosts = {f"boosting.{key}" for key in read_boosting(boosting)[0]} if more else set()
    assert {key for key in state if key.startswith("boosting.")} == boosts
    assert sum(value.numel() for value in state.values()) < 30_000  # prompts only
    check_records(name, tmp_path, boosting)


def check_records(name, top, boosting):
    """What the runs of the test above say of themselves: the numbers of their logs, and what was known to them."""
    train, again, new = (read(top / folder) for folder in ("train", "again", "new"))
    for folder, record in (("train", train), ("again", again), ("new", new)):
        assert record.finished and round(record.result.accuracy, 1) == accuracy(top / folder)[-1]
        assert record.model.trainer == name and record.model.files == train.model.files and record.model.epoch == 2
        assert record.model.training == Training("Digits", "base", 2, 1, 2)
        assert verified(record, top / folder) == []
    assert again.result == train.result and again.dataset.test == train.dataset.test != new.dataset.test
    # to the last bit, though the features were kept on the way
    assert (again.predictions, again.model.folder) == (train.predictions, str(top / "train"))
    assert train.features is None and (again.features.images, again.features.width) == (again.result.total, 64)
    boosted = name.startswith("CasPL_")
    known = Protocol("shots", "Digits" if boosted else "", "all" if boosted else "", "base", "base", "last_step")
    assert (train.protocol, again.protocol, new.protocol) == (known, known, replace(known, told="new"))
    assert train.boosting == again.boosting == new.boosting and (train.boosting is not None) == boosted
    assert not boosted or train.boosting.sha256 == sha256_of(boosting)


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


# All in the precision of the published configurations; in the others, one of each way in which a loss comes about: a context
# for each image, a projected gradient, references of plain CLIP, prompts of both towers behind boosting prompts, a teacher.
PUBLISHED = [(name, "fp16") for name in (*PROMPT_LEARNERS, "CasPLBoost")]
DIFFERENT = ("CoCoOp", "ProGrad", "PromptSRC", "CasPL_MaPLe", "CasPLBoost")
OTHERS = [pytest.param(*case, marks=pytest.mark.slow) for case in itertools.product(DIFFERENT, ("fp32", "bf16", "amp"))]


@pytest.mark.parametrize(("name", "precision"), [*PUBLISHED, *OTHERS])
def test_every_precision_trains(name, precision, build, boosting):
    more = ("TRAINER.CASPL.BOOSTING", str(boosting)) if name.startswith("CasPL_") else ()
    key = f"TRAINER.{TRAINER_REGISTRY.get(name).node}.PREC"
    trainer = build(name, "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2", key, precision, *more)
    trainer.before_train()
    trainer.close_writer()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 9
    before = [p.clone() for p in trainer.model.learner.parameters() if p.requires_grad]
    summary = trainer.forward_backward(batch_of(trainer))
    assert summary["loss"] > 0 and math.isfinite(summary["loss"])
    after = [p for p in trainer.model.learner.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in after)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with torch.no_grad():
        assert torch.isfinite(trainer.model_inference(batch_of(trainer)["img"])).all()


@pytest.mark.parametrize("name", ["CoOp", "PromptSRC"])
def test_an_unknown_precision_is_refused(name, build):
    key = f"TRAINER.{TRAINER_REGISTRY.get(name).node}.PREC"
    with pytest.raises(InputError, match=f'{key} is "fp8", expected one of fp32, fp16, bf16, amp'):
        build(name, "base", "out", key, "fp8")
