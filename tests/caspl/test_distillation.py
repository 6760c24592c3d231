"""The loss of phase 1 and the teacher."""

import math

import pytest
import torch
import torch.nn.functional as F

from caspl.backbones import load_backbone
from caspl.distillation import Teacher, distillation_loss
from caspl.errors import InputError
from caspl.templates import template_for
from caspl.zeroshot import zeroshot_features

CLASSES = ["zero", "one", "two"]


def test_loss_is_the_papers_formula():
    torch.manual_seed(0)
    student, teacher, tau = torch.randn(4, 5, dtype=torch.double), torch.randn(4, 5, dtype=torch.double), 2.5
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p = [math.exp(v / tau) for v in t]
        q = [math.exp(v / tau) for v in s]
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert distillation_loss(student, teacher, tau).item() == pytest.approx(tau**2 * total / 4, rel=1e-5)
    assert distillation_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_temperature_must_be_positive():
    with pytest.raises(InputError, match="TEMPERATURE is 0, expected a number above 0"):
        distillation_loss(torch.zeros(1, 2), torch.zeros(1, 2), 0)


def teacher(mean, std):
    backbone = load_backbone("demo/teacher")
    return backbone, Teacher(backbone, CLASSES, "a photo of the digit {}.", mean=mean, std=std)


def test_teacher_is_zero_shot_clip_at_the_students_scale():
    backbone, module = teacher(load_backbone("demo/teacher").mean, load_backbone("demo/teacher").std)
    images = torch.randn(2, 3, 32, 32)
    classes = zeroshot_features(backbone, CLASSES, "a photo of the digit {}.")
    expected = 7.0 * F.normalize(backbone.model.encode_image(images), dim=-1) @ classes.T
    assert torch.allclose(module(images, torch.tensor(7.0)), expected, atol=1e-5)
    assert not module.train().backbone.model.training


def test_teacher_converts_the_students_normalisation_and_size():
    torch.manual_seed(0)
    own, other = load_backbone("demo/teacher"), ((0.5,) * 3, (0.25,) * 3)
    pixels = torch.rand(2, 3, 32, 32)

    def normalise(mean, std):
        return (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)

    straight = teacher(own.mean, own.std)[1](normalise(own.mean, own.std), torch.tensor(1.0))
    converted = teacher(*other)[1](normalise(*other), torch.tensor(1.0))
    assert torch.allclose(straight, converted, atol=1e-4)
    large = F.interpolate(normalise(*other), (64, 64))
    assert teacher(*other)[1](large, torch.tensor(1.0)).shape == (2, 3)


def test_templates():
    assert template_for("OxfordPets") == "a photo of a {}, a type of pet."
    assert template_for("MyOwn") == "a photo of a {}."
    assert template_for("OxfordPets", "my {}") == "my {}"
    with pytest.raises(InputError, match='TEMPLATE is "my pet", but it needs {}'):
        template_for("OxfordPets", "my pet", "TRAINER.CASPL.TEMPLATE")
