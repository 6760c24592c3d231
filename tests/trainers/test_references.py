"""Features of hand-written texts: encoded once for all seeds and methods (MODEL.TEXT_STORE), plainly where they are few."""

import os
from pathlib import Path

import pytest
import torch

from caspl.ground.errors import InputError
from caspl.ground.stores import usual_place
from caspl.prompting.zeroshot import features

SHORT = ("DATASET.NUM_SHOTS", "1", "OPTIM.MAX_EPOCH", "1", "TEST.NO_TEST", "True")


@pytest.fixture
def many(monkeypatch):
    """All work is too much for the plain way."""
    monkeypatch.setattr(features, "FEW_OPERATIONS", 0)


@pytest.fixture
def encoded(monkeypatch):
    """The texts that were encoded since it was asked last."""
    seen, encode = [], features.packed_features

    def counted(backbone, texts, done):
        seen.extend(texts)
        return encode(backbone, texts, done)

    def ask():
        last = seen[:]
        seen.clear()
        return last

    monkeypatch.setattr(features, "packed_features", counted)
    return ask


@pytest.fixture
def prepared(build, tmp_path, monkeypatch):
    """A trainer that is ready for its first step; the store is the usual one, empty at the beginning."""
    monkeypatch.setenv("CASPL_CACHE", str(tmp_path / "cache"))

    def make(name, *more, classes="base"):
        trainer = build(name, classes, "out", *SHORT, *more)
        trainer.before_train() if trainer.learns else None
        return trainer

    return make


def files(folder):
    return sorted(path.name for path in Path(folder).rglob("*"))


@pytest.mark.parametrize(
    ("name", "reference", "count"),
    [
        ("PromptSRC", lambda trainer: trainer.plain_classes, 60 * 5),
        ("KgCoOp", lambda trainer: trainer.plain_classes, 5),
        ("ProGrad", lambda trainer: trainer.plain_classes, 5),
        ("CasPLBoost", lambda trainer: trainer.teacher.classes, 5),
        ("ZeroshotCLIP", lambda trainer: trainer.class_features, 5),
        ("ZeroshotCLIP2", lambda trainer: trainer.class_features, 8 * 5),
    ],
)
def test_another_seed_encodes_nothing(name, reference, count, prepared, many, encoded, tmp_path, monkeypatch):
    first = reference(prepared(name, "--seed", "1"))
    assert len(encoded()) == count and len(files(tmp_path / "cache")) == 2  # the folder texts, and a file
    again = reference(prepared(name, "--seed", "2"))
    assert not encoded() and torch.equal(first, again)
    monkeypatch.setattr(features, "FEW_OPERATIONS", 1e11)
    plain = reference(prepared(name, "--seed", "1"))
    assert (plain - first).abs().max() < 1e-5 and not encoded()


def test_methods_with_the_same_texts_share_them(prepared, boosting, many, encoded):
    first = prepared("KgCoOp").plain_classes
    assert encoded()
    assert torch.equal(prepared("ProGrad").plain_classes, first) and torch.equal(
        prepared("ZeroshotCLIP").class_features, first
    )
    boosted = prepared("CasPL_KgCoOp", "TRAINER.CASPL.BOOSTING", str(boosting))
    assert torch.equal(boosted.plain_classes, first) and not encoded()
    for more in (("TRAINER.COOP.PREC", "bf16"), ("MODEL.BACKBONE.NAME", "demo/teacher")):
        prepared("KgCoOp", *more)
        assert len(encoded()) == 5
    prepared("KgCoOp", classes="new")
    assert len(encoded()) == 5


def test_frozen_weights_that_were_averaged_are_others(prepared, many, encoded):
    trainer = prepared("PromptSRC", "TRAINER.PROMPTSRC.GPA_FROZEN", "True")
    assert encoded()
    trainer.average_frozen()
    trainer.prepare()
    assert encoded()


def test_few_texts_leave_nothing(prepared, tmp_path):
    prepared("PromptSRC"), prepared("ZeroshotCLIP2")
    assert not files(tmp_path / "cache")


def test_nowhere_or_elsewhere(prepared, many, encoded, tmp_path):
    for _ in range(2):
        prepared("KgCoOp", "MODEL.TEXT_STORE", "")
        assert len(encoded()) == 5
    own = tmp_path / "own"
    prepared("KgCoOp", "MODEL.TEXT_STORE", str(own))
    assert len(files(own)) == 1 and not files(tmp_path / "cache")


@pytest.mark.parametrize("name", ["CoOp", "KgCoOp", "ZeroshotCLIP"])
def test_a_named_folder_has_to_be_one(name, build, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^MODEL.TEXT_STORE .*file cannot be written"):
        build(name, "base", "out", "MODEL.TEXT_STORE", str(tmp_path / "file"))


def test_the_usual_place(monkeypatch, tmp_path):
    monkeypatch.setenv("CASPL_CACHE", "~/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert usual_place() == tmp_path / "mine"
    monkeypatch.delenv("CASPL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert usual_place() == tmp_path / "caches" / "caspl"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # is to be passed over, says the specification
    assert usual_place() == tmp_path / ".cache" / "caspl"


@pytest.mark.skipif(os.name != "posix", reason="every user has a home")
def test_nobodys_home_is_no_folder_here(monkeypatch, prepared, many, tmp_path, caplog):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    trainer = prepared("KgCoOp", "--seed", "1")
    monkeypatch.delenv("CASPL_CACHE")
    trainer.prepare()
    (told,) = [message for message in caplog.messages if "not kept" in message]
    assert os.devnull in told and not (tmp_path / "~").exists()
