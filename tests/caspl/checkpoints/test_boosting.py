"""Boosting checkpoints: round trip, size, and the refusal of every kind of mismatch with both sides named."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from boosting_files import make_header
from caspl.checkpoints.boosting import load_boosting, read_boosting, save_boosting
from caspl.clip.backbones import load_backbone
from caspl.ground.errors import InputError
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import Prompts


@pytest.fixture(scope="module")
def student():
    return load_backbone("demo/student")


@pytest.fixture
def prompts():
    torch.manual_seed(0)
    return Prompts(random_entries(4, 3, 64), random_entries(2, 4, 64))


@pytest.fixture
def saved(student, prompts, tmp_path):
    header = make_header(prompts, student, classnames=["zero", "one"], epochs=2)
    save_boosting(tmp_path / "boosting.safetensors", prompts, header)
    return tmp_path / "boosting.safetensors", header


def test_round_trip(saved, student, prompts):
    path, header = saved
    loaded, read = load_boosting(path, student)
    assert read == header
    assert (read.text_length, read.text_depth, read.vision_length, read.vision_depth) == (4, 3, 2, 4)
    for name, value in prompts.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert not any(p.requires_grad for p in loaded.parameters())
    assert all(p.requires_grad for p in load_boosting(path.parent, student, trainable=True)[0].parameters())


def test_under_one_megabyte_at_vit_b16_shape(saved, tmp_path):
    prompts = Prompts(random_entries(8, 12, 512), random_entries(8, 12, 768))
    header = dataclasses.replace(
        saved[1], text_width=512, vision_width=768, text_length=8, vision_length=8, text_depth=12, vision_depth=12
    )
    save_boosting(tmp_path / "large.safetensors", prompts, header)
    assert (tmp_path / "large.safetensors").stat().st_size < 1e6


def test_other_weights_are_refused_with_both_sides(saved):
    teacher = load_backbone("demo/teacher")
    with pytest.raises(InputError) as error:
        load_boosting(saved[0], teacher)
    for part in (
        "demo/student",
        saved[1].student_fingerprint,
        "demo/teacher",
        teacher.fingerprint,
        "text width 64",
        "96",
    ):
        assert part in str(error.value)


def test_a_file_that_knows_the_hash_of_the_weights_alone(saved, prompts, student):
    """As those that were written before the activation, the heads and the image size were part of the fingerprint."""
    path, header = saved
    save_boosting(path, prompts, dataclasses.replace(header, student_fingerprint=student.fingerprint.split("/")[0]))
    load_boosting(path, student)
    with pytest.raises(InputError, match="another student: network demo/student"):
        load_boosting(path, load_backbone("demo/teacher"))


def test_other_classes_of_the_same_dataset_are_refused(saved, student):
    load_boosting(saved[0], student, dataset="Digits", classnames=["one"])
    load_boosting(saved[0], student, dataset="Letters", classnames=["a"])
    with pytest.raises(InputError, match='class list of Digits does not match.*"two"'):
        load_boosting(saved[0], student, dataset="Digits", classnames=["one", "two"])


def rewrite(path, tensors=None, **metadata):
    own, header = read_boosting(path)
    fields = {"format": "caspl-boosting", "version": "2", "header": json.dumps(dataclasses.asdict(header))} | metadata
    save_file(own if tensors is None else tensors, path, metadata=fields)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda p: rewrite(p, version="3"), "format version 3, this program reads version 2"),
        (lambda p: rewrite(p, format="other"), "another kind .format other.*expected caspl-boosting"),
        (lambda p: rewrite(p, header="{}"), "lacks or adds classnames"),
        (lambda p: rewrite(p, header="nonsense"), "not JSON"),
        (
            lambda p: rewrite(p, tensors={"text.0": torch.zeros(4, 64)}),
            "announces: text.1 is missing, expected .4, 64.",
        ),
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "cut short"),
        (lambda p: p.write_bytes(p.read_bytes()[:5]), "cut short"),
        (lambda p: p.write_text("hello"), "not a boosting checkpoint"),
        (lambda p: p.unlink(), "no boosting checkpoint at .*run phase 1 first"),
    ],
)
def test_damage_is_named(saved, student, damage, message):
    damage(saved[0])
    with pytest.raises(InputError, match=message) as error:
        load_boosting(saved[0], student)
    assert str(saved[0]) in str(error.value)


def test_a_failed_write_leaves_the_old_file(saved, prompts, monkeypatch):
    before = saved[0].read_bytes()
    monkeypatch.setattr(
        "caspl.checkpoints.boosting.save_file", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        save_boosting(saved[0], prompts, saved[1])
    assert saved[0].read_bytes() == before
    assert [p.name for p in saved[0].parent.iterdir()] == [saved[0].name]
