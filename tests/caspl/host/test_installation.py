"""install() and its undo, in this process. What it is for, in hosts, is tested in tests/packaging."""

from __future__ import annotations

import copy
import logging
import sys
from types import ModuleType

import pytest
from dassl.config import get_cfg_default
from dassl.config.defaults import _C as defaults
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY

import caspl.datasets  # noqa: F401, registration
import caspl.trainers
from caspl.ground.errors import InputError
from caspl.host import check, configuration, registries
from caspl.host.installation import install


def state():
    """Everything in the process that belongs to the host."""
    logger = logging.getLogger("caspl")
    return (
        [
            (dict(vars(registry)), list(registry.registered_names()))
            for registry in (TRAINER_REGISTRY, DATASET_REGISTRY)
        ],
        (copy.deepcopy(dict(defaults)), dict(vars(defaults))),
        (sys.excepthook, logging.root.manager.disable),
        (list(logger.handlers), logger.level, logger.propagate),
    )


@pytest.fixture
def mine(monkeypatch):
    """A trainer of the host."""
    module = ModuleType("host_of_mine")
    module.load_clip_to_cpu = lambda cfg: None
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(TRAINER_REGISTRY, "_obj_map", dict(TRAINER_REGISTRY._obj_map))
    trainer = type("Mine", (), {"__module__": module.__name__})
    TRAINER_REGISTRY.register(trainer)
    return trainer


def test_what_is_installed_can_be_undone(mine, capsys):
    before = state()
    with install() as changes:
        assert install() is changes  # once is enough
        assert "CasPL_Mine" in TRAINER_REGISTRY.registered_names()
        TRAINER_REGISTRY.register(type("CoOp", (), {"__module__": mine.__module__}))
        assert TRAINER_REGISTRY.get("CoOp").__module__ == mine.__module__
        cfg = get_cfg_default()
        assert "BOOSTING" in cfg.TRAINER.CASPL
        cfg.merge_from_list(["TRAINER.CASPL.BOOSTING", "x"])
        cfg.merge_from_file("configs/trainers/CoOp/digits.yaml")
        sys.excepthook(InputError, InputError("said"), None)
        assert capsys.readouterr().err == "error: said\n"
        del TRAINER_REGISTRY._obj_map["CoOp"]  # what the host does itself is not undone
        TRAINER_REGISTRY.register(caspl.trainers.coop.CoOp)
    after = state()
    assert sorted(after[0][0][1]) == sorted(before[0][0][1])
    assert "register" not in after[0][0][0] and "CASPL" not in get_cfg_default().TRAINER
    assert after[0][1] == before[0][1] and after[1:] == before[1:]


def test_it_can_be_installed_again(mine):
    install().undo()
    changes = install()
    assert "CasPL_Mine" in TRAINER_REGISTRY.registered_names() and "CASPL" in get_cfg_default().TRAINER
    changes.undo()


def test_the_host_is_checked_before_it_is_changed(mine, monkeypatch):
    def refuse():
        raise check.HostError("it does not fit")

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr("caspl.host.installation.check_host", refuse)
    before = state()
    with pytest.raises(check.HostError, match="it does not fit"):
        install()
    assert state()[:2] == before[:2]
    assert sys.excepthook is not before[2][0]  # which lets the refusal end in its sentence


def test_importing_changes_nothing():
    assert {registries.__name__, configuration.__name__} <= set(sys.modules)
    assert "register" not in vars(TRAINER_REGISTRY) and "merge_from_file" not in vars(defaults)
