"""Each kernel against the grouped one, in float64 on the CPU: values within 1e-9, gradients within 1e-8 relative.

FlexAttention's own reference computes on the CPU what its kernel computes on a GPU; PyTorch only forbids gradients there, which
is lifted here. `varlen_attn` has no kernel for the CPU: a loop over its documented meaning takes its place.
"""

import open_clip
import pytest
import torch
from cascades import CASCADES, NAMES, SETS, small_clip

import reference
from caspl.prompting.attention import flex, varlen
from caspl.prompting.attention.grouped import grouped_attention
from caspl.prompting.layout import ClassTokens
from caspl.prompting.text_tower import TextTower

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
ALL = CASCADES | SETS


def varlen_documented(q, k, v, first_q, first_k, most_q, most_k, *, window_size):
    """Sequence by sequence: queries and keys are aligned at their ends, no query sees a key ahead of it."""
    assert window_size == (-1, 0)
    assert first_q.dtype == first_k.dtype == torch.int32
    assert (first_q[-1], first_k[-1]) == (len(q), len(k))
    assert (first_q.diff().max(), first_k.diff().max()) == (most_q, most_k)
    out = []
    for (a, b), (c, d) in zip(first_q.unfold(0, 2, 1).tolist(), first_k.unfold(0, 2, 1).tolist(), strict=True):
        sees = torch.ones(b - a, d - c, dtype=torch.bool).tril(diagonal=(d - c) - (b - a))
        heads_first = (x.transpose(0, 1) for x in (q[a:b], k[c:d], v[c:d]))
        out.append(torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=sees).transpose(0, 1))
    return torch.cat(out)


@pytest.fixture
def kernels(monkeypatch):
    monkeypatch.setattr(torch.nn.attention.flex_attention, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(varlen, "varlen_attn", varlen_documented)
    return {"flex": flex.flex_attended, "varlen": varlen.varlen_attended}


@pytest.fixture(scope="module")
def clip():
    return small_clip()


@pytest.fixture(scope="module")
def tokens():
    return ClassTokens(NAMES, open_clip.SimpleTokenizer())


def step(tower, groups, weights):
    leaves = [entry for group in groups for entry in group.text]
    features = tower(groups)
    return features, torch.autograd.grad((features * weights[: len(features)]).sum(), leaves) if leaves else ()


@pytest.mark.parametrize("cascade", ALL)
@pytest.mark.parametrize("name", ["flex", "varlen"])
def test_it_equals_the_grouped_one(clip, tokens, kernels, name, cascade):
    torch.manual_seed(1)
    groups, weights = ALL[cascade](), torch.randn(5, len(NAMES), 24, dtype=torch.double)
    expected, gradients = step(TextTower(clip, tokens, grouped_attention), groups, weights)
    found, own = step(TextTower(clip, tokens, kernels[name]), groups, weights)
    assert (found - expected).abs().max() < 1e-9
    for a, b in zip(own, gradients, strict=True):
        assert (a - b).abs().max() / b.abs().max() < 1e-8


@pytest.mark.parametrize("cascade", CASCADES)
def test_flex_lets_see_exactly_what_the_layout_does(clip, tokens, cascade):
    """Every query against every key, and no block of the mask is left out that has something visible."""
    _, layout = TextTower(clip, tokens)._plan(CASCADES[cascade]())
    for block in layout.steps:
        mask, expected = flex.visibility(layout, block.outputs), reference.visible(layout, block)
        query, key = torch.meshgrid(*map(torch.arange, expected.shape), indexing="ij")
        assert torch.equal(mask.mask_mod(torch.tensor(0), torch.tensor(0), query, key), expected)
        assert mask.to_dense()[0, 0, 0, 0] == 1  # all in one block of 128 x 128


def test_flex_leaves_out_what_nobody_sees(clip):
    """150 classes: 128 queries see the first 128 keys, the prefix among them, and those of their own classes."""
    names = [f"{first} {second}" for first in ("red", "blue") for second in open_clip.IMAGENET_CLASSNAMES[:75]]
    tower = TextTower(clip, ClassTokens(names, open_clip.SimpleTokenizer()))
    _, layout = tower._plan(CASCADES["shallow before deep"]())
    for block in layout.steps:
        mask, expected = flex.visibility(layout, block.outputs), reference.visible(layout, block)
        rows, columns = (-(-size // 128) for size in expected.shape)
        padded = torch.zeros(rows * 128, columns * 128, dtype=torch.bool)
        padded[: expected.shape[0], : expected.shape[1]] = expected
        visible = padded.view(rows, 128, columns, 128).any(dim=3).any(dim=1)
        assert torch.equal(mask.to_dense()[0, 0].bool(), visible)
        if rows == columns:  # in the last block there are fewer queries, whose classes are everywhere
            assert visible.sum() <= 3 * rows < rows * columns


def test_blocks_in_which_the_same_tokens_live_share_what_is_prepared(clip, tokens):
    tower = TextTower(clip, tokens)
    _, layout = tower._plan(CASCADES["deep"]())
    for attention, part in ((flex.flex_attended, "mask"), (varlen.varlen_attended, "plan")):
        parts = [kernel.keywords[part] for kernel in attention(layout, 1)]
        assert [part is parts[0] for part in parts] == [True, True, True, False]  # of the last block only [EOS] is read
