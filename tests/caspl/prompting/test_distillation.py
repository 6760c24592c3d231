"""The loss of phase 1 and the teacher."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from caspl.clip.backbones import load_backbone
from caspl.clip.templates import DIVERSE, ENSEMBLE, template_for
from caspl.ground.errors import InputError
from caspl.prompting.distillation import Teacher, distillation_loss, feature_loss
from caspl.prompting.zeroshot.features import zeroshot_features

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
    assert distillation_loss(student, teacher, tau).item() == pytest.approx(tau**2 * total / 4, rel=1e-12)
    assert distillation_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_the_other_losses_by_their_definitions():
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)
    assert distillation_loss(student, teacher, 2.0, "reverse_kl") == distillation_loss(teacher, student, 2.0)
    differences = [
        a - b for s, t in zip(student.tolist(), teacher.tolist(), strict=True) for a, b in zip(s, t, strict=True)
    ]
    assert distillation_loss(student, teacher, 2.0, "l1").item() == pytest.approx(sum(map(abs, differences)) / 12)
    assert distillation_loss(student, teacher, 2.0, "mse").item() == pytest.approx(sum(d * d for d in differences) / 12)
    cosines = [(s @ t / (s.norm() * t.norm())).item() for s, t in zip(student, teacher, strict=True)]
    assert feature_loss(student, teacher).item() == pytest.approx(1 - sum(cosines) / 3)
    with pytest.raises(InputError, match='^loss is "huber", expected one of kl, reverse_kl, l1, mse$'):
        distillation_loss(student, teacher, kind="huber")


def test_temperature_must_be_positive():
    with pytest.raises(InputError, match="^temperature is 0, expected above 0"):
        distillation_loss(torch.zeros(1, 2), torch.zeros(1, 2), 0)


def teacher(mean, std):
    backbone = load_backbone("demo/teacher")
    return backbone, Teacher(backbone, [f"a photo of the digit {name}." for name in CLASSES], mean=mean, std=std)


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
    for wrong in ("my pet", "{} of {}", "my {breed} {}", "{} {", "{{}}"):
        with pytest.raises(InputError, match=f'^template is "{wrong}", but it needs {{}} once'):
            template_for("OxfordPets", wrong)


def test_a_methods_own_templates_come_first():
    own = {"OxfordPets": "a pet, {}."}
    assert template_for("OxfordPets", own=own) == "a pet, {}."
    assert template_for("Food101", own=own) == template_for("Food101")
    assert template_for("OxfordPets", "my {}", own=own) == "my {}"


def test_a_template_that_leaves_no_room_for_names():
    backbone, long = load_backbone("demo/student"), "a " * 100 + "{}"
    with pytest.raises(InputError, match='template makes "a a a .* cuts off before the class name; choose a shorter'):
        zeroshot_features(backbone, CLASSES, long)
    assert zeroshot_features(backbone, CLASSES[:1], long).shape[0] == 1  # one class differs from none


def test_ensembles_average_features():
    backbone, classes = load_backbone("demo/student"), CLASSES
    features = [zeroshot_features(backbone, classes, template) for template in ENSEMBLE]
    expected = F.normalize(sum(features), dim=-1)
    assert torch.allclose(zeroshot_features(backbone, classes, *ENSEMBLE), expected, atol=1e-6)
    raw = [backbone.model.encode_text(backbone.tokenizer([t.format(c) for c in classes])) for t in DIVERSE]
    expected = F.normalize(sum(raw), dim=-1)
    assert torch.allclose(zeroshot_features(backbone, classes, *DIVERSE, normalize_each=False), expected, atol=1e-5)
    assert not torch.allclose(zeroshot_features(backbone, classes, *DIVERSE), expected, atol=1e-5)


def test_the_sixty_templates_are_promptsrcs():
    shared = Path(__file__).resolve().parents[4] / "shared" / "facts" / "promptsrc_templates.txt"
    assert len(DIVERSE) == 60 and len(set(DIVERSE)) == 60 and DIVERSE[0] == "a bad photo of a {}."
    if not shared.is_file():
        pytest.skip("the list of PromptSRC's templates is not beside this checkout")
    assert set(DIVERSE) == set(shared.read_text().split("\n")) - {""}
