"""A text tower in parts: the numbers of one pass in float64, values and gradients, and what is kept and computed again."""

import open_clip
import pytest
import torch
import torch.nn.functional as F

from caspl.clip.backbones import Backbone
from caspl.ground.errors import InputError
from caspl.prompting.groups import PromptGroup
from caspl.prompting.model import PromptedCLIP, one_by_one, part_sizes

NAMES = ["cat", "a very long name of some dog", "x", "great white shark", "cat (wild)", "great_white_owl", "y"]
C, D, E = len(NAMES), 32, 24


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    vision, text = (
        dict(image_size=32, patch_size=8, width=48, layers=1, head_width=16),
        dict(width=D, heads=4, layers=3),
    )
    model = open_clip.CLIP(embed_dim=E, vision_cfg=vision, text_cfg=text, quick_gelu=True).double()
    return Backbone("tiny", model, open_clip.SimpleTokenizer(), (32, 32), (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def prompted(backbone):
    return PromptedCLIP(backbone, NAMES)


def prompt(*shape):
    return torch.randn(*shape, dtype=torch.double).mul_(0.5).requires_grad_()


CASCADES = {
    "shared": lambda: [PromptGroup(text=(prompt(4, D), prompt(4, D)))],
    "two groups": lambda: [PromptGroup(text=(prompt(2, D),)), PromptGroup(text=(prompt(3, D),) * 3)],
    "around the name": lambda: [PromptGroup(text=(prompt(4, D),), after_name=2), PromptGroup(text=(prompt(2, D),) * 2)],
    "class-specific": lambda: [PromptGroup(text=(prompt(C, 4, D), prompt(C, 4, D))), PromptGroup(text=(prompt(2, D),))],
    "class-specific from block 1 on": lambda: [PromptGroup(text=(prompt(4, D), prompt(C, 4, D)))],
    "of three images": lambda: [PromptGroup(text=(prompt(3, 1, 4, D),)), PromptGroup(text=(prompt(2, D),))],
    "of three images and each class": lambda: [PromptGroup(text=(prompt(3, C, 2, D), prompt(3, C, 2, D)))],
}


def found(prompted, groups, memory):
    """Features and gradients with so much memory, and how many classes each call of a tower had, on both ways."""
    calls, prompted.memory = [], memory
    features = counting(prompted, calls).class_features(groups)
    there = list(calls)
    leaves = [entry for group in groups for entry in group.text]
    weights = torch.linspace(-1, 1, features.numel(), dtype=features.dtype).view_as(features)
    gradients = torch.autograd.grad((features * weights).sum(), leaves)
    return [features, *gradients], there, calls[len(there) :]


def counting(prompted, calls):
    encode = PromptedCLIP._features

    def features(tower, groups):
        calls.append(len(tower.tokens.ids))
        return encode(prompted, tower, groups)

    prompted._features = features
    return prompted


def memory_for(prompted, groups, classes):
    """Bytes in which that many of the classes fit, of all prompt sets."""
    sets = max(len(entry) if entry.dim() == 4 else 1 for group in groups for entry in group.text)
    return prompted.tower.activation_bytes(groups) * sets * (classes + 0.5) / C


@pytest.mark.parametrize("classes", [0, 1, 3])
@pytest.mark.parametrize("cascade", CASCADES)
def test_in_parts_it_is_the_same(cascade, classes, prompted):
    torch.manual_seed(1)
    groups = CASCADES[cascade]()
    expected, there, again = found(prompted, groups, float("inf"))
    assert (there, again) == ([C], [])
    own, there, again = found(prompted, groups, memory_for(prompted, groups, classes))
    assert there == ([1] * 7 if classes < 3 else [1, 3, 3])
    assert again == there[-2::-1]  # what the last part holds is still there, and the way back begins with it
    for a, b in zip(own, expected, strict=True):
        assert (a - b).abs().max() < 1e-12 * b.abs().max().clamp_min(1)


def test_without_gradients_nothing_is_computed_twice_and_parts_are_larger(prompted):
    groups = CASCADES["class-specific"]()
    expected = found(prompted, groups, float("inf"))[0][0]
    memory = memory_for(prompted, groups, 1)
    with torch.no_grad():
        calls, prompted.memory = [], memory
        features = counting(prompted, calls).class_features(groups)
    assert calls == [3, 4] and not features.requires_grad  # of one block at a time, and not of all three
    torch.testing.assert_close(features, expected.detach())


@pytest.mark.parametrize("images", [0.5, 1.5, 2.5])
def test_images_with_prompts_of_their_own_go_in_parts_and_so_do_their_classes(images, prompted):
    """Half an image's memory: each image's classes go in parts, and of all these only the very last one is kept."""
    torch.manual_seed(2)
    linear, ctx, features = prompt(E, D), prompt(4, D), F.normalize(torch.randn(5, E).double(), dim=-1)

    def groups_for(part):
        return [PromptGroup(text=((ctx + (part @ linear)[:, None])[:, None],))]

    def step(memory):
        calls, prompted.memory = [], memory
        logits = counting(prompted, calls).conditional_logits(features, groups_for)
        there = list(calls)
        loss = F.cross_entropy(logits, torch.arange(5))
        return [logits, *torch.autograd.grad(loss, [linear, ctx])], there, calls[len(there) :]

    one = prompted.tower.activation_bytes(groups_for(features[:1]))
    expected, there, again = step(float("inf"))
    assert (there, again) == ([C], [])
    own, there, again = step(images * one)
    assert there == {0.5: [1, 3, 3] * 5, 1.5: [C] * 5, 2.5: [C] * 3}[images] and again == there[-2::-1]
    for a, b in zip(own, expected, strict=True):
        assert (a - b).abs().max() < 1e-12 * b.abs().max().clamp_min(1)


def test_two_gradients_of_one_pass(prompted):
    """As ProGrad takes them: the second of a graph that the first has left standing."""
    groups = CASCADES["shared"]()
    leaves = groups[0].text

    def both(memory):
        prompted.memory = memory
        features = prompted.class_features(groups)
        losses = features[:, 0].sum(), features[:, 1].square().sum()
        return [
            *torch.autograd.grad(losses[0], leaves, retain_graph=True),
            *torch.autograd.grad(losses[1], leaves),
        ]

    for a, b in zip(both(memory_for(prompted, groups, 2)), both(float("inf")), strict=True):
        torch.testing.assert_close(a, b)


def test_less_is_kept_in_parts(prompted):
    groups = CASCADES["shared"]()

    weights = {p.untyped_storage().data_ptr() for p in prompted.clip.parameters()}

    def kept(memory):
        """Numbers beside the weights."""
        prompted.memory, storages = memory, {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: storages.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t
        ):
            prompted.class_features(groups)
        return sum(t.numel() for place, t in storages.items() if place not in weights)

    assert kept(memory_for(prompted, groups, 1)) < 0.4 * kept(float("inf"))


def test_prompts_for_other_classes_are_refused_before_they_are_shared_out(prompted):
    prompted.memory = 1.0
    with pytest.raises(
        InputError, match=f"class-specific prompts are for {C + 1} classes, but there are {C} class names"
    ):
        prompted.class_features([PromptGroup(text=(prompt(C + 1, 4, D),))])


def test_the_first_part_takes_what_is_left_over():
    assert part_sizes(0, 3) == [0]  # no image
    assert [part_sizes(10, most) for most in (0, 3, 5, 10, 99)] == [[1] * 10, [1, 3, 3, 3], [5, 5], [10], [10]]


def test_nothing_of_the_last_part_is_kept_where_another_comes_behind_it():
    calls, x = [], torch.ones(2, requires_grad=True)

    def square(part):
        calls.append(len(calls))
        return part.square()

    for keep_last, again in ((True, 1), (False, 2)):
        calls.clear()
        torch.cat(one_by_one(square, [(x,), (x,)], keep_last=keep_last)).sum().backward()
        assert len(calls) == 2 + again
