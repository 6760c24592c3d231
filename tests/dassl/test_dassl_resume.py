"""Interrupted runs must end with the numbers of uninterrupted ones, bit for bit."""

import math
import os
import random
import shutil
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
from dassl.utils import InputError, files, load_checkpoint, reset_logger, set_random_seed
from dassl.utils.checkpoint import save_plain

from attack.damage import flipped


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
        'TEST.FINAL_MODEL was "last_step" and is now "best_val"',
        "DATALOADER.NUM_WORKERS was 0 and is now 1",
        "choose another --output-dir, or delete the file",
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("value, refused", [(0.25, False), (0.5, True)], ids=["its default", "another"])
def test_a_key_that_there_was_not_yet(value, refused, make_cfg, make_trainer):
    trained(make_cfg, make_trainer)
    cfg = make_cfg(OPTIM__MAX_EPOCH=2)
    cfg.defrost()
    cfg.OPTIM.NEW = value
    trainer = make_trainer(cfg)
    trainer.defaults = {"OPTIM.NEW": 0.25}
    if refused:
        with pytest.raises(InputError, match="OPTIM.NEW was not set and is now 0.5"):
            trainer.train()
    else:
        trainer.train()
        assert trainer.start_epoch == 2


def test_a_key_that_changes_nothing_may_have_another_value(make_cfg, make_trainer, monkeypatch):
    trained(make_cfg, make_trainer)
    trainer = make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, OPTIM__STEPSIZE=(7,)))
    monkeypatch.setattr(trainer, "idle_keys", lambda: ["OPTIM.STEPSIZE"])
    trainer.train()
    assert trainer.start_epoch == 2


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


# --- fields that can be read and are wrong ----------------------------------------------------------------------------
def put(place, value):
    """A change of the content of a file; "a.0.b:c" is entry b.c of the first of a; value `...`: the entry is taken away."""

    def change(content):
        *path, last = [int(part) if part.isdigit() else part.replace(":", ".") for part in place.split(".")]
        for part in path:
            content = content[part]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return change


def listed_numpy(content):
    content["random"]["numpy"] = list(content["random"]["numpy"])
    return content["random"]["numpy"]


MOMENTUM = "optimizers.linear.state.1.momentum_buffer"
DEEP = []
for _ in range(60):
    DEEP = [DEEP, DEEP]
MANY_ALIASES = "\n".join(["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 60))])
WRONG = [
    (put("epoch", -5), "epoch is -5, expected 0 to MAX_EPOCH, 2"),
    (put("epoch", 999), "epoch is 999, expected 0 to MAX_EPOCH, 2"),
    (put("epoch", "x"), 'epoch is "x", expected 0 to'),
    (put("epoch", True), "epoch is True, expected"),
    (put("epoch", 1.0), "epoch is 1.0, expected"),
    (put("epoch", None), "epoch is None, expected"),
    (put("epoch", 10**5000), "epoch is a number beyond all bounds, expected"),
    (put("epoch", DEEP), "epoch is a list of 2, expected"),
    (put("epoch", torch.zeros(3)), r"epoch is a tensor \(3,\) of float32, expected"),
    (put("best_result", float("nan")), "best_result is nan, expected a number"),
    (put("best_result", float("inf")), "best_result is inf, expected a number"),
    (put("best_result", "high"), 'best_result is "high", expected a number'),
    (put("extra", [1]), "extra is a list of 1, expected a dictionary"),
    (put("config", 3), "config is 3, expected a configuration"),
    (put("config", "a: [" * 9000), "config is .*, expected a configuration"),
    (put("config", MANY_ALIASES), "config is .*, expected a configuration"),
    (put("random", {}), "random is a dictionary of 0, expected the states of four random generators"),
    (put("random.python", (3, (1, 2), None)), "random is refused by a generator"),
    (put("random.python", "x"), "random is refused by a generator"),
    (put("random.torch", torch.zeros(7, dtype=torch.uint8)), "random is refused by a generator"),
    (put("random.torch", [1]), "random is refused by a generator"),
    (put("random.numpy", ()), "random.numpy is a list of 0, expected a list of 5"),
    (
        lambda c: put("1", torch.zeros(5, dtype=torch.int64))(listed_numpy(c)),
        r"random.numpy.1. is a tensor \(5,\) of int64",
    ),
    (lambda c: put("2", 10**6)(listed_numpy(c)), "random.numpy.2. is 1000000, expected 0 to 624"),
    (put("models", {}), "optimizers is a dictionary of 1, expected one entry for each model"),
    (put("models", 3), "models is 3, expected one entry for each model"),
    (put("models.linear.fc:weight", torch.full((3, 192), torch.nan)), "weight has nan, expected finite"),
    (put("models.linear.fc:weight", torch.ones(3, 192, dtype=torch.int32)), "weight is int32, expected floating-point"),
    (put("models.linear.fc:weight", torch.ones(3, 2)), r"weight is \(3, 2\), expected \(3, 192\)"),
    (put("models.linear.fc:bias", ...), "bias is missing"),
    (put("models.linear", None), "weight is missing"),
    (put("optimizers.linear", []), "optimizers.linear is a list of 0, expected a dictionary"),
    (put("optimizers.linear.state", ...), "optimizers.linear.state is missing"),
    (put("optimizers.linear.state", {7: {}}), "optimizers.linear.state.7 belongs to none of the 3 parameters"),
    (
        put(MOMENTUM, torch.zeros(5)),
        r"momentum_buffer is a tensor \(5,\) of float32, expected a tensor \(3, 192\) of float32",
    ),
    (put(MOMENTUM, torch.full((3, 192), torch.inf)), "momentum_buffer has numbers that are not finite"),
    (put(MOMENTUM, "x"), 'momentum_buffer is "x", expected a finite number'),
    (put("optimizers.linear.param_groups.0.lr", ...), r"param_groups\[0\].lr is missing"),
    (
        put("optimizers.linear.param_groups.0.lr", float("nan")),
        r"param_groups\[0\].lr is nan, expected a finite number",
    ),
    (put("optimizers.linear.param_groups.0.lr", "fast"), 'lr is "fast", expected a finite number'),
    (put("optimizers.linear.param_groups", []), "param_groups is a list of 0, expected a list of 1"),
    (put("schedulers.linear", 3), "schedulers.linear is 3, expected a dictionary"),
    (put("schedulers.linear.successor", ...), "successor is missing"),
    (put("schedulers.linear.successor.last_epoch", 10**9), "last_epoch is 1000000000, expected 0 to 4"),
    (put("schedulers.linear.last_epoch", -1), "last_epoch is -1, expected 0 to 4"),
    (put("schedulers.linear.base_lrs", [0.1, 0.1]), "base_lrs is a list of 2, expected a list of 1"),
    (put("schedulers.linear.base_lrs", [float("inf")]), r"base_lrs\[0\] is inf, expected a finite number"),
    (put("format", 2), "is not a file to resume from"),
    (put("random", ...), "is not a file to resume from"),
]


@pytest.fixture(scope="module")
def resume_file(stub, data_root, tmp_path_factory):
    """resume.pth.tar after two of two epochs, without its checksum."""
    from dassl.engine import build_trainer

    folder = tmp_path_factory.mktemp("resume")
    cfg = stub.make_cfg(data_root, folder)
    cfg.merge_from_list(["OPTIM.MAX_EPOCH", 2])
    set_random_seed(cfg.SEED)
    build_trainer(cfg).train()
    content = torch.load(folder / "resume.pth.tar", weights_only=True)
    content.pop("checksum")
    torch.save(content, folder / "resume.pth.tar")
    return folder / "resume.pth.tar"


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message[:50] for _, message in WRONG])
def test_fields_that_are_wrong(change, message, resume_file, make_cfg, make_trainer, tmp_path):
    content = torch.load(resume_file, weights_only=True)
    change(content)
    (tmp_path / "out").mkdir()
    torch.save(content, tmp_path / "out" / "resume.pth.tar")
    trainer = make_trainer(make_cfg(OPTIM__MAX_EPOCH=2))
    before = resume.random_state()
    with pytest.raises(InputError, match=message) as caught:
        trainer.train()
    assert "resume.pth.tar" in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert_same(resume.random_state(), before)


def test_a_file_of_before_there_were_checksums(resume_file, make_cfg, make_trainer, tmp_path):
    (tmp_path / "out").mkdir()
    shutil.copy(resume_file, tmp_path / "out")
    trainer = make_trainer(make_cfg(OPTIM__MAX_EPOCH=2))
    trainer.train()
    assert trainer.start_epoch == 2


def test_flipped_bits(resume_file, make_cfg, make_trainer, tmp_path):
    """None of 200 changes what is read unseen."""
    path = tmp_path / "resume.pth.tar"
    save_plain(load_checkpoint(resume_file), path)
    whole, expected, refused = path.read_bytes(), load_checkpoint(path), 0
    for bit in random.Random(1).sample(range(8 * len(whole)), 200):
        path.write_bytes(flipped(whole, bit))
        try:
            found = load_checkpoint(path)
        except InputError as error:
            refused += "resume.pth.tar" in str(error)
        else:
            assert_same(found, expected)
    assert refused > 100


@pytest.mark.parametrize(
    "text",
    [
        "../other/model.pth.tar-1",
        "/etc/passwd",
        "..",
        ".",
        "sub/model.pth.tar-1",
        "a\nb",
        "model.pth.tar-1 x",
        "x\0y",
        "x" * 9999,
    ],
)
def test_pointers_that_lead_elsewhere(text, make_cfg, make_trainer, tmp_path):
    trained(make_cfg, make_trainer, TRAIN__RESUME_FREQ=0)
    (tmp_path / "out" / "linear" / "checkpoint").write_text(text)
    with pytest.raises(InputError) as caught:
        make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, TRAIN__RESUME_FREQ=0)).train()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("epoch", -5), "model.pth.tar-2: epoch is -5, expected 0 or more; write the name of another file"),
        (put("epoch", "x"), 'model.pth.tar-2: epoch is "x", expected 0 or more'),
        (put("epoch", 999), "are of epoch 999, but MAX_EPOCH is 2"),
        (put("epoch", ...), "has no state_dict and epoch"),
        (put("state_dict.fc:weight", torch.full((3, 192), torch.nan)), "weight has nan, expected finite"),
        (put("optimizer.param_groups", 1), "model.pth.tar-2: optimizer.param_groups is 1, expected a list of 1"),
        (put("scheduler.successor", ...), "model.pth.tar-2: scheduler.successor is missing"),
        (
            put("scheduler", torch.optim.SGD([torch.zeros(1)], lr=1)),
            "contains pickled objects .scheduler. beside weights",
        ),
    ],
)
def test_model_files_that_are_wrong(change, message, make_cfg, make_trainer, tmp_path):
    trained(make_cfg, make_trainer, TRAIN__RESUME_FREQ=0)
    path = tmp_path / "out" / "linear" / "model.pth.tar-2"
    content = torch.load(path, weights_only=True)
    del content["checksum"]
    change(content)
    torch.save(content, path)
    with pytest.raises(InputError, match=message):
        make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, TRAIN__RESUME_FREQ=0)).train()
