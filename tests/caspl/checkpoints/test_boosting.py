"""Boosting checkpoints: round trip, size, and the refusal of every kind of mismatch with both sides named."""

import dataclasses

import open_clip
import pytest
import torch

from boosting_files import make_header
from caspl.checkpoints.boosting import load_boosting, save_boosting
from caspl.clip.backbones import Backbone, load_backbone
from caspl.clip.demo import ARCHITECTURES
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


@pytest.mark.parametrize(
    ("name", "remedy"), [("w.pt", "write demo/student:w.pt"), ("ViT-B-16:/a/w.pt", "write demo/student:/a/w.pt")]
)
def test_the_same_weights_in_another_network_are_refused_with_just_that(saved, student, name, remedy):
    """As a file that does not say its activation may be taken for it."""
    model = open_clip.CLIP(**ARCHITECTURES["student"].arguments(49408), quick_gelu=False)
    model.load_state_dict(student.model.state_dict())
    other = Backbone(name, model, student.tokenizer, student.image_size, student.mean, student.std)
    said = f"is {name}, but the boosting prompts of .* belong to another student: the same weights computed otherwise, "
    with pytest.raises(
        InputError, match=f"{said}activation quickgelu there and gelu here; {remedy}, or train phase 1 on {name}"
    ):
        load_boosting(saved[0], other)


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
