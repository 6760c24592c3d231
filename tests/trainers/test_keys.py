"""A configuration that may be a host's: completed, checked where a trainer reads it, never changed."""

import pytest
from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY

import caspl.trainers
from caspl.ground.errors import InputError
from caspl.trainers.crops import KEYS as CROPS
from caspl.trainers.keys import completed

READS = {"CoOp": {"COOP"}, "KgCoOp": {"COOP"}, "PromptSRC": {"PROMPTSRC"}, "CasPL_MaPLe": {"MAPLE", "CASPL"}}


@pytest.fixture
def cfg():
    cfg = get_cfg_default()
    caspl.trainers.extend_cfg(cfg)
    return cfg


def declared(name):
    return TRAINER_REGISTRY.get(name).declared()


@pytest.mark.parametrize("name", READS)
def test_a_trainer_declares_the_nodes_that_it_reads(name):
    own = [key for key in declared(name) if key.name.startswith("TRAINER.") and key not in CROPS]
    assert {key.section.removeprefix("TRAINER.") for key in own} == READS[name]


def test_what_a_host_lacks_is_added_to_a_copy(cfg):
    del cfg.TRAINER.COOP["W"], cfg.TEST["FEATURE_STORE"]
    cfg.TRAINER.COOP.N_CTX = 3
    whole = completed(cfg, declared("KgCoOp"))
    assert (whole.TRAINER.COOP.W, whole.TRAINER.COOP.N_CTX, whole.TEST.FEATURE_STORE) == (8.0, 3, "")
    assert "W" not in cfg.TRAINER.COOP


def test_only_what_is_read_is_checked_all_at_once(cfg):
    cfg.TRAINER.COOP.N_CTX, cfg.TRAINER.COOP.W = 0, -1.0
    completed(cfg, declared("PromptSRC"))
    with pytest.raises(
        InputError, match="^TRAINER.COOP.N_CTX is 0, expected 1 to 75; TRAINER.COOP.W is -1.0, expected 0"
    ):
        completed(cfg, declared("CasPL_KgCoOp"))
    cfg.OPTIM.LR = -1.0  # Dassl's own, a matter of the host
    cfg.TRAINER.COOP.N_CTX, cfg.TRAINER.COOP.W = 4, 0
    for theirs, ours in ((False, ""), (True, "template"), (None, ""), ("'x'", "'x'")):  # a host has read its texts
        cfg.TRAINER.COOP.CTX_INIT = theirs
        found = completed(cfg, declared("CasPL_KgCoOp")).TRAINER.COOP
        assert found["CTX_INIT"] == ours
        assert cfg.TRAINER.COOP.CTX_INIT is theirs


def test_a_dropped_node_is_missed(cfg):
    del cfg.TRAINER["CASPL"]
    assert completed(cfg, declared("CoOp")).TRAINER.CASPL == {"CROPS": "stream", "CROP_SEED": 1}
    with pytest.raises(InputError, match="^the configuration has no TRAINER.CASPL; .* leave out Dassl's clean_cfg"):
        completed(cfg, declared("CasPL_CoOp"))


def test_keys_of_the_other_phase_are_refused_in_a_host_too(cfg):
    trainer = TRAINER_REGISTRY.get("CasPL_CoOp")
    trainer.refuse_unread(cfg)
    cfg.TRAINER.CASPL.TEMPERATURE, cfg.TRAINER.CASPL.N_CTX_TEXT = 2.0, 4
    with pytest.raises(
        InputError, match=r"^CasPL_CoOp does not read .*: TRAINER.CASPL.N_CTX_TEXT is 4 .*TEMPERATURE is 2"
    ):
        trainer.refuse_unread(cfg)
    cfg.TRAINER.CASPL.ONE_PHASE, cfg.TRAINER.CASPL.TEMPERATURE = True, 1.0
    trainer.refuse_unread(cfg)
    TRAINER_REGISTRY.get("CasPLBoost").refuse_unread(cfg)
