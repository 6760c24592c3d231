"""A frozen block, and the image tower without prompts: the same bits as open_clip's, with less kept and computed."""

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import nn
from torch.utils.checkpoint import checkpoint

from caspl.clip.backbones import load_backbone
from caspl.clip.blocks import SparingQuickGELU, attend, finish, plain_features


def make_block(activation, dtype=torch.float32):
    torch.manual_seed(0)
    block = ResidualAttentionBlock(32, 2, act_layer=activation).eval().requires_grad_(False)
    return block.to(dtype)


def plainly(block, x, attended):
    """As open_clip writes it."""
    x = x + block.attn.out_proj(attended.flatten(-2))
    return x + block.mlp(block.ln_2(x))


def step(function, block, x, attended):
    """Output and gradients for tokens and for what they attended to."""
    inputs = [value.detach().clone().requires_grad_() for value in (x, attended)]
    out = function(block, *inputs)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 67, 32, generator=generator) * 3, torch.randn(3, 67, 2, 16, generator=generator)


@pytest.mark.parametrize("activation", [QuickGELU, nn.GELU])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_block_gives_the_bits_of_open_clip_and_its_gradients(activation, dtype, tokens):
    block, tokens = make_block(activation, dtype), [value.to(dtype) for value in tokens]
    for own, theirs in zip(step(finish, block, *tokens), step(plainly, block, *tokens), strict=True):
        assert torch.equal(own, theirs)
    with torch.no_grad():
        assert torch.equal(finish(block, *tokens), plainly(block, *tokens))


def test_under_autocast_too(tokens):
    block = make_block(QuickGELU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pairs = zip(step(finish, block, *tokens), step(plainly, block, *tokens), strict=True)
        assert all(torch.equal(own, theirs) for own, theirs in pairs)


def test_its_gradient_is_that_of_the_function():
    x = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(SparingQuickGELU.apply, x)


def test_a_gradient_of_the_gradient_is_refused_and_not_wrong():
    x = torch.randn(4, requires_grad=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (first,) = torch.autograd.grad(SparingQuickGELU.apply(x).sum(), x, create_graph=True)
        first.sum().backward()


def test_it_keeps_its_input_alone():
    """What the way back keeps of a hidden layer is one tensor of its size; QuickGELU's own two products keep two."""

    def kept(function):
        sizes = {}
        x = torch.randn(5, 8, requires_grad=True) * 1
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.setdefault(t.data_ptr(), t), lambda t: t):
            function(x)
        return len([t for t in sizes.values() if t.numel() == 40])

    assert (kept(SparingQuickGELU.apply), kept(QuickGELU())) == (1, 2)


def test_nothing_is_kept_where_nothing_learns(tokens):
    block, kept = make_block(QuickGELU), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = finish(block, *tokens)
    assert not kept and not out.requires_grad


def test_recomputed_or_compiled_it_is_the_same(tokens):
    block = make_block(QuickGELU)
    expected = step(finish, block, *tokens)

    def again(block, x, attended):
        return checkpoint(finish, block, x, attended, use_reentrant=False)

    compiled = torch.compile(finish, backend="aot_eager", fullgraph=True)
    for function in (again, compiled):
        for own, theirs in zip(step(function, block, *tokens), expected, strict=True):
            torch.testing.assert_close(own, theirs)


def test_every_student_has_the_layers_that_are_named():
    """`finish` takes an MLP apart into c_fc, gelu and c_proj."""
    for name in ("ViT-B-32", "ViT-B-32-quickgelu"):
        with torch.device("meta"):
            model = open_clip.CLIP(**open_clip.get_model_config(name))
        for transformer in (model.transformer, model.visual.transformer):
            assert [part for part, _ in transformer.resblocks[0].mlp.named_children()] == ["c_fc", "gelu", "c_proj"]


@pytest.mark.parametrize("name", ["demo/student", "demo/teacher"])
@pytest.mark.parametrize("images", [1, 2, 3, 5, 33])
def test_plain_features_have_the_bits_of_the_tower_itself(name, images):
    """A product of few rows may round otherwise: so few are never left of the last block."""
    backbone = load_backbone(name)
    pixels = torch.randn(images, 3, *backbone.image_size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(backbone.encode_images(pixels), backbone.model.encode_image(pixels))


@pytest.mark.parametrize(
    "settings", [{}, {"pool_type": "avg"}, {"final_ln_after_pool": True}, {"attentional_pool": True}], ids=str
)
def test_plain_features_of_other_vits(settings):
    torch.manual_seed(0)
    vision = dict(image_size=32, patch_size=8, width=48, layers=2, head_width=16, **settings)
    model = open_clip.CLIP(24, vision, dict(width=32, heads=4, layers=1)).double().eval()
    images = torch.randn(2, 3, 32, 32).double()
    with torch.no_grad():
        torch.testing.assert_close(plain_features(model.visual, images), model.visual(images), rtol=0, atol=1e-12)


def test_of_the_last_block_only_what_is_read_is_finished():
    """All of the first block's tokens, and of the last one's sixteen of four images."""
    visual, rows = load_backbone("demo/student").model.visual, []
    hooks = [
        b.mlp.c_fc.register_forward_hook(lambda _, x, y: rows.append(y.shape[:2])) for b in visual.transformer.resblocks
    ]
    with torch.no_grad():
        plain_features(visual, torch.zeros(4, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    assert rows == [(4, 65)] * (len(hooks) - 1) + [(4, 4)]


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_attends_in_float32_on_a_cpu(autocast):
    q, k, v = (torch.randn(2, length, 3, 16).bfloat16() for length in (5, 9, 9))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        own = attend(q, k, v)
    assert own.dtype == torch.bfloat16 and torch.equal(own, attend(q.float(), k.float(), v.float()).bfloat16())
