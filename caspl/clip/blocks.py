"""One transformer block of open_clip's native CLIP, taken apart: keys and values for some tokens, queries for others.

Both prompted towers are built from `project` and `finish`, with an attention between them, and so is the image tower without
prompts (`plain_features`). Everything here follows `ResidualAttentionBlock`: x + attn(ln_1(x)), then x + mlp(ln_2(x)), with
nn.MultiheadAttention's packed projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from ..ground.errors import InputError

SLOPE = 1.702  # of OpenAI's QuickGELU
MANY_ROWS = 16  # of a matrix product; one of fewer may round otherwise than as a part of a large one


def check_blocks(transformer: nn.Module, tower: str, name: str) -> None:
    """Raise InputError unless every block of `transformer` is one that prompts can be put into."""
    for index, block in enumerate(transformer.resblocks):
        if not _is_plain(block):
            raise InputError(
                f"block {index} of the {tower} tower of {name} is a {type(block).__name__}, but prompts need open_clip's "
                f"plain ResidualAttentionBlock; such a model can be a teacher, not a student"
            )


def _is_plain(block: nn.Module) -> bool:
    return type(block) is ResidualAttentionBlock and isinstance(block.attn, nn.MultiheadAttention)


def can_be_taken_apart(visual: nn.Module) -> bool:
    """Whether an image tower is a ViT of such blocks, which `plain_features` takes."""
    return type(visual) is VisionTransformer and all(map(_is_plain, visual.transformer.resblocks))


# ---------------------------------------------------------------------------------------------------------------------
# A block
# ---------------------------------------------------------------------------------------------------------------------
def project(block: nn.Module, normed: Tensor, parts: str) -> tuple[Tensor, ...]:
    """Queries, keys or values of normalised tokens [..., D], split into heads: each [..., H, D / H].

    `parts` is a contiguous run of "qkv", e.g. "kv": one matrix product computes them all.
    """
    attn = block.attn
    first = "qkv".index(parts)
    rows = slice(first * attn.embed_dim, (first + len(parts)) * attn.embed_dim)
    out = F.linear(normed, attn.in_proj_weight[rows], attn.in_proj_bias[rows])
    return out.unflatten(-1, (len(parts), attn.num_heads, -1)).unbind(-3)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for queries [B, L, H, d] and keys and values [B, M, H, d]: [B, L, H, d].

    On a CPU half precision attends in float32: its kernel was measured three to four times as fast as bfloat16's.
    """
    if q.is_cpu and q.dtype.itemsize == 2:
        with torch.autocast("cpu", enabled=False):
            return attend(q.float(), k.float(), v.float()).to(q.dtype)
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


def _attend_by_products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same as nn.MultiheadAttention computes it on a CPU where nothing learns, to the bit."""
    q, k, v = (q * q.shape[-1] ** -0.5).transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    return ((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2)


def finish(block: nn.Module, x: Tensor, attended: Tensor) -> Tensor:
    """The block's output for tokens x [..., D], given their attention output per head [..., H, D / H]."""
    x = x + block.ls_1(block.attn.out_proj(attended.flatten(-2).to(x.dtype)))
    return x + block.ls_2(_mlp(block.mlp, block.ln_2(x)))


def _mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    """The MLP, whose hidden layer is the largest of a block's tensors; with OpenAI's activation it is kept only once."""
    if type(mlp.gelu) is not QuickGELU:
        return mlp(x)
    hidden = mlp.c_fc(x)
    wanted = torch.is_grad_enabled() and hidden.requires_grad
    return mlp.c_proj(SparingQuickGELU.apply(hidden) if wanted else _quick_gelu(hidden))


def _quick_gelu(x: Tensor) -> Tensor:
    return (SLOPE * x).sigmoid_().mul_(x)


class SparingQuickGELU(torch.autograd.Function):
    """x * sigmoid(1.702 x), of which the way back keeps x alone: half of what PyTorch keeps, in half the time.

    The same operations in the same order as those of `QuickGELU`, forward and back, so the same bits.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _quick_gelu(x)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate = (SLOPE * x).sigmoid_()
        of_gate = torch.ops.aten.sigmoid_backward(gradient * x, gate).mul_(SLOPE)
        return of_gate.add_(gate.mul_(gradient))


# ---------------------------------------------------------------------------------------------------------------------
# The image tower around its blocks
# ---------------------------------------------------------------------------------------------------------------------
def embed_patches(visual: nn.Module, images: Tensor) -> Tensor:
    """[B, 3, H, W] -> [CLS] and patches with positional embeddings, through ln_pre: [B, 1 + patches, V]."""
    x = visual.conv1(images.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
    start = visual.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
    x = torch.cat([start, x], dim=1) + visual.positional_embedding.to(x.dtype)
    return visual.ln_pre(x)


def reads_cls(visual: nn.Module) -> bool:
    """Whether of the last block only [CLS] is read."""
    return visual.attn_pool is None and visual.pool_type == "tok"


def pooled(visual: nn.Module, x: Tensor) -> Tensor:
    """Features [B, E], not normalised, of the last block's output for [CLS] and patches, or for [CLS] and some of them."""
    x = visual.ln_post(x[:, 0]) if reads_cls(visual) else visual._pool(x)[0]
    return x if visual.proj is None else x @ visual.proj


def plain_features(visual: nn.Module, images: Tensor) -> Tensor:
    """Features [B, E], not normalised, of images [B, 3, H, W] without prompts, and without the outputs that nobody reads.

    On a CPU in float32 they have the bits that the tower's own pass has on the demo models.
    """
    x, blocks = embed_patches(visual, images), visual.transformer.resblocks
    read = min(x.shape[1], -(-MANY_ROWS // max(1, len(x)))) if reads_cls(visual) else x.shape[1]
    for block in blocks:
        q, k, v = project(block, block.ln_1(x), "qkv")
        attended = _attend_by_products(q, k, v) if q.is_cpu and q.dtype.itemsize > 2 else attend(q, k, v)
        if block is blocks[-1]:
            x, attended = x[:, :read], attended[:, :read]
        x = finish(block, x, attended)
    return pooled(visual, x)
