"""Every trainer against its plain form in float64: logits, loss, gradients, one optimisation step.

The backbone is demo/teacher, whose towers differ in width and depth; boosting prompts differ in length and depth by tower.
"""

import pytest
import torch

import reference_methods as plain
from boosting_files import make_header
from caspl.checkpoints.boosting import save_boosting
from caspl.clip.backbones import load_backbone
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import Prompts
from registered import METHODS

# Variants beyond the digits configurations: depths that differ by tower, fewer learned tokens than words, none at all.
VARIANTS = {
    "CoOp": {
        "words": ("COOP.CTX_INIT", "a photo of the", "COOP.N_CTX", "4"),
        "class-specific": ("COOP.CSC", "True"),
        "middle": ("COOP.CLASS_TOKEN_POSITION", "middle", "COOP.N_CTX", "5"),
        "front": ("COOP.CLASS_TOKEN_POSITION", "front"),
    },
    "CoCoOp": {"random": ("COCOOP.CTX_INIT", "", "COCOOP.N_CTX", "6")},
    "IVLP": {
        "unequal": (*("IVLP.N_CTX_TEXT", "3", "IVLP.N_CTX_VISION", "6"), *("IVLP.PROMPT_DEPTH_TEXT", "1")),
        "text only": ("IVLP.N_CTX_VISION", "0", "IVLP.N_CTX_TEXT", "4", "IVLP.PROMPT_DEPTH_TEXT", "4"),
        "many tokens": ("IVLP.N_CTX_TEXT", "6", "IVLP.PROMPT_DEPTH_VISION", "6"),
    },
    "MaPLe": {"deep": ("MAPLE.PROMPT_DEPTH", "4"), "shallow": ("MAPLE.PROMPT_DEPTH", "1", "MAPLE.N_CTX", "3")},
    "PromptSRC": {"two tokens": ("PROMPTSRC.N_CTX_TEXT", "2", "PROMPTSRC.PROMPT_DEPTH_VISION", "6")},
    "ProGrad": {"random": ("COOP.CTX_INIT", "")},
}
CASES = [(method, "as configured", ()) for method in METHODS]
CASES += [(method, name, keys) for method, named in VARIANTS.items() for name, keys in named.items()]


def tier(case, cascaded):
    """While one works: each method once, behind boosting prompts."""
    quick = cascaded and case[1] == "as configured"
    name = "-".join((*case[:2], "cascaded" if cascaded else "alone"))
    return pytest.param(*case, cascaded, id=name, marks=() if quick else pytest.mark.slow)


@pytest.fixture(scope="module")
def teacher_boosting(tmp_path_factory):
    """Boosting prompts for demo/teacher: 3 text tokens in 2 blocks, 5 vision tokens in 3."""
    backbone = load_backbone("demo/teacher")
    torch.manual_seed(0)
    text = [10 * t for t in random_entries(3, 2, backbone.text_width)]
    prompts = Prompts(text, [10 * v for v in random_entries(5, 3, backbone.vision_width)])
    path = tmp_path_factory.mktemp("boosting") / "boosting.safetensors"
    save_boosting(path, prompts, make_header(prompts, backbone))
    return path


def make(build, method, cascaded, keys, boosting):
    prefixed = [word if at % 2 else f"TRAINER.{word}" for at, word in enumerate(keys)]
    if cascaded:
        prefixed += ["TRAINER.CASPL.BOOSTING", str(boosting)]
    name = f"CasPL_{method}" if cascaded else method
    common = ("--seed", "1", "--backbone", "demo/teacher", "DATASET.NUM_SHOTS", "2", *prefixed)
    trainer = build(name, "base", "out", *common)
    trainer.model.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # away from where training starts
        for parameter in trainer.model.learner.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter += 0.1 * noise
        trainer.prepare()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 9
    batch = next(iter(trainer.train_loader_x))
    loader = torch.Generator().manual_seed(1)
    images = batch["img"][:3].double() if len(batch["img"]) >= 3 else None
    if images is None:  # the configured batch is smaller
        images = torch.randn(3, *batch["img"].shape[1:], generator=loader, dtype=torch.float64)
    labels = torch.randint(0, trainer.num_classes, (3,), generator=loader)
    return trainer, images, labels


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-300)).item()


@pytest.mark.parametrize(
    ("method", "variant", "keys", "cascaded"), [tier(case, cascaded) for case in CASES for cascaded in (False, True)]
)
def test_equal_to_the_plain_form(method, variant, keys, cascaded, build, teacher_boosting):
    trainer, images, labels = make(build, method, cascaded, keys, teacher_boosting)
    named = {name: p for name, p in trainer.model.learner.named_parameters() if p.requires_grad}
    plain_logits, found = plain.terms(trainer, images, labels)
    expected = plain.gradients(trainer, found, list(named.values()))

    loss, logits = trainer.loss(images, labels)
    assert relative(logits, plain_logits) < 1e-8
    assert relative(loss, plain.loss(trainer, found)) < 1e-8

    before = {name: p.detach().clone() for name, p in named.items()}
    rate = trainer.optim.param_groups[0]["lr"]
    trainer.forward_backward({"img": images, "label": labels})
    for (name, parameter), gradient in zip(named.items(), expected, strict=True):
        assert relative(parameter.grad, gradient) < 1e-8, name
        # The first step of SGD: no momentum yet, weight decay on prompts
        assert torch.allclose(parameter, before[name] - rate * (gradient + 5e-4 * before[name]), atol=1e-12), name


IN_PARTS = [(method, (), 0.3) for method in METHODS if method != "VPT"]
IN_PARTS += [("CoOp", VARIANTS["CoOp"]["class-specific"], 0.3), ("CoCoOp", (), 1.3)]


@pytest.mark.parametrize(("method", "keys", "memory"), IN_PARTS)
def test_however_little_memory_there_is_values_and_gradients_stay(method, keys, memory, build, teacher_boosting):
    """A third of what one set of prompts takes: classes go in parts; a third more than that: CoCoOp's images do."""
    trainer, images, labels = make(build, method, True, keys, teacher_boosting)
    prompted, learner = trainer.model.prompted, trainer.model.learner
    groups = learner(torch.zeros(1, trainer.backbone.embedding_width).double()) if learner.conditional else learner()
    prompted.memory = memory * prompted.tower.activation_bytes(groups)
    calls, encode = [], prompted._features
    prompted._features = lambda tower, groups: calls.append(len(tower.tokens.ids)) or encode(tower, groups)
    logits, found = plain.terms(trainer, images, labels)
    named = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    expected = plain.gradients(trainer, found, list(named.values()))
    assert relative(trainer.loss(images, labels)[1], logits) < 1e-8
    parts = [1] * trainer.num_classes if memory < 1 else [trainer.num_classes]
    assert calls == parts * (len(images) if learner.conditional else 1)
    trainer.forward_backward({"img": images, "label": labels})
    for (name, parameter), gradient in zip(named.items(), expected, strict=True):
        assert relative(parameter.grad, gradient) < 1e-8, name


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_boosting_group_changes_nothing(method, build):
    """L = 0: CasPL + X is X, to the bit."""
    from caspl.prompting.cascade import Cascade

    trainer = build(method, "base", "out", "--seed", "1", "DATASET.NUM_SHOTS", "2")
    images = next(iter(trainer.train_loader_x))["img"]
    with torch.no_grad():
        alone = trainer.model(images)
        trainer.model.learner = Cascade(trainer.model.learner, Prompts())
        assert torch.equal(trainer.model(images), alone)
