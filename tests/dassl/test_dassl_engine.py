import errno
import math
import re
import sys

import pytest
import torch
from dassl.engine import TRAINER_REGISTRY, SimpleTrainer, TrainerBase, TrainerX, TrainerXU, build_trainer
from dassl.engine.build import TRAINER_REGISTRY as REGISTRY2
from dassl.engine.trainer import TrainerX as TrainerX2
from dassl.utils import InputError, setup_logger


def linear_trainer():
    trainer = TrainerBase()
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    trainer.register_model("linear", model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1))
    trainer.register_model("frozen", torch.nn.Linear(1, 1))
    return trainer


def test_upstreams_names():
    assert REGISTRY2 is TRAINER_REGISTRY and TrainerX2 is TrainerX
    for step in ("parse_batch_train", "forward_backward", "test", "run_epoch"):
        assert callable(getattr(TrainerXU, step)) and callable(getattr(TrainerX, step))
    assert TrainerX.run_batches is TrainerXU.run_batches


def test_registered_models(tmp_path):
    trainer = linear_trainer()
    assert trainer.get_model_names() == ["linear", "frozen"] and trainer.get_model_names("frozen") == ["frozen"]
    with pytest.raises(KeyError, match="other"):
        trainer.get_model_names(["other"])
    with pytest.raises(ValueError, match='"linear" is registered already'):
        trainer.register_model("linear", None)
    trainer.set_model_mode("eval")
    assert not trainer._models["linear"].training
    trainer.set_model_mode("train", "linear")
    assert trainer._models["linear"].training and not trainer._models["frozen"].training
    with pytest.raises(KeyError, match='not "half"'):
        trainer.set_model_mode("half")

    class Early(TrainerBase):
        def __init__(self):
            self.register_model("a", None)

    with pytest.raises(AttributeError, match=r"before super\(\).__init__"):
        Early()


def test_one_step():
    trainer = linear_trainer()
    model = trainer._models["linear"]
    with torch.no_grad():
        model.weight.zero_()
    trainer.model_backward_and_update(model(torch.tensor([[1.0, 2.0]])).sum())
    assert model.weight.tolist() == [[-0.5, -1.0]]
    trainer.update_lr()
    assert trainer._optims["linear"].param_groups[0]["lr"] == pytest.approx(0.05)
    trainer.epoch, trainer.batch_idx = 2, 4
    with pytest.raises(
        FloatingPointError, match=r"epoch 3, batch 5 \(learning rate 0.05\): loss nan; try a lower OPTIM.LR"
    ):
        trainer.model_backward(torch.tensor(float("nan")))


def with_momentum(trainer):
    trainer._optims["linear"].param_groups[0]["momentum"] = 0.9
    trainer.model_backward_and_update(trainer._models["linear"].weight.sum())
    (trainer._optims["linear"].state[trainer._models["linear"].weight]["momentum_buffer"]).fill_(math.inf)


SPOILED = {
    "parameter": (lambda t: t._models["frozen"].bias.data.fill_(math.inf), "frozen.bias"),
    "buffer": (lambda t: t._models["frozen"].register_buffer("mean", torch.tensor(math.nan)), "frozen.mean"),
    "momentum": (with_momentum, "linear's optimizer.0.momentum_buffer"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_nothing_is_saved_that_is_not_finite(what, tmp_path):
    """No file of any model: they belong together."""
    trainer = linear_trainer()
    trainer._models["linear"].register_buffer("mask", torch.tensor(-math.inf))  # meant to be so
    trainer.save_model(0, str(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    spoil, name = SPOILED[what]
    spoil(trainer)
    with pytest.raises(FloatingPointError, match=f"not finite, and not saved: {name}"):
        trainer.save_model(0, str(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


STEPS = {  # factor of the loss, learning rate, what is said
    "loss": (math.nan, 0.5, "loss nan"),
    "gradients": (3e38, 0.5, "gradients inf"),
    "parameters": (1e10, 1e38, "parameters inf"),
}


@pytest.mark.parametrize("what", STEPS)
def test_a_step_that_diverges(what):
    factor, rate, said = STEPS[what]
    trainer = linear_trainer()
    model, optimizer = trainer._models["linear"], trainer._optims["linear"]
    optimizer.param_groups[0]["lr"] = rate
    with torch.no_grad():
        model.weight.fill_(1e-30)
        model.bias.zero_()
    with pytest.raises(FloatingPointError, match=f"training has diverged .*: {said}; try a lower OPTIM.LR"):
        trainer.model_backward_and_update(factor * model(torch.tensor([[4.0, 4.0]])).sum())
    assert what == "parameters" or model.weight.tolist() == [[pytest.approx(1e-30)] * 2]


def test_save_and_load_model(tmp_path, caplog):
    trainer = linear_trainer()
    trainer.save_model(1, str(tmp_path))
    trainer.save_model(3, str(tmp_path), val_result=61.25, model_name="model-best.pth.tar")
    saved = torch.load(tmp_path / "linear" / "model.pth.tar-2", weights_only=True)
    assert saved["epoch"] == 2 and saved["val_result"] is None and saved["scheduler"]["last_epoch"] == 0
    assert torch.load(tmp_path / "frozen" / "model.pth.tar-2", weights_only=True)["optimizer"] is None
    other = linear_trainer()
    other.load_model(str(tmp_path), epoch=2)
    assert torch.equal(other._models["linear"].weight, trainer._models["linear"].weight)
    assert f"Load {tmp_path}/linear/model.pth.tar-2 to linear (epoch=2, val_result=None)" in caplog.messages
    other.load_model(str(tmp_path))
    assert f"Load {tmp_path}/linear/model-best.pth.tar to linear (epoch=4, val_result=61.2)" in caplog.messages
    with pytest.raises(FileNotFoundError, match=r"No model at \S+tar-7; \S+linear holds epochs 2 and the best model\."):
        other.load_model(str(tmp_path), epoch=7)
    with pytest.raises(InputError, match="does not exist"):
        other.load_model(str(tmp_path / "none"), epoch=7)
    other.load_model("")
    assert "load_model() is skipped" in caplog.text


def test_resume_from_model_files(tmp_path, caplog):
    trainer = linear_trainer()
    assert trainer.resume_model_if_exist(str(tmp_path)) == 0
    assert "No checkpoint found, train from scratch" in caplog.messages
    trainer.save_model(1, str(tmp_path))
    other = linear_trainer()
    assert other.resume_model_if_exist(str(tmp_path)) == 2
    assert torch.equal(other._models["frozen"].bias, trainer._models["frozen"].bias)
    (tmp_path / "frozen" / "checkpoint").unlink()
    with pytest.raises(InputError, match="missing or empty"):
        other.resume_model_if_exist(str(tmp_path))
    trainer.save_model(2, str(tmp_path))
    (tmp_path / "frozen" / "checkpoint").write_text("model.pth.tar-2\n")
    with pytest.raises(InputError, match=r"different epochs \(linear: 3, frozen: 2\)"):
        other.resume_model_if_exist(str(tmp_path))


def test_upstream_style_run(make_cfg, make_trainer, tmp_path, capsys):
    """A trainer and a dataset in upstream's style (stub_run.py) train, print, save and load."""
    cfg = make_cfg(OPTIM__MAX_EPOCH=2, TEST__FINAL_MODEL="best_val", OPTIM__LR=0.05)
    setup_logger(cfg.OUTPUT_DIR)
    trainer = make_trainer(cfg)
    trainer.train()
    text = (tmp_path / "out" / "log.txt").read_text()
    assert capsys.readouterr().out == text
    lines = text.split("\n")
    assert lines[0] == "Loading trainer: StubTrainer"
    assert "Building a linear model for 3 classes" in lines and "# params: 581" in lines
    number = r"\d+\.\d{4} \(\d+\.\d{4}\)"
    pattern = (
        rf"epoch \[1/2\] batch \[2/3\] time \d+\.\d{{3}} \(\d+\.\d{{3}}\) data \d+\.\d{{3}} \(\d+\.\d{{3}}\) "
        rf"loss {number} acc {number} lr 1\.0000e-05 eta 0:00:0\d"
    )
    assert any(re.fullmatch(pattern, line) for line in lines)
    assert lines.count("Evaluate on the *val* set") == 2 and lines.count("Evaluate on the *test* set") == 1
    end = lines.index("Finish training")
    assert lines[end + 1] == "Deploy the model with the best val performance"
    assert re.fullmatch(r"\* accuracy: \d+\.\d%", next(line for line in lines[end:] if "accuracy" in line))
    assert re.fullmatch(r"Elapsed: 0:00:0\d", lines[-2])
    folder = tmp_path / "out" / "linear"
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint", "model-best.pth.tar", "model.pth.tar-2"]
    best = torch.load(folder / "model-best.pth.tar", weights_only=True)
    assert type(best["val_result"]) is float and best["val_result"] == trainer.best_result
    assert f"Checkpoint saved to {folder}/model.pth.tar-2" in lines
    assert list((tmp_path / "out" / "tensorboard").iterdir())


def test_checkpoint_frequency_and_no_test(make_cfg, make_trainer, tmp_path, caplog):
    make_trainer(make_cfg(OPTIM__MAX_EPOCH=3, TRAIN__CHECKPOINT_FREQ=2, TEST__NO_TEST=True)).train()
    names = {p.name for p in (tmp_path / "out" / "linear").iterdir()}
    assert names == {"checkpoint", "model.pth.tar-2", "model.pth.tar-3"}
    assert "Evaluate" not in caplog.text and "Finish training" in caplog.messages


def test_progress_bar_goes_to_stderr_of_a_terminal_only(make_cfg, make_trainer, monkeypatch, capsys):
    cfg = make_cfg(OPTIM__MAX_EPOCH=1)
    make_trainer(cfg).train()
    assert "batch/s" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    make_trainer(make_cfg("other", OPTIM__MAX_EPOCH=1)).train()
    captured = capsys.readouterr()
    assert "epoch 1/1:" in captured.err and "epoch 1/1:" not in captured.out


@pytest.mark.parametrize("count, pairs", [("train_x", 3), ("train_u", 2), ("smaller_one", 2)])
def test_two_loaders(make_cfg, make_trainer, count, pairs):
    cfg = make_cfg(TRAINER__NAME="StubPairTrainer", OPTIM__MAX_EPOCH=1, TRAIN__COUNT_ITER=count)
    trainer = make_trainer(cfg)
    trainer.train()
    assert trainer.num_batches == len(trainer.pairs) == pairs
    assert [u for _, u in trainer.pairs] == [[0, 1, 2, 3], [4, 5], [0, 1, 2, 3]][:pairs]


def test_mistakes(make_cfg, make_trainer):
    with pytest.raises(InputError, match=r'"StubTrain" \(do you mean "StubTrainer"'):
        build_trainer(make_cfg(TRAINER__NAME="StubTrain"))
    with pytest.raises(InputError, match="TRAIN.COUNT_ITER .*train_x, train_u, smaller_one"):
        make_trainer(make_cfg(TRAINER__NAME="StubPairTrainer", TRAIN__COUNT_ITER="both")).train()

    class Unfinished(TrainerX):
        pass

    with pytest.raises(NotImplementedError, match="Unfinished must define build_model"):
        Unfinished(make_cfg())
    assert issubclass(Unfinished, SimpleTrainer)


def test_interrupt(make_cfg, make_trainer, caplog, tmp_path, monkeypatch):
    trainer = make_trainer(make_cfg())
    original = trainer.forward_backward

    def interrupted(batch):
        if trainer.epoch == 1:
            raise KeyboardInterrupt
        return original(batch)

    monkeypatch.setattr(trainer, "forward_backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    note = f"Interrupted in epoch 2; the same command resumes from {tmp_path}/out/resume.pth.tar"
    assert caplog.messages[-1] == note and trainer._writer is None


def test_a_full_disk_under_tensorboard_is_named(make_cfg, make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer(make_cfg())
    trainer.init_writer(str(tmp_path / "scalars"))

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trainer._writer, "add_scalar", refuse)
    monkeypatch.setattr(trainer._writer, "close", refuse)
    for write in (lambda: trainer.write_scalar("loss", 1.0, 1), trainer.close_writer):
        with pytest.raises(OSError) as caught:
            write()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "scalars"))
    trainer.close_writer()  # nothing is left to close
