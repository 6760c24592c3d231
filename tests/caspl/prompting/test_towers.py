"""Both towers against the plain reference, in float64: values within 1e-9, gradients within 1e-8 relative."""

from functools import partial

import open_clip
import pytest
import torch
from cascades import CASCADES, NAMES, TEXT_BLOCKS, VISION_BLOCKS, C, D, V, prompt, small_clip, text

import reference
from caspl.ground.errors import InputError
from caspl.prompting.groups import PromptGroup
from caspl.prompting.image_tower import encode_images
from caspl.prompting.layout import ClassTokens
from caspl.prompting.text_tower import TextTower


@pytest.fixture(scope="module")
def clip():
    return small_clip()


@pytest.fixture(scope="module")
def tokenizer():
    return open_clip.SimpleTokenizer()


def compare(ours, plain, leaves):
    assert (ours - plain).abs().max() < 1e-9
    weights = torch.randn_like(plain)
    ours_grads = torch.autograd.grad((ours * weights).sum(), leaves) if leaves else []
    plain_grads = torch.autograd.grad((plain * weights).sum(), leaves) if leaves else []
    for a, b in zip(ours_grads, plain_grads, strict=True):
        assert b.abs().max() > 0
        assert (a - b).abs().max() / b.abs().max() < 1e-8


@pytest.mark.parametrize("cascade", CASCADES)
def test_text_tower_is_exact(clip, tokenizer, cascade):
    torch.manual_seed(1)
    groups, tokens = CASCADES[cascade](), ClassTokens(NAMES, tokenizer)
    features = TextTower(clip, tokens)(groups)
    assert features.shape == (1, C, 24)
    compare(features[0], reference.text_features(clip, tokens, groups), [t for g in groups for t in g.text])


@pytest.mark.parametrize("names", [["owl"], ["owl", "owl"], ["a b c d e f g h i j k l m n o p", "x"]])
def test_one_class_and_extreme_names(clip, tokenizer, names):
    torch.manual_seed(2)
    groups, tokens = [text(4, 1), text(3, 4)], ClassTokens(names, tokenizer)
    leaves = [t for g in groups for t in g.text]
    compare(TextTower(clip, tokens)(groups)[0], reference.text_features(clip, tokens, groups), leaves)


def test_without_prompts_it_is_encode_text(clip, tokenizer):
    ours = TextTower(clip, ClassTokens(NAMES, tokenizer))([])[0]
    plain = clip.encode_text(tokenizer([f"{name.replace('_', ' ')}." for name in NAMES]))
    assert (ours - plain).abs().max() < 1e-9


def test_prompt_sets_are_independent(clip, tokenizer):
    """Prompts that depend on the image: [G, 1, N, D] gives what each set gives alone."""
    torch.manual_seed(3)
    tower = TextTower(clip, ClassTokens(NAMES, tokenizer))
    sets, boosting = prompt(5, 1, 4, D), text(3, 3)
    together = tower([PromptGroup(text=(sets,)), boosting])
    assert together.shape == (5, C, 24)
    for g in range(5):
        alone = tower([PromptGroup(text=(sets[g, 0],)), boosting])[0]
        assert (together[g] - alone).abs().max() < 1e-9


def test_another_attention_can_stand_beside_the_grouped_one(clip, tokenizer):
    """Written from the contract in attention/__init__.py alone: one dense mask over all slots."""

    def dense(layout, sets):
        return [partial(attend, visible=reference.visible(layout, step)) for step in layout.steps]

    def attend(q, k, v, visible):
        called.append(q.shape[1])
        heads_first = (x.transpose(1, 2) for x in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=visible).transpose(1, 2)

    torch.manual_seed(6)
    groups, tokens, called = [text(4, 2, after=2), text(3, 3, C)], ClassTokens(NAMES, tokenizer), []
    ours, other = TextTower(clip, tokens)(groups), TextTower(clip, tokens, attention=dense)(groups)
    assert len(called) == TEXT_BLOCKS
    compare(other, ours, [t for g in groups for t in g.text])


def test_a_name_too_long_is_named(clip, tokenizer):
    tower = TextTower(clip, ClassTokens(["owl", "very " * 70 + "long"], tokenizer))
    with pytest.raises(InputError, match=r'"very very .* takes 73 tokens .* 8 prompt tokens makes 82.* 77 positions'):
        tower([text(8, 1)])


def test_class_specific_prompts_for_other_classes_are_refused(clip, tokenizer):
    with pytest.raises(InputError, match="for 5 classes, but there are 6"):
        TextTower(clip, ClassTokens(NAMES, tokenizer))([text(4, 1, 5)])
    with pytest.raises(InputError, match="for 5 classes, but there are 6"):
        TextTower(clip, ClassTokens(NAMES, tokenizer))([PromptGroup(text=(prompt(C, 4, D), prompt(5, 4, D)))])


def vision(length, depth):
    return PromptGroup(vision=tuple(prompt(length, V) for _ in range(depth)))


IMAGE_CASCADES = {
    "no prompts": lambda: [],
    "shallow": lambda: [vision(4, 1)],
    "deep": lambda: [vision(3, VISION_BLOCKS)],
    "two groups": lambda: [vision(4, VISION_BLOCKS), vision(2, VISION_BLOCKS)],
    "unequal depths": lambda: [vision(2, 1), vision(3, 2)],
    "the other way round": lambda: [vision(2, 3), vision(3, 1)],
}


@pytest.mark.parametrize("cascade", IMAGE_CASCADES)
def test_image_tower_is_exact(clip, cascade):
    torch.manual_seed(4)
    groups, images = IMAGE_CASCADES[cascade](), torch.randn(3, 3, 32, 32, dtype=torch.double)
    ours = encode_images(clip.visual, images, groups)
    compare(ours, reference.image_features(clip.visual, images, groups), [v for g in groups for v in g.vision])
    if not groups:
        assert (ours - clip.encode_image(images)).abs().max() < 1e-9


def test_average_pooling_reads_all_patches():
    torch.manual_seed(5)
    cfg = dict(image_size=32, patch_size=8, width=V, layers=2, head_width=16, pool_type="avg")
    model = open_clip.CLIP(embed_dim=24, vision_cfg=cfg, text_cfg=dict(width=32, heads=2, layers=1)).double().eval()
    images = torch.randn(2, 3, 32, 32, dtype=torch.double)
    assert (encode_images(model.visual, images) - model.encode_image(images)).abs().max() < 1e-9


def test_wrong_image_size_and_too_deep_prompts_are_refused(clip):
    with pytest.raises(InputError, match=r"images are \(40, 40\) pixels, but the image tower takes \(32, 32\); resize"):
        encode_images(clip.visual, torch.zeros(1, 3, 40, 40, dtype=torch.double))
    with pytest.raises(InputError, match="reach 4 blocks, but the tower has 3"):
        encode_images(clip.visual, torch.zeros(1, 3, 32, 32, dtype=torch.double), [vision(2, 4)])
