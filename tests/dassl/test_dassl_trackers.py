"""Experiment trackers (LOGGER), with stand-ins for wandb and trackio; the real ones: tests/trainers/test_tracked_runs.py."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dassl.engine import trackers

from caspl.ground.tensors.finite import DivergedError

ELSEWHERE = '{"wandb": {"project": "x", "name": "y", "id": "../../z"}}'


class Recorder:
    """Stands in for one of the libraries: keeps what it is told; `fails` names the calls that raise."""

    def __init__(self, fails=()):
        self.fails, self.runs, self.modes = fails, [], []

    def Settings(self, **settings):  # noqa: N802, wandb's
        return settings

    def init(self, project, name, config, resume, id=None, dir=None, settings=None):  # noqa: A002, wandb's
        self.modes.append((os.environ.get("WANDB_MODE"), os.environ.get("WANDB_ERROR_REPORTING")))
        print("words of the library")
        random.random(), np.random.random()
        if "init" in self.fails:
            raise RuntimeError("no server\nand a long story")
        told = SimpleNamespace(
            project=project, name=name, id=id, resume=resume, config=config, logged=[], axes={}, ends=[]
        )
        self.runs.append(told)
        told.log, told.finish = lambda *words, **more: self._log(told, *words, **more), told.ends.append
        told.define_metric = lambda name, step_metric=None, hidden=None: told.axes.update({name: step_metric})
        told.settings, told.url = SimpleNamespace(sync_dir="there"), "address"
        told.finish = lambda exit_code=0: told.ends.append(exit_code)
        return told

    def _log(self, told, values, step=None):
        if "log" in self.fails and len(told.logged) == 2:
            raise ConnectionResetError(104, "Connection reset by peer")
        told.logged.append(values if step is None else {**values, "step": step})

    def finish(self):
        self.runs[-1].ends.append(0)
        if "finish" in self.fails:
            raise OSError(28, "No space left on device")


@pytest.fixture
def libraries(monkeypatch):
    """Both, as `import` finds them; give one the calls that fail: `libraries["wandb"].fails = ("log",)`."""
    for name in (*trackers.DEFAULTS, "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    found = {name: Recorder() for name in ("wandb", "trackio")}
    for name, library in found.items():
        monkeypatch.setitem(sys.modules, name, library)
    return found


def state(trainer):
    return {key: value.clone() for key, value in trainer.model.state_dict().items()}


def test_both_get_what_tensorboard_gets_and_the_numbers_stay(
    make_cfg, make_trainer, libraries, caplog, capsys, monkeypatch
):
    scalars = []
    plain = make_trainer(make_cfg("plain"))
    monkeypatch.setattr(plain, "write_scalar", lambda tag, value, step=None: scalars.append((tag, float(value), step)))
    plain.train()
    tracked = make_trainer(make_cfg("tracked", LOGGER="trackio,WandB"))
    tracked.train()
    assert all(torch.equal(value, state(tracked)[key]) for key, value in state(plain).items())
    for name, library in libraries.items():
        (run,) = library.runs
        axis = "step" if name == "trackio" else "{}/step"
        told = []
        for values in run.logged:
            group = next(iter(values)).partition("/")[0]
            step = values.pop(axis.format(group))
            told += [(tag, value, step) for tag, value in values.items()]
        assert told == scalars and {tag for tag, *_ in told} >= {"train/loss", "train/lr", "test/accuracy"}
        assert run.ends == [0] and run.resume in (None, "never")
        assert run.config["OPTIM.MAX_EPOCH"] == tracked.max_epoch and run.config["LOGGER"] == "trackio,WandB"
        assert any(line.startswith(f"{name}: caspl / ") for line in caplog.messages)
    assert libraries["wandb"].runs[0].axes["train/*"] == "train/step"
    assert "words of the library" not in capsys.readouterr().out
    assert not any("fails" in line for line in caplog.messages)


def test_offline_unless_the_user_says_otherwise(libraries, tmp_path, monkeypatch):
    before = dict(os.environ)
    trackers.begin(["wandb"], tmp_path, {}).close()
    assert libraries["wandb"].modes == [("offline", "false")] and dict(os.environ) == before
    monkeypatch.setenv("WANDB_MODE", "online")
    trackers.begin(["wandb"], tmp_path, {}, resumed=True).close()
    assert libraries["wandb"].modes[1][0] == "online" and libraries["wandb"].runs[1].resume == "allow"


def test_nobody_is_asked_for_the_users_name(libraries, tmp_path, monkeypatch):
    """Trackio asks the Hub for it, where there is a token."""
    from huggingface_hub import constants

    seen, init = [], libraries["trackio"].init
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    libraries["trackio"].init = lambda project, name, config, resume: [
        seen.append(constants.HF_HUB_OFFLINE),
        init(project, name, config, resume),
    ][1]
    trackers.begin(["trackio"], tmp_path, {}).close()
    monkeypatch.setenv("TRACKIO_SPACE_ID", "org/space")
    trackers.begin(["trackio"], tmp_path, {}).close()
    assert seen == [True, False] and not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("call", ["init", "log", "finish"])
def test_one_that_fails_is_left_out_with_one_warning(make_cfg, make_trainer, libraries, call, caplog):
    libraries["trackio"].fails = (call,)
    make_trainer(make_cfg(LOGGER="trackio,wandb")).train()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and warnings[0].startswith("trackio fails and is left out from here on (")
    assert "\n" not in warnings[0] and "* accuracy" in caplog.text
    (run,) = libraries["wandb"].runs
    assert run.ends == [0] and run.logged[-1].keys() >= {"test/accuracy"}  # the other one has all


def test_a_run_that_goes_on_goes_on_in_the_trackers(make_cfg, make_trainer, libraries, tmp_path, monkeypatch):
    """Under the names and the id that its folder keeps; a run that begins anew is another one."""
    first = make_trainer(make_cfg(LOGGER="wandb,trackio"))
    original = first.forward_backward
    monkeypatch.setattr(first, "forward_backward", lambda batch: stop() if first.epoch == 1 else original(batch))

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.train()
    make_trainer(make_cfg(LOGGER="wandb,trackio")).train()
    one, two = libraries["wandb"].runs
    assert one.id == two.id == json.loads((tmp_path / "out" / trackers.FILE).read_text())["wandb"]["id"]
    assert (one.name, one.project) == (two.name, two.project) and (one.ends, two.ends) == ([1], [0])
    assert [run.resume for run in libraries["trackio"].runs] == ["never", "allow"]
    make_trainer(make_cfg("other", LOGGER="wandb")).train()
    assert libraries["wandb"].runs[2].id != one.id


def test_a_run_is_gone_on_with_without_or_with_another_tracker(make_cfg, make_trainer, libraries):
    make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, LOGGER="wandb")).train()
    make_trainer(make_cfg(OPTIM__MAX_EPOCH=2, LOGGER="trackio")).train()
    assert libraries["trackio"].runs[0].resume == "never"


def test_another_tracker_does_not_end_the_connection_of_the_first(libraries, tmp_path):
    for names in (["wandb"], ["trackio"], ["wandb", "trackio"]):
        trackers.begin(names, tmp_path, {}, resumed=True).close()
    first, again = libraries["wandb"].runs
    assert first.id == again.id and [run.resume for run in libraries["trackio"].runs] == ["never", "allow"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"wandb": 1}', '{"wandb": {"id": "x"}}', "\0", ELSEWHERE])
def test_a_damaged_file_of_names_loses_only_the_connection(libraries, tmp_path, content):
    (tmp_path / trackers.FILE).write_text(content)
    trackers.begin(["wandb"], tmp_path, {}, resumed=True).close()
    assert libraries["wandb"].runs[0].ends == [0]
    assert json.loads((tmp_path / trackers.FILE).read_text())["wandb"]["id"] == libraries["wandb"].runs[0].id


def test_a_run_that_diverges_has_failed_in_the_trackers_too(make_cfg, make_trainer, libraries, monkeypatch):
    trainer = make_trainer(make_cfg(LOGGER="wandb"))
    monkeypatch.setattr(trainer, "forward_backward", lambda batch: trainer.detect_anomaly(torch.tensor(float("nan"))))
    with pytest.raises(DivergedError):
        trainer.train()
    assert libraries["wandb"].runs[0].ends == [1]


NAMES = {
    "coop/seed1": ("coop", "seed1"),
    "output/base2new/seed 1": ("output", "base2new/seed 1"),
    "out#1": ("out-1", "out#1"),
    "/elsewhere/output/coop": ("caspl", "elsewhere/output/coop"),
    "x/" + "y" * 200: ("x", "y" * 128),
}


@pytest.mark.parametrize("folder", [*NAMES, "."])
def test_names_come_from_the_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = NAMES.get(folder, (tmp_path.name, tmp_path.name))
    assert trackers.names_of(Path(folder)) == expected


def test_a_package_that_is_missing_is_named_with_what_to_install(monkeypatch, tmp_path):
    """A folder of that name, which earlier runs leave, is none."""
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.setitem(sys.modules, "wandb", None)  # so that what the test imports is forgotten
    del sys.modules["wandb"]
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if "PathFinder" in repr(finder)])
    wrong = trackers.missing("trackio,wandb")
    assert [clause.partition(" (")[0] for clause in wrong] == [
        f"LOGGER is trackio,wandb, but the package {name} cannot be imported" for name in ("trackio", "wandb")
    ]
    assert "pip install 'caspl[trackio]'" in wrong[0] and trackers.missing("") == []
