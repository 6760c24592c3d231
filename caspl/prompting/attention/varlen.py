"""Variable-length attention by FlashAttention: one launch for prefix and tails, on CUDA devices, in fp16 and bf16.

Every class is a sequence of its own: its keys and values are [prefix, tail], gathered, its queries the tokens of the tail that
live in the block. The prefix is one sequence more. The kernel aligns queries and keys at their ends, so that the last query
sees all keys, the one before it all but the last. (Attention to the prefix and to the tail apart, put together by their
log-sum-exp, would copy no keys, but the kernel gives no gradient of it.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby

import torch
from torch import Tensor

from ..layout import Layout
from .contract import Kernel

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # PyTorch before 2.10
    varlen_attn = None

CAUSAL = (-1, 0)  # a window that reaches back without end and not ahead


@dataclass(frozen=True)
class Sequences:
    """How queries and keys are put together, and where each sequence of G prompt sets begins among them."""

    keys: Tensor  # rows of the M keys, in the order of the sequences
    queries: Tensor | None  # rows of the L queries, L standing for one of zeros; None: the queries as they are
    outputs: Tensor | None  # where each of the L queries then is
    first_query: Tensor  # [sequences + 1], int32; of all prompt sets
    first_key: Tensor
    most_queries: int
    most_keys: int


def varlen_attended(layout: Layout, sets: int) -> list[Kernel]:
    """Kernels that share a plan where the same tokens live."""
    plans = {step.outputs: None for step in layout.steps}
    for outputs in plans:
        plans[outputs] = sequences(layout, outputs, sets)
    return [partial(_attend, plan=plans[step.outputs]) for step in layout.steps]


def sequences(layout: Layout, outputs: tuple[int, ...], sets: int) -> Sequences:
    """The sequences in which the slots `outputs` live, for a number of prompt sets."""
    row = {slot: number for number, slot in enumerate(outputs)}
    prefix, keys, queries, lengths = range(len(layout.prefix)), [], [], []
    for owner, places in groupby(range(len(layout.slots)), key=lambda place: layout.slots[place].owner):
        places = list(places)
        if living := [place for place in places if place in row]:
            asked = range(living[0], living[-1] + 1)  # one that lives not, between others, takes a place all the same
            seen = [*(prefix if owner is not None else ()), *range(places[0], living[-1] + 1)]
            keys, queries = keys + seen, queries + [row.get(place, len(outputs)) for place in asked]
            lengths.append((len(asked), len(seen)))
    asked, seen = zip(*lengths, strict=True)
    whole = queries == list(range(len(outputs)))
    number = partial(torch.tensor, device=layout.device)
    return Sequences(
        keys=number(keys),
        queries=None if whole else number(queries),
        outputs=None if whole else number([place for place, query in enumerate(queries) if query < len(outputs)]),
        first_query=number([0, *accumulate(asked * sets)], dtype=torch.int32),
        first_key=number([0, *accumulate(seen * sets)], dtype=torch.int32),
        most_queries=max(asked),
        most_keys=max(seen),
    )


def _attend(q: Tensor, k: Tensor, v: Tensor, *, plan: Sequences) -> Tensor:
    if plan.queries is not None:
        q = torch.cat([q, q.new_zeros(q.shape[0], 1, *q.shape[2:])], dim=1).index_select(1, plan.queries)
    k, v = (x.index_select(1, plan.keys) for x in (k, v))
    packed = (x.flatten(0, 1) for x in (q, k, v))  # [G * tokens, H, d]
    lengths = plan.first_query, plan.first_key, plan.most_queries, plan.most_keys
    out = varlen_attn(*packed, *lengths, window_size=CAUSAL).unflatten(0, q.shape[:2])
    return out if plan.outputs is None else out.index_select(1, plan.outputs)
