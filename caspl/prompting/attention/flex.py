"""FlexAttention: one launch for prefix and tails, on CUDA devices, in every number format there.

Keys of the prefix are not copied. Which query sees which key is a mask made once for each set of living tokens of a layout;
blocks of it in which nothing is visible are left out.
"""

from __future__ import annotations

from functools import cache, partial

import torch
from torch import Tensor

from ..layout import Layout
from .contract import Kernel

try:
    from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
except ImportError:  # PyTorch before 2.5
    BlockMask = create_block_mask = flex_attention = None


def flex_attended(layout: Layout, sets: int) -> list[Kernel]:
    """Kernels that share a mask where the same tokens live."""
    masks = {step.outputs: None for step in layout.steps}
    for outputs in masks:
        masks[outputs] = visibility(layout, outputs)
    return [partial(_attend, mask=masks[step.outputs]) for step in layout.steps]


@torch.no_grad()
def visibility(layout: Layout, outputs: tuple[int, ...]) -> BlockMask:
    """Which of the M keys each of the L queries at the slots `outputs` sees."""
    owner = torch.tensor([-1 if slot.owner is None else slot.owner for slot in layout.slots], device=layout.device)
    position, rows = layout.positions, torch.tensor(outputs, device=layout.device)
    own, place = owner[rows], position[rows]

    def visible(_: Tensor, __: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return ((owner[key] < 0) | (owner[key] == own[query])) & (position[key] <= place[query])

    return create_block_mask(visible, B=None, H=None, Q_LEN=len(outputs), KV_LEN=len(owner), device=layout.device)


def _attend(q: Tensor, k: Tensor, v: Tensor, *, mask: BlockMask) -> Tensor:
    # Uncompiled it computes every score; inside a tower that is compiled it becomes part of that
    attend = _compiled() if q.is_cuda and not torch.compiler.is_compiling() else flex_attention
    heads_first = (x.transpose(1, 2) for x in (q, k, v))
    return attend(*heads_first, block_mask=mask).transpose(1, 2)


@cache
def _compiled():
    """Once for the process: each layout and number of living tokens is compiled when it is met first."""
    return torch.compile(flex_attention, dynamic=False)
