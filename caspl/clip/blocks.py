"""One transformer block of open_clip's native CLIP, taken apart: keys and values for some tokens, queries for others.

Both prompted towers are built from these three steps. Everything here follows `ResidualAttentionBlock`: x + attn(ln_1(x)),
then x + mlp(ln_2(x)), with nn.MultiheadAttention's packed projection.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from ..ground.errors import InputError

SLOPE = 1.702  # of OpenAI's QuickGELU


def check_blocks(transformer: nn.Module, tower: str, name: str) -> None:
    """Raise InputError unless every block of `transformer` is one that prompts can be put into."""
    for index, block in enumerate(transformer.resblocks):
        if type(block) is not ResidualAttentionBlock or not isinstance(block.attn, nn.MultiheadAttention):
            raise InputError(
                f"block {index} of the {tower} tower of {name} is a {type(block).__name__}, but prompts need open_clip's "
                f"plain ResidualAttentionBlock; such a model can be a teacher, not a student"
            )


def project(block: nn.Module, normed: Tensor, parts: str) -> tuple[Tensor, ...]:
    """Queries, keys or values of normalised tokens [..., D], split into heads: each [..., H, D / H].

    `parts` is a contiguous run of "qkv", e.g. "kv": one matrix product computes them all.
    """
    attn = block.attn
    first = "qkv".index(parts)
    rows = slice(first * attn.embed_dim, (first + len(parts)) * attn.embed_dim)
    out = F.linear(normed, attn.in_proj_weight[rows], attn.in_proj_bias[rows])
    return out.unflatten(-1, (len(parts), attn.num_heads, -1)).unbind(-3)


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
