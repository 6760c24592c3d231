"""What a run says of itself: whatever way it ends, whoever trained, and nothing of it changes a number of the run.

tests/trainers/test_trainers.py looks at the records of all prompt learners, which it trains anyway.
"""

from __future__ import annotations

import errno
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dassl.engine import TRAINER_REGISTRY, TrainerX
from dassl.evaluation.predicted import highest
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassF1Score

from caspl.checkpoints.headers import BoostingHeader, read_header
from caspl.ground.errors import InputError
from caspl.results.__main__ import main as collect
from caspl.results.paper import artefacts
from caspl.results.reading.runs import find_runs
from caspl.results.records import NAME, Cost, Status, Training, found, read
from caspl.results.records import features as features_file
from caspl.results.records import predictions as predictions_file
from caspl.results.records.predictions import verified
from caspl.results.report.__main__ import main as report
from logs_made import main_tables

SHORT = ("--seed", "1", "DATASET.NUM_SHOTS", "2", "OPTIM.MAX_EPOCH", "2")


def correct(folder):
    """How many images the log of the last run in a folder says were right."""
    log = sorted(folder.glob("log.txt*"), key=lambda path: path.stat().st_mtime)[-1].read_text()
    return int(re.findall(r"^\* correct: (\d+)$", log, re.MULTILINE)[-1])


def sound(folder):
    """The record of a finished run, whose numbers are those of its log and of its predictions."""
    record = read(folder)
    assert record.finished and record.result.correct == correct(folder) and verified(record, folder) == []
    assert (
        f"Record of the run saved to {folder / NAME}, predictions of {record.result.total} images"
        in (folder / "log.txt").read_text()
    )
    return record


def without_times(record):
    return replace(record, cost=Cost("", "", 0.0, 0.0, 0, 0))


# ---------------------------------------------------------------------------------------------------------------------
# Trainers
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ZeroshotCLIP", "ZeroshotCLIP2"])
def test_zero_shot(name, run, tmp_path):
    assert run(name, "all", "out", "--seed", "1", "--eval-only") == 0
    record = sound(tmp_path / "out")
    assert record.task == "test" and record.dataset.subset == "all" and record.protocol.told == "no"
    assert record.result.all_classes == record.result.accuracy and record.boosting is None
    known = record.protocol
    assert (known.labels, known.unlabelled, known.names_phase1, known.names_phase2, known.chosen_by) == (
        "none",
        *[""] * 4,
    )
    model = record.model
    assert (model.training, model.epoch, model.files, model.parameters) == (None, None, [], 0)


def test_the_numbers_of_a_record_are_those_of_torchmetrics(run, tmp_path):
    """Of five classes, all of which are in the file of predictions."""
    assert run("ZeroshotCLIP", "base", "out", "--seed", "1", "--eval-only") == 0
    record = sound(tmp_path / "out")
    table = predictions_file.read(tmp_path / "out", record.predictions)
    shares = torch.zeros(len(table.labels), 5).scatter(1, torch.tensor(table.top), torch.tensor(table.probabilities))
    labels = torch.tensor(table.labels)
    expected = {
        "ece": MulticlassCalibrationError(num_classes=5, n_bins=15, norm="l1"),
        "macro_f1": MulticlassF1Score(num_classes=5, average="macro"),
        "accuracy": MulticlassAccuracy(num_classes=5, average="micro"),
    }
    for name, metric in expected.items():
        assert getattr(record.result, name) == pytest.approx(100 * float(metric(shares, labels)), abs=1e-4), name


def test_a_linear_probe_and_the_test_of_it(run, tmp_path):
    assert run("LinearProbe", "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2") == 0
    record = sound(tmp_path / "out")
    assert record.model.parameters == 5 * (64 + 1) and record.model.files[0].name == "linear_probe/model.pth.tar-1"
    assert record.protocol.labels == "shots" and record.protocol.chosen_by == "last_step"
    load = ("--eval-only", "--model-dir", str(tmp_path / "out"), "--load-epoch", "1")
    assert run("LinearProbe", "base", "again", *load) == 0
    again = sound(tmp_path / "again")
    assert (again.result, again.predictions) == (record.result, record.predictions)
    assert again.protocol == record.protocol and again.model.training == record.model.training


@pytest.mark.slow
def test_phase_1_and_the_test_of_it(run, tmp_path):
    keys = ("TRAINER.CASPL.CLASSES", "base", "TRAINER.CASPL.DEPTH_TEXT", "2")
    assert run("CasPLBoost", "all", "out", "--seed", "1", "DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1", *keys) == 0
    record = sound(tmp_path / "out")
    header = read_header(tmp_path / "out" / BoostingHeader.file_name, BoostingHeader)
    assert record.protocol.labels == "none" and record.protocol.names_phase2 == ""
    assert (
        (record.protocol.unlabelled, record.protocol.names_phase1)
        == ("Digits", "base")
        == (header.dataset, header.names)
    )
    assert (record.boosting.source, record.boosting.classes, record.boosting.text_depth) == (
        "boosting.safetensors",
        5,
        2,
    )
    load = ("--eval-only", "--model-dir", str(tmp_path / "out"), "--load-epoch", "1", *keys[2:])
    assert run("CasPLBoost", "all", "again", *load) == 0
    again = sound(tmp_path / "again")
    assert again.result == record.result and again.boosting == record.boosting and again.protocol == record.protocol


def test_a_host_trainer(run, build, tmp_path, monkeypatch):
    """One that evaluates by itself: what its evaluator has seen counts, if that are the test images in order."""

    class Foreign(TrainerX):
        def build_model(self):
            self.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, self.num_classes))
            self.register_model("net", self.model)

        def test(self, split=None):
            self.set_model_mode("eval")
            self.evaluator.reset()
            for batch in self.test_loader:
                images, labels = self.parse_batch_test(batch)
                self.evaluator.process(self.model_inference(images), labels)
            return self.evaluator.evaluate()["accuracy"]

    monkeypatch.setitem(TRAINER_REGISTRY._obj_map, "ZeroshotCLIP", Foreign)
    assert run("ZeroshotCLIP", "base", "out", "--seed", "1", "--eval-only", "TRAINER.ZSCLIP.PREC", "fp16") == 0
    record = sound(tmp_path / "out")
    assert (
        record.model.trainer == "Foreign" and record.model.backbone == "demo/student" and record.model.fingerprint == ""
    )


# ---------------------------------------------------------------------------------------------------------------------
# Which model, which images
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_the_best_epoch_was_chosen_on_val(run, tmp_path):
    assert run("CoOp", "base", "out", *SHORT, "TEST.FINAL_MODEL", "best_val") == 0
    record = sound(tmp_path / "out")
    assert record.protocol.chosen_by == "val" and record.result.split == "test"
    assert record.model.files[0].name == "prompt_learner/model-best.pth.tar" and record.model.epoch in (1, 2)
    load = ("--eval-only", "--model-dir", str(tmp_path / "out"))
    assert run("CoOp", "new", "new", *load) == 0
    new = sound(tmp_path / "new")
    assert new.protocol.chosen_by == "val" and new.model.files == record.model.files
    assert run("CoOp", "base", "first", *load, "--load-epoch", "2") == 0
    assert sound(tmp_path / "first").protocol.chosen_by == "last_step"


@pytest.mark.parametrize("count", [None, 10])  # all, as ImageNet's, or some of them
def test_a_best_epoch_that_was_chosen_on_test_images_says_so(count, run, tmp_path, monkeypatch):
    from caspl.datasets.digits import Digits

    select = Digits.select
    monkeypatch.setattr(Digits, "select", lambda *args: (split := select(*args))._replace(val=split.test[:count]))
    assert run("CoOp", "base", "out", *SHORT, "TEST.FINAL_MODEL", "best_val", "OPTIM.MAX_EPOCH", "1") == 0
    assert sound(tmp_path / "out").protocol.chosen_by == "test"


def test_another_order_is_the_same_file(run, tmp_path):
    for folder, more in (
        ("a", ()),
        ("b", ("DATALOADER.TEST.SAMPLER", "RandomSampler")),
        ("c", ("TEST.PREDICTIONS", "False")),
    ):
        assert run("ZeroshotCLIP", "base", folder, "--seed", "1", "--eval-only", *more) == 0
    first, mixed = sound(tmp_path / "a"), sound(tmp_path / "b")
    assert first.predictions == mixed.predictions and first.result == mixed.result
    off = read(tmp_path / "c")
    assert off.result == first.result and off.predictions is None
    assert not (tmp_path / "c" / "predictions.csv.gz").exists()
    table = predictions_file.read(tmp_path / "a", first.predictions)
    assert re.fullmatch(r"zero/\d{4}\.png", table.images[0])


def test_val_images(run, tmp_path):
    assert run("ZeroshotCLIP", "base", "out", "--eval-only", "TEST.SPLIT", "val") == 0
    record = sound(tmp_path / "out")
    assert record.result.split == "val" and record.result.total == record.dataset.val.images


@pytest.mark.slow
def test_features_out_of_a_store_have_names(run, tmp_path):
    store = ("TEST.FEATURE_STORE", str(tmp_path / "store"))
    assert run("CoOp", "base", "plain", *SHORT) == 0 and run("CoOp", "base", "stored", *SHORT, *store) == 0
    assert sound(tmp_path / "stored").predictions == sound(tmp_path / "plain").predictions


# ---------------------------------------------------------------------------------------------------------------------
# Image features; tests/trainers/test_trainers.py lets all prompt learners keep them
# ---------------------------------------------------------------------------------------------------------------------
KEPT = ("TEST.FEATURES", "True")


def images_in_order(trainer):
    """The test images [N, 3, H, W] in the order of the dataset's list."""
    loader = trainer.test_loader
    batches = [batch["img"] for batch in getattr(loader, "loader", loader)]
    return torch.cat(batches).to(trainer.device)


@pytest.mark.parametrize("name", ["ZeroshotCLIP", "LinearProbe"])
def test_features_are_those_of_the_image_tower(name, run, build, tmp_path):
    trained = () if name == "LinearProbe" else ("--eval-only",)
    shuffled = ("DATALOADER.TEST.SAMPLER", "RandomSampler")
    assert run(name, "base", "out", "--seed", "1", *trained, "DATASET.NUM_SHOTS", "2", *KEPT, *shuffled) == 0
    record = sound(tmp_path / "out")
    found = features_file.read(tmp_path / "out", record.features)
    assert (found.labels == predictions_file.read(tmp_path / "out", record.predictions).labels).all()
    trainer = build(name, "base", "again", "--seed", "1", *trained, "DATASET.NUM_SHOTS", "2")
    with torch.no_grad():
        expected = trainer.backbone.image_features(images_in_order(trainer).to(torch.float32))
    # batches of other images round the last bit otherwise
    torch.testing.assert_close(torch.from_numpy(found.features).float(), expected.float().cpu(), rtol=0, atol=5e-4)
    assert "features of 271 images to features.safetensors" in (tmp_path / "out" / "log.txt").read_text()


@pytest.mark.slow
def test_features_are_written_anew_the_same_and_removed(run, tmp_path):
    assert run("VPT", "base", "out", *SHORT, *KEPT) == 0
    first, content = sound(tmp_path / "out"), (tmp_path / "out" / "features.safetensors").read_bytes()
    assert run("VPT", "base", "out", *SHORT) == 0  # it has ended, and is tested again, without features
    assert sound(tmp_path / "out").cost.training_seconds == first.cost.training_seconds > 0
    assert run("VPT", "base", "out", *SHORT, *KEPT) == 0
    assert run("VPT", "base", "other", *SHORT, *KEPT, "TEST.FINAL_MODEL", "best_val") == 0
    assert sound(tmp_path / "other").features.images == first.features.images  # of the test, not of validation images
    load = ("--eval-only", "--model-dir", str(tmp_path / "out"), "--load-epoch", "2", *KEPT)
    assert run("VPT", "base", "again", *load) == 0
    assert (tmp_path / "again" / "features.safetensors").read_bytes() == content
    assert run("VPT", "base", "again", *load[:-2]) == 0
    assert sound(tmp_path / "again").features is None and not (tmp_path / "again" / "features.safetensors").exists()
    zero_shot = sound_of_clip(run, tmp_path)
    learned = features_file.read(tmp_path / "out", first.features)
    assert (zero_shot.labels == learned.labels).all() and (zero_shot.features != learned.features).any()


def sound_of_clip(run, top):
    assert run("ZeroshotCLIP", "base", "clip", "--seed", "1", "--eval-only", *KEPT) == 0
    return features_file.read(top / "clip", sound(top / "clip").features)


@pytest.mark.slow
def test_features_out_of_a_store_are_the_same(run, tmp_path):
    store = ("TEST.FEATURE_STORE", str(tmp_path / "store"))
    assert run("CoOp", "base", "plain", *SHORT, *KEPT) == 0
    for folder in ("fills", "reads"):
        assert run("CoOp", "base", folder, *SHORT, *KEPT, *store) == 0
        assert sound(tmp_path / folder).features == sound(tmp_path / "plain").features


@pytest.mark.slow
def test_figure_5_of_real_runs(run, tmp_path):
    for classes in ("base", "new"):
        folder = f"out/base2new/test_{classes}/digits/shots_0/ZeroshotCLIP/digits/seed1"
        assert run("ZeroshotCLIP", classes, folder, "--seed", "1", "--eval-only", *KEPT) == 0
        sound(tmp_path / folder)
    found = {made.name: made for made in artefacts(find_runs(tmp_path / "out").runs, tmp_path / "out")}["fig5"]
    (table,), (picture,) = found.tables, found.pictures
    assert [row.method for row in table.rows] == ["CLIP"] and None not in table.rows[0].cells
    assert picture.svg("light")[0].startswith(b"<?xml")
    assert found.command.startswith("caspl sweep reproduce fig5 --datasets digits --output ")


def test_a_trainer_without_image_features_refuses_them(run, tmp_path, monkeypatch, capsys):
    class Bare(TrainerX):
        def build_model(self):
            self.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, self.num_classes))
            self.register_model("net", self.model)

    monkeypatch.setitem(TRAINER_REGISTRY._obj_map, "ZeroshotCLIP", Bare)
    assert run("ZeroshotCLIP", "base", "out", "--seed", "1", "--eval-only", "TRAINER.ZSCLIP.PREC", "fp32", *KEPT) == 2
    assert "TEST.FEATURES is True, but Bare gives no image features; leave it out" in capsys.readouterr().err


def test_features_without_a_test_are_refused(run, capsys):
    assert run("CoOp", "base", "out", *SHORT, *KEPT, "TEST.NO_TEST", "True") == 2
    assert "TEST.FEATURES" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------------
# The same run, resumed, repeated, moved
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_equal_runs_are_equal_records(run, tmp_path):
    assert run("CoOp", "base", "out", *SHORT) == 0
    first, content = sound(tmp_path / "out"), (tmp_path / "out" / "predictions.csv.gz").read_bytes()
    assert run("CoOp", "base", "out", *SHORT) == 0  # resumes behind the last epoch, and tests anew
    assert without_times(read(tmp_path / "out")) == without_times(first)
    (tmp_path / "out").rename(tmp_path / "before")
    assert run("CoOp", "base", "out", *SHORT) == 0
    assert without_times(read(tmp_path / "out")) == without_times(first)
    assert (tmp_path / "out" / "predictions.csv.gz").read_bytes() == content
    assert run("CoOp", "base", "out", *SHORT, "TEST.NO_TEST", "True") == 0
    untested = read(tmp_path / "out")
    assert untested.finished and untested.result is None and not (tmp_path / "out" / "predictions.csv.gz").exists()
    assert "TEST.NO_TEST" in untested.configuration.settings


@pytest.mark.slow
def test_a_dataset_elsewhere_has_the_same_checksums(run, command, data, tmp_path):
    import train

    assert run("ZeroshotCLIP", "base", "a", "--eval-only") == 0
    moved = command("ZeroshotCLIP", "base", "b", "--eval-only")
    moved[1] = str(tmp_path / "data elsewhere")
    assert train.main(moved) == 0
    first, second = read(tmp_path / "a"), read(tmp_path / "b")
    assert first.dataset == second.dataset and first.predictions == second.predictions
    assert first.configuration.sha256 == second.configuration.sha256
    assert first.configuration.settings != second.configuration.settings
    assert len({first.dataset.train.sha256, first.dataset.val.sha256, first.dataset.test.sha256}) == 3


# ---------------------------------------------------------------------------------------------------------------------
# Other ends
# ---------------------------------------------------------------------------------------------------------------------
def test_an_interrupted_run_and_its_continuation(run, tmp_path, monkeypatch):
    from caspl.trainers.coop import CoOp

    seen = []

    def interrupted(self, *args):
        seen.append(read(tmp_path / "out"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CoOp, "after_epoch", interrupted)
        assert run("CoOp", "base", "out", *SHORT) == 130
    (running,), ended = seen, read(tmp_path / "out")
    assert running.status == Status.RUNNING and running.model.files == [] and running.cost.ended == ""
    assert ended.status == Status.INTERRUPTED and ended.result is None and ended.dataset == running.dataset
    assert ended.model.epoch is None and ended.model.training.epochs == 2
    assert run("CoOp", "base", "out", *SHORT) == 0
    assert read(tmp_path / "out").finished


def test_a_diverged_run(run, tmp_path, monkeypatch):
    from caspl.trainers.coop import CoOp

    loss = CoOp.loss
    monkeypatch.setattr(CoOp, "loss", lambda *args: (loss(*args)[0] * math.nan, loss(*args)[1]))
    assert run("CoOp", "base", "out", *SHORT) == 1
    record = read(tmp_path / "out")
    assert record.status == Status.DIVERGED and record.reason.startswith("training has diverged in epoch")
    assert record.result is None and record.predictions is None


def test_what_nobody_expected(run, tmp_path, monkeypatch):
    from caspl.trainers.coop import CoOp

    def broken(self, *args):
        raise ZeroDivisionError("so it goes")

    monkeypatch.setattr(CoOp, "forward_backward", broken)
    assert run("CoOp", "base", "out", *SHORT) == 1
    record = read(tmp_path / "out")
    assert record.status == Status.FAILED and "so it goes" in record.reason


def test_a_refused_run_leaves_the_record_of_a_finished_one(run, tmp_path):
    wrong_size, wrong_rate = (
        ("INPUT.SIZE", "(64, 64)"),
        ("OPTIM.LR", "0.1"),
    )  # told by the backbone, and by resume.pth.tar
    assert run("CoOp", "base", "out", *SHORT, *wrong_size) == 2
    refused = read(tmp_path / "out")
    assert refused.status == Status.REFUSED and "INPUT.SIZE is" in refused.reason and refused.dataset is None
    assert run("CoOp", "base", "out", *SHORT) == 0
    content = (tmp_path / "out" / NAME).read_bytes()
    for wrong in (wrong_size, wrong_rate):
        assert run("CoOp", "base", "out", *SHORT, *wrong) == 2
        assert (tmp_path / "out" / NAME).read_bytes() == content
    assert verified(read(tmp_path / "out"), tmp_path / "out") == []


@pytest.mark.parametrize("begun", [False, True])
def test_an_end_before_anything_was_changed_leaves_the_record_of_a_finished_run(begun, run, tmp_path, monkeypatch):
    """Whatever ends it: Ctrl-C while CLIP is loaded, and in a test. The record stays older than the log of that run."""
    from caspl.trainers.zsclip import ZeroshotCLIP

    assert run("ZeroshotCLIP", "base", "out", "--eval-only") == 0
    path = tmp_path / "out" / NAME
    content, time = path.read_bytes(), path.stat().st_mtime_ns

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ZeroshotCLIP, "model_inference" if begun else "build_model", interrupted)
    assert run("ZeroshotCLIP", "base", "out", "--eval-only") == 130
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, time)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "predictions.csv.gz")


def test_a_disk_that_is_full_at_the_end_is_how_the_run_ended(run, tmp_path, monkeypatch):
    monkeypatch.setattr(predictions_file, "write", full)
    assert run("ZeroshotCLIP", "base", "out", "--eval-only") == 2
    record = read(tmp_path / "out")
    assert record.status == Status.REFUSED and "No space left" in record.reason and record.result is None


def test_a_record_whose_model_was_fitted_anew_does_not_stay(run, tmp_path, monkeypatch):
    """LinearProbe trains without batches."""
    assert run("LinearProbe", "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2") == 0
    monkeypatch.setattr(predictions_file, "write", full)
    assert run("LinearProbe", "base", "out", "--seed", "2", "DATASET.NUM_SHOTS", "2") == 2
    assert read(tmp_path / "out").status == Status.REFUSED


@pytest.mark.parametrize("name", [NAME, "predictions.csv.gz"])
def test_places_that_cannot_be_written_are_told_before(name, run, tmp_path, capsys):
    (tmp_path / "out" / name).mkdir(parents=True)
    assert run("CoOp", "base", "out", *SHORT) == 2
    assert name in capsys.readouterr().err and not (tmp_path / "out" / "prompt_learner").exists()


def test_a_damaged_record_is_replaced(run, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_text('{"format": "caspl run", "version": 9}')
    with pytest.raises(InputError):
        found(tmp_path / "out")
    assert run("ZeroshotCLIP", "base", "out", "--eval-only") == 0
    sound(tmp_path / "out")
    assert f"a record that this run replaces: {tmp_path / 'out' / NAME} has version 9" in capsys.readouterr().out


@pytest.mark.parametrize("left", [True, False])
def test_a_model_whose_run_left_a_damaged_record_or_none(left, run, tmp_path, capsys):
    assert run("CoOp", "base", "train", *SHORT, "TEST.NO_TEST", "True") == 0
    record = tmp_path / "train" / NAME
    record.write_bytes(record.read_bytes()[:-40]) if left else record.unlink()
    capsys.readouterr()
    load = ("--eval-only", "--model-dir", str(tmp_path / "train"), "--load-epoch", "2")
    assert run("CoOp", "new", "new", *load) == 0
    known = sound(tmp_path / "new")  # by the model file and prompts.safetensors
    assert known.model.training == Training("Digits", "base", 2, 1, 2) and known.protocol.chosen_by == "last_step"
    assert (f"is not taken from there: {record}: it is not JSON" in capsys.readouterr().out) == left
    (tmp_path / "train" / "prompts.safetensors").unlink()
    assert run("CoOp", "new", "newer", *load) == 0
    known = sound(tmp_path / "newer")
    assert known.model.training == Training("Digits", "base", None, None, None)
    assert (known.protocol.labels, known.protocol.names_phase2, known.protocol.chosen_by) == (
        "unknown",
        "base",
        "given",
    )


def test_a_record_of_another_model_is_not_believed(run, tmp_path, capsys):
    """The record beside a model file that was replaced by hand, and that of a test which lies in a training's folder."""
    assert run("CoOp", "base", "one", *SHORT) == 0
    assert run("CoOp", "base", "two", "--seed", "2", *SHORT[2:4], "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "1") == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / "one"), "--load-epoch", "2")
    assert run("CoOp", "new", "two", "--eval-only", "--model-dir", str(tmp_path / "one"), "--load-epoch", "2") == 0
    (tmp_path / "two" / "prompts.safetensors").unlink()
    capsys.readouterr()
    said = "run.json speaks of another model file"
    assert run("CoOp", "new", "a", "--eval-only", "--model-dir", str(tmp_path / "two"), "--load-epoch", "1") == 0
    assert said in capsys.readouterr().out
    assert sound(tmp_path / "a").model.training == Training("Digits", "base", None, None, None)
    assert run("CoOp", "new", "b", *load) == 0
    assert said not in capsys.readouterr().out and sound(tmp_path / "b").model.training.shots == 2
    place = Path("prompt_learner", "model.pth.tar-1")
    (tmp_path / "one" / place).with_name("model.pth.tar-2").write_bytes((tmp_path / "two" / place).read_bytes())
    assert run("CoOp", "new", "c", *load) == 0
    assert said in capsys.readouterr().out


def test_what_no_file_holds_is_told_and_ends_no_run(run, tmp_path, monkeypatch):
    from caspl.trainers.records.gathering import Gathering

    monkeypatch.setattr(Gathering, "_labels", lambda *_: "some")
    assert run("ZeroshotCLIP", "base", "out", "--eval-only") == 0
    said = 'This run leaves no record: .* protocol.labels is "some", expected one of'
    assert re.search(said, (tmp_path / "out" / "log.txt").read_text()) and found(tmp_path / "out") is None


# ---------------------------------------------------------------------------------------------------------------------
# The likeliest classes
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("classes", [2, 5, 6, 1_000])
def test_the_prediction_comes_first(classes):
    """Among equal scores, too, of which topk may take others than argmax; the rest are the largest probabilities."""
    scores = torch.randn(200, classes, generator=torch.Generator().manual_seed(0)).mul(2).round().half()
    predicted = scores.float().max(1)[1]
    top, shares = highest(scores, predicted)
    assert top.shape == shares.shape == (200, min(5, classes)) and shares.dtype == torch.float32
    assert torch.equal(top[:, 0], predicted)
    assert all(len(set(row)) == len(row) for row in top.tolist())
    expected = scores.double().softmax(1)
    assert torch.allclose(shares.double(), expected.gather(1, top), atol=1e-6)
    assert torch.allclose(shares.double(), expected.topk(min(5, classes)).values, atol=1e-6)


def test_a_prediction_that_topk_leaves_out():
    scores = torch.zeros(1, 9)
    top, _ = highest(scores, torch.tensor([8]))
    assert top[0, 0] == 8 and len(set(top[0].tolist())) == 5


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_tables_are_the_same_by_records_and_by_logs(run, tmp_path, capsys, monkeypatch):
    place = "base2new/{}/digits/shots_2/CoOp/digits/seed1"
    trained, tested = place.format("train_base"), place.format("test_new")
    assert run("CoOp", "base", trained, *SHORT) == 0
    load = ("--eval-only", "--model-dir", str(tmp_path / trained), "--load-epoch", "2")
    assert run("CoOp", "new", tested, *SHORT, *load) == 0

    def tables():
        capsys.readouterr()
        assert collect([str(tmp_path)]) == 0
        texts = [(tmp_path / name).read_text(encoding="utf-8") for name in ("results.csv", "results.md", "results.tex")]
        out, err = capsys.readouterr()
        return [*map(main_tables, [*texts, out]), (tmp_path / "results.png").read_bytes(), err]

    with monkeypatch.context() as patch:
        patch.setattr("caspl.results.reading.runs.read_logs", lambda path: pytest.fail(f"{path} is read"))
        by_records = tables()
    assert report([str(tmp_path)]) == 0 and "--load-epoch 2" in (tmp_path / "report.html").read_text()
    for path in tmp_path.rglob(NAME):
        path.unlink()
    assert tables() == by_records
