"""Learners: state in, groups out, and what remains of each when its training has ended."""

import pytest
import torch

from caspl.prompting.cascade import Cascade
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import ConditionalContext, Context, CoupledPrompts, Prompts

D, V, E = 8, 12, 32
NAMES = {
    "context": {"ctx"},
    "specific": {"ctx"},
    "conditional": {"ctx", *(f"meta_net.linear{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias"))},
    "coupled": {"ctx", "compound_prompts_text.0"}
    | {f"{name}.{kind}" for name in ("proj", "compound_prompt_projections.0") for kind in ("weight", "bias")},
    "prompts": {"text.0", "text.1", "vision.0"},
}
NAMES["cascade"] = {f"adapting.{name}" for name in NAMES["conditional"]} | {"boosting.text.0", "boosting.vision.0"}


def make(kind):
    torch.manual_seed(3)
    words = torch.randn(2, D)
    if kind == "context":
        return Context(torch.randn(3, D), words, after_name=1)
    if kind == "specific":
        return Context(torch.randn(5, 3, D), after_name=3)
    if kind == "conditional":
        return ConditionalContext.new(torch.randn(3, D), words, E)
    if kind == "coupled":
        return CoupledPrompts(random_entries(2, 2, D), words, V)
    if kind == "prompts":
        return Prompts(random_entries(2, 2, D), random_entries(2, 1, V), words=words)
    return Cascade(make("conditional"), Prompts(random_entries(4, 1, D), random_entries(4, 1, V), trainable=False))


def same(a, b):
    for one, other in zip(a, b, strict=True):
        assert one.after_name == other.after_name
        for x, y in zip(one.text + one.vision, other.text + other.vision, strict=True):
            assert torch.equal(x, y)


@pytest.mark.parametrize("kind", NAMES)
def test_state_has_the_names_of_the_familys_checkpoints(kind):
    learner = make(kind)
    assert learner.state_dict().keys() == NAMES[kind]
    trained = {name for name, p in learner.named_parameters() if p.requires_grad}
    assert trained == {name for name in NAMES[kind] if not name.startswith("boosting.")}


@pytest.mark.parametrize("kind", NAMES)
def test_deployed_learners_give_the_same_groups_and_stay_as_they_are(kind):
    learner = make(kind)
    deployed, features = learner.deployed(), torch.randn(2, E)
    assert len(deployed) == len(learner()) and all(len(part()) == 1 for part in deployed)
    assert [part.conditional for part in deployed] == [learner.conditional] + [False] * (len(deployed) - 1)
    assert not any(p.requires_grad for part in deployed for p in part.parameters())
    for given in (None, features):
        expected = [group for group in learner(given)]
        same([part(given)[0] for part in deployed], expected)
    before = [part(features)[0] for part in deployed]
    with torch.no_grad():  # the trainer's own goes on learning
        for p in learner.parameters():
            p.add_(1)
    same([part(features)[0] for part in deployed], before)


def test_deployed_learners_are_small_and_single_precision():
    deployed = make("coupled").double().deployed()
    assert {p.dtype for part in deployed for p in part.parameters()} == {torch.float32}
    assert set(deployed[0].state_dict()) == {
        "text.0",
        "text.1",
        "vision.0",
        "vision.1",
    }  # the maps have done their work


def test_images_shift_the_learned_tokens_and_not_the_words():
    learner = make("conditional")
    features = torch.randn(2, E)
    (plain,), (moved,) = learner(), learner(features)
    assert moved.text[0].shape == (2, 1, 5, D) and plain.text[0].shape == (5, D)
    shift = learner.meta_net(features)[:, None]
    assert torch.allclose(moved.text[0][:, 0, :3], learner.ctx + shift) and shift.abs().max() > 0
    assert torch.equal(moved.text[0][:, 0, 3:], learner.words.expand(2, -1, -1))


def test_groups_that_are_the_same_for_all_images_do_not_look_at_them():
    for kind in ("context", "specific", "coupled", "prompts"):
        learner = make(kind)
        same(learner(torch.full((2, E), torch.nan)), learner())


def test_a_cascade_is_in_text_order():
    cascade = make("cascade")
    adapting, boosting = cascade(torch.randn(2, E))
    assert adapting.text[0].shape[0] == 2 and torch.equal(boosting.text[0], cascade.boosting.text[0])
    assert cascade.conditional and not Cascade(make("coupled"), Prompts()).conditional
