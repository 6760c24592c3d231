"""Class features of hand-written templates: which way they are computed, and when they are found again."""

import logging
import os
import threading

import open_clip
import pytest
import torch

from caspl.clip import feature_store
from caspl.clip.backbones import Backbone, load_backbone
from caspl.clip.feature_store import FeatureStore
from caspl.prompting.zeroshot import features
from caspl.prompting.zeroshot.features import zeroshot_features

NAMES, TEMPLATES = ["zero", "a_nine", "seven (7)"], ("a photo of the digit {}.", "{} in a video game")


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def encoded(monkeypatch):
    """How many texts were encoded, by which of the two ways."""
    counts = {"plain": 0, "packed": 0}

    def counting(way, encode):
        def counted(backbone, texts, done):
            counts[way] += len(texts)
            return encode(backbone, texts, done)

        return counted

    monkeypatch.setattr(features, "_plain_features", counting("plain", features._plain_features))
    monkeypatch.setattr(features, "packed_features", counting("packed", features.packed_features))
    return counts


@pytest.fixture
def many(monkeypatch):
    """All work is too much for the plain way."""
    monkeypatch.setattr(features, "FEW_OPERATIONS", 0)


def student():
    return load_backbone("demo/student")


# -------------------------------------------------------------------------------------------------------- which way
def test_few_texts_are_encoded_plainly_and_not_kept(encoded, store):
    zeroshot_features(student(), NAMES, *TEMPLATES, store=store)
    assert encoded == {"plain": 6, "packed": 0} and not store.folder.exists()


def test_the_bound_is_of_all_texts_at_all_positions(encoded, monkeypatch):
    backbone = student()
    parameters = sum(p.numel() for p in backbone.model.transformer.parameters())
    monkeypatch.setattr(features, "FEW_OPERATIONS", 2 * 6 * 48 * parameters)
    zeroshot_features(backbone, NAMES[:2], *TEMPLATES)
    assert encoded == {"plain": 4, "packed": 0}
    zeroshot_features(backbone, NAMES, *TEMPLATES)
    assert encoded == {"plain": 4, "packed": 6}


@pytest.mark.parametrize("each", [True, False])
def test_both_ways_agree(many, encoded, each, monkeypatch):
    backbone = student()
    backbone.model.double()
    packed = zeroshot_features(backbone, NAMES, *TEMPLATES, normalize_each=each)
    monkeypatch.setattr(features, "FEW_OPERATIONS", 1e11)
    plain = zeroshot_features(backbone, NAMES, *TEMPLATES, normalize_each=each)
    assert encoded == {"plain": 6, "packed": 6} and packed.dtype == torch.float64
    assert (packed - plain).abs().max() < 1e-12


OTHERS = {
    "a custom class": lambda: open_clip.CustomTextCLIP(
        32, dict(image_size=32, patch_size=16, width=64, layers=1), dict(width=32, heads=2, layers=1)
    ),
    "not causal": lambda: open_clip.CLIP(
        32,
        dict(image_size=32, patch_size=16, width=64, layers=1),
        dict(width=32, heads=2, layers=1, no_causal_mask=True, pool_type="last"),
    ),
    "the feature elsewhere": lambda: open_clip.CLIP(
        32,
        dict(image_size=32, patch_size=16, width=64, layers=1),
        dict(width=32, heads=2, layers=1, pool_type="eos", eos_id=7),
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_towers_go_the_plain_way_and_are_kept(kind, many, encoded, store):
    torch.manual_seed(0)
    backbone = Backbone(kind, OTHERS[kind](), open_clip.SimpleTokenizer(), (32, 32), (0.5,) * 3, (0.5,) * 3)
    first = zeroshot_features(backbone, NAMES, *TEMPLATES, store=store)
    assert encoded == {"plain": 6, "packed": 0}
    assert torch.equal(zeroshot_features(backbone, NAMES, *TEMPLATES, store=store), first) and encoded["plain"] == 6


# ------------------------------------------------------------------------------------------------------- found again
def test_the_same_texts_are_encoded_once(many, encoded, store, caplog):
    caplog.set_level(logging.INFO)
    first = zeroshot_features(student(), NAMES, *TEMPLATES, store=store)
    again = zeroshot_features(student(), NAMES, *TEMPLATES, store=store)
    assert torch.equal(first, again) and again.dtype == torch.float32 and encoded["packed"] == 6
    (kept, found) = [record.getMessage() for record in caplog.records]
    assert kept.startswith("Features of 6 texts, computed in ") and found.startswith("Features of 6 texts found in ")
    assert torch.equal(zeroshot_features(student(), NAMES, *TEMPLATES), first)  # without a store


def changed(backbone):
    with torch.no_grad():
        backbone.model.text_projection[0, 0] += 1e-6  # below what the fingerprint can see
    return backbone


def with_gelu(backbone):
    for block in backbone.model.transformer.resblocks:
        block.mlp.gelu = torch.nn.GELU()
    return backbone


CHANGES = {
    "weights": lambda store: zeroshot_features(changed(student()), NAMES, *TEMPLATES, store=store),
    "activation": lambda store: zeroshot_features(with_gelu(student()), NAMES, *TEMPLATES, store=store),
    "precision": lambda store: zeroshot_features(as_bf16(student()), NAMES, *TEMPLATES, store=store),
    "templates": lambda store: zeroshot_features(student(), NAMES, TEMPLATES[0], store=store),
    "order of templates": lambda store: zeroshot_features(student(), NAMES, *TEMPLATES[::-1], store=store),
    "class names": lambda store: zeroshot_features(student(), NAMES[:2], *TEMPLATES, store=store),
    "order of classes": lambda store: zeroshot_features(student(), NAMES[::-1], *TEMPLATES, store=store),
    "way to average": lambda store: zeroshot_features(student(), NAMES, *TEMPLATES, normalize_each=False, store=store),
}


def as_bf16(backbone):
    backbone.model.bfloat16()
    return backbone


@pytest.mark.parametrize("what", CHANGES)
def test_others_are_others(what, many, encoded, store):
    zeroshot_features(student(), NAMES, *TEMPLATES, store=store)
    before = encoded["packed"]
    CHANGES[what](store)
    assert encoded["packed"] > before and len([*store.folder.iterdir()]) == 2


@pytest.mark.parametrize("damage", [lambda content: content[:40], lambda content: content[:-3] + b"abc", lambda _: b""])
def test_a_damaged_file_is_made_anew(damage, many, encoded, store, caplog):
    first = zeroshot_features(student(), NAMES, *TEMPLATES, store=store)
    (path,) = store.folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert torch.equal(zeroshot_features(student(), NAMES, *TEMPLATES, store=store), first) and encoded["packed"] == 12
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        message for message in caplog.messages if f"{path} is damaged and will be replaced" in message
    ]
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_costs_one_warning(many, encoded, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = FeatureStore(tmp_path / "file" / "texts")
    for runs in (1, 2):
        assert zeroshot_features(student(), NAMES, *TEMPLATES, store=store).shape == (3, 64)
        (told,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert (
            told.startswith("Features of 6 texts, computed in") and "not kept" in told and encoded["packed"] == 6 * runs
        )
        caplog.clear()


# ------------------------------------------------------------------------------------------------- several processes
def in_a_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    return thread, results


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_what_another_process_computes_is_waited_for(store, caplog):
    caplog.set_level(logging.INFO)
    began, go_on, calls = threading.Event(), threading.Event(), []

    def slowly():
        calls.append(1)
        began.set()
        go_on.wait(30)
        return torch.ones(2, 3)

    def get():
        return store.find({"x": 1}, ["a", "b"], slowly, "2 texts")

    first, first_results = in_a_thread(get)
    assert began.wait(30)
    second, second_results = in_a_thread(get)
    while not any("waiting for them" in message for message in caplog.messages):
        assert second.is_alive()
    go_on.set()
    first.join(30), second.join(30)
    assert len(calls) == 1 and torch.equal(first_results[0], second_results[0])
    assert len([*store.folder.iterdir()]) == 1  # no lock is left


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_a_process_that_takes_too_long_is_not_waited_for(store, monkeypatch):
    monkeypatch.setattr(feature_store, "PATIENCE", 0.01)
    began, go_on = threading.Event(), threading.Event()

    def forever():
        began.set()
        go_on.wait(30)
        return torch.ones(1, 3)

    thread, _ = in_a_thread(lambda: store.find({"x": 1}, ["a"], forever, "a text"))
    assert began.wait(30)
    assert torch.equal(store.find({"x": 1}, ["a"], lambda: torch.ones(1, 3), "a text"), torch.ones(1, 3))
    go_on.set()
    thread.join(30)
    assert torch.equal(store.find({"x": 1}, ["a"], None, "a text"), torch.ones(1, 3))
