"""Interrupted runs must end with the numbers of uninterrupted ones, bit for bit."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import dassl
import numpy as np
import pytest
import torch
from dassl.engine import resume
from dassl.engine.trainer import SimpleTrainer
from dassl.utils import InputError, files, reset_logger, set_random_seed


class Killed(BaseException):
    """Stands for a process that ends at this point; nothing in the package catches it."""


def numbers(trainer):
    """Everything that a run ends with."""
    return {
        "model": trainer.model.state_dict(),
        "optim": trainer.optim.state_dict(),
        "sched": trainer.sched.state_dict(),
        "best": trainer.best_result,
        "accuracy": trainer.evaluator.evaluate()["accuracy"],
    }


def assert_same(a, b):
    assert type(a) is type(b)
    if torch.is_tensor(a):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


def stop_at(trainer, epoch, monkeypatch):
    """Make the trainer die when the epoch (from 0) begins; at max_epoch, before the final test."""

    def die(*args):
        raise Killed

    if epoch == trainer.max_epoch:
        monkeypatch.setattr(trainer, "after_train", die)
    else:
        monkeypatch.setattr(trainer, "before_epoch", lambda: die() if trainer.epoch == epoch else None)


@pytest.mark.parametrize("final", ["last_step", "best_val"])
def test_every_epoch_boundary(make_cfg, make_trainer, monkeypatch, final):
    values = dict(TEST__FINAL_MODEL=final, OPTIM__LR=0.05)
    whole = make_trainer(make_cfg("whole", **values))
    whole.train()
    cfg = make_cfg("parts", **values)
    for epoch in range(1, cfg.OPTIM.MAX_EPOCH + 1):
        trainer = make_trainer(cfg)
        stop_at(trainer, epoch, monkeypatch)
        with pytest.raises(Killed):
            trainer.train()
    trainer = make_trainer(cfg)
    trainer.train()
    assert trainer.start_epoch == trainer.max_epoch and trainer.epoch == trainer.max_epoch - 1
    assert_same(numbers(trainer), numbers(whole))


def test_with_workers(make_cfg, make_trainer, monkeypatch):
    values = dict(DATALOADER__NUM_WORKERS=2, OPTIM__MAX_EPOCH=2)
    whole = make_trainer(make_cfg("whole", **values))
    whole.train()
    cfg = make_cfg("parts", **values)
    trainer = make_trainer(cfg)
    stop_at(trainer, 1, monkeypatch)
    with pytest.raises(Killed):
        trainer.train()
    trainer = make_trainer(cfg)
    trainer.train()
    assert_same(numbers(trainer), numbers(whole))


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_death_at_every_write(make_cfg, make_trainer, monkeypatch, moment):
    """Die right before and right after each file takes its place; the same command then ends with the same numbers."""
    values = dict(
        OPTIM__MAX_EPOCH=2, TRAIN__CHECKPOINT_FREQ=1, TEST__FINAL_MODEL="best_val", OPTIM__LR=0.05, VERBOSE=False
    )
    monkeypatch.setattr(SimpleTrainer, "init_writer", lambda self, log_dir: None)  # for speed
    replace, writes = os.replace, []

    def counted(source, target):
        if moment == "before" and len(writes) == death:
            raise Killed
        replace(source, target)
        writes.append(target)
        if moment == "after" and len(writes) == death + 1:
            raise Killed

    monkeypatch.setattr(files.os, "replace", counted)
    death = -1
    whole = make_trainer(make_cfg("whole", **values))
    whole.train()
    expected, total = numbers(whole), len(writes)
    assert total >= 7  # first state; in each epoch a model file, its name, a state; at least one best model
    for death in range(total):
        cfg = make_cfg(f"parts{death}", **values)
        writes.clear()
        with pytest.raises(Killed):
            make_trainer(cfg).train()
        writes.clear()
        remembered, death = death, -1
        trainer = make_trainer(cfg)
        trainer.train()
        death = remembered
        assert_same(numbers(trainer), expected)


@pytest.mark.slow
def test_kill_9(stub, stub_path, data_root, tmp_path, capsys):
    """A process is killed at random times, and the same command is given again, the last time in this process."""

    def arguments(output):
        return str(data_root), str(tmp_path / output), "OPTIM.MAX_EPOCH", "30"

    def start(output):
        environment = {**os.environ, "PYTHONPATH": root, "STUB_SECONDS_PER_BATCH": "0.02"}
        command = [sys.executable, str(stub_path), *arguments(output)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(output):
        root, folder, *options = arguments(output)
        stub.main(root, folder, options)
        reset_logger()
        return capsys.readouterr().out

    root = str(Path(dassl.__file__).parents[1])
    parts, delays = [0], random.Random(0)
    for _ in range(2):
        process = start("parts")
        while not process.stdout.readline().startswith(f"epoch [{parts[-1] + 2}/30]"):
            assert process.poll() is None
        time.sleep(delays.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        parts.append(torch.load(tmp_path / "parts" / "resume.pth.tar", weights_only=True)["epoch"])
    texts = {name: run(name) for name in ("whole", "parts")}
    assert 0 < parts[1] < parts[2] < 30
    assert f"{parts[2]} of 30 epochs are finished" in texts["parts"]

    def results(text):
        return [line for line in text.split("Finish training")[1].split("\n") if line.startswith("* ")]

    assert len(results(texts["whole"])) == 5 and results(texts["whole"]) == results(texts["parts"])
    states = [torch.load(tmp_path / name / "linear" / "model.pth.tar-30", weights_only=True) for name in texts]
    assert_same(*states)


def test_random_states_round_trip(tmp_path):
    set_random_seed(5)
    np.random.randn()  # leaves a second normal number in NumPy's cache
    torch.save(resume.random_state(), tmp_path / "r")

    def draw():
        return random.random(), random.gauss(0, 1), np.random.randn(), np.random.rand(), torch.rand(3).tolist()

    expected = draw()
    set_random_seed(6)
    resume.restore_random_state(torch.load(tmp_path / "r", weights_only=True))
    assert draw() == expected


def trained(make_cfg, make_trainer, **values):
    trainer = make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, **values))
    trainer.train()
    return trainer


def test_file_content(make_cfg, make_trainer, tmp_path):
    trained(make_cfg, make_trainer)
    content = torch.load(tmp_path / "out" / "resume.pth.tar", weights_only=True)
    assert set(content) == resume._FIELDS | {"checksum"} and content["epoch"] == 2
    assert list(content["models"]) == ["linear"] and "LR: 0.01" in content["config"]


def test_other_configuration_is_refused(make_cfg, make_trainer):
    trained(make_cfg, make_trainer)
    changed = dict(OPTIM__LR=0.5, TEST__FINAL_MODEL="best_val", DATALOADER__NUM_WORKERS=1)
    with pytest.raises(InputError) as caught:
        make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, **changed)).train()
    message = str(caught.value)
    for part in (
        "OPTIM.LR was 0.01 and is now 0.5",
        "TEST.FINAL_MODEL was 'last_step' and is now 'best_val'",
        "DATALOADER.NUM_WORKERS was 0 and is now 1",
        "choose another --output-dir, or delete the file",
    ):
        assert part in message
    assert "\n" not in message


def test_harmless_changes_are_accepted(make_cfg, make_trainer, tmp_path):
    first = trained(make_cfg, make_trainer)
    (tmp_path / "out").rename(tmp_path / "moved")
    values = dict(VERBOSE=False, TRAIN__PRINT_FREQ=5, TRAIN__CHECKPOINT_FREQ=1, TEST__PER_CLASS_RESULT=True)
    again = make_trainer(make_cfg("new", OPTIM__MAX_EPOCH=2, RESUME=str(tmp_path / "moved"), **values))
    again.train()
    assert again.start_epoch == 2
    assert_same(again.model.state_dict(), first.model.state_dict())


def test_state_from_before_the_first_epoch_binds_nobody(make_cfg, make_trainer, monkeypatch, caplog):
    trainer = make_trainer(make_cfg())
    stop_at(trainer, 0, monkeypatch)
    with pytest.raises(Killed):
        trainer.train()
    other = make_trainer(make_cfg(OPTIM__LR=0.5, OPTIM__MAX_EPOCH=1))
    other.train()
    assert other.start_epoch == 0 and "another configuration; it is not used" in caplog.text


def test_frequency(make_cfg, make_trainer, monkeypatch, tmp_path):
    monkeypatch.setattr(resume, "save_run", lambda trainer, path, finished: written.append(finished))
    for frequency, expected in ((2, [0, 2, 4, 5]), (0, [])):
        written = []
        make_trainer(make_cfg(f"out{frequency}", OPTIM__MAX_EPOCH=5, TRAIN__RESUME_FREQ=frequency)).train()
        assert written == expected


def test_without_resume_file_model_files_are_used(make_cfg, make_trainer, caplog):
    trained(make_cfg, make_trainer, TRAIN__RESUME_FREQ=0)
    again = make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, TRAIN__RESUME_FREQ=0))
    again.train()
    assert again.start_epoch == 2 and "Previous epoch: 2" in caplog.messages


def test_damaged_file(make_cfg, make_trainer, tmp_path):
    trained(make_cfg, make_trainer)
    path = tmp_path / "out" / "resume.pth.tar"
    content = path.read_bytes()
    path.write_bytes(content[:-200])
    with pytest.raises(
        InputError, match=r"resume\.pth\.tar is cut short, .*; delete it, and training goes on from the newest"
    ):
        make_trainer(make_cfg(OPTIM__MAX_EPOCH=2)).train()
    torch.save({"epoch": 1}, path)
    with pytest.raises(InputError, match="is not a file to resume from; delete it"):
        make_trainer(make_cfg(OPTIM__MAX_EPOCH=2)).train()


def test_extra_state(make_cfg, make_trainer, monkeypatch, stub):
    monkeypatch.setattr(stub.StubTrainer, "extra_state", lambda self: {"average": self.average})
    monkeypatch.setattr(stub.StubTrainer, "load_extra_state", lambda self, state: seen.append(state))
    monkeypatch.setattr(stub.StubTrainer, "average", torch.arange(3), raising=False)
    seen = []
    trained(make_cfg, make_trainer)
    trained(make_cfg, make_trainer)
    assert torch.equal(seen[0]["average"], torch.arange(3))
    monkeypatch.setattr(stub.StubTrainer, "average", Path("x"))
    with pytest.raises(TypeError, match=r"state\['extra'\]\['average'\] is a pathlib"):
        make_trainer(make_cfg("other")).train()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("epoch", "message"), [(0, "begins anew"), (2, "goes on after epoch 2, from .*resume.pth.tar$")]
)
def test_a_diverged_run_goes_on_at_a_lower_rate(make_cfg, make_trainer, tmp_path, optimizer, epoch, message):
    """A trainer that people write for upstream Dassl: with its old momentum, at the rates of a run with the new one."""
    trainer = make_trainer(make_cfg(OPTIM__NAME=optimizer))
    run_epoch = trainer.run_epoch

    def run():
        if trainer.epoch == epoch:
            trainer.optim.param_groups[0]["lr"] = math.inf
        run_epoch()

    trainer.run_epoch = run
    with pytest.raises(
        FloatingPointError, match=f"epoch {epoch + 1} of 4, batch 1 of 3 .*parameters (nan|inf); .*{message}"
    ):
        trainer.train()
    assert trainer._writer is None and not (tmp_path / "out" / "linear").exists()
    again = make_trainer(make_cfg(OPTIM__NAME=optimizer, OPTIM__LR=0.002, OPTIM__WARMUP_CONS_LR=1e-6))
    fresh = make_trainer(make_cfg("fresh", OPTIM__NAME=optimizer, OPTIM__LR=0.002, OPTIM__WARMUP_CONS_LR=1e-6))
    rates = {}
    for name, own in (("again", again), ("fresh", fresh)):
        rates[name] = []
        own.before_epoch = lambda own=own, name=name: rates[name].append(own.get_current_lr())
        own.train()
    assert rates["fresh"][0] == 1e-6 and rates["again"] == rates["fresh"][epoch:]
    with pytest.raises(InputError, match="OPTIM.LR was 0.002 and is now 0.01"):
        make_trainer(make_cfg(OPTIM__NAME=optimizer)).train()


def test_a_divergence_after_the_last_epoch(make_cfg, make_trainer, monkeypatch):
    trainer = make_trainer(make_cfg(OPTIM__MAX_EPOCH=1))
    monkeypatch.setattr(trainer, "model_inference", lambda images: torch.full((len(images), 3), math.nan))
    with pytest.raises(
        FloatingPointError, match="scores of 4 of 4 images are not finite.* in another --output-dir, since all"
    ):
        trainer.train()
