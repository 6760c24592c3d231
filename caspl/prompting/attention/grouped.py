"""The reference, for every device and number format: attention in groups of tails that have the same length."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ..layout import Layout, Step
from .contract import Kernel


def grouped_attention(layout: Layout, sets: int) -> list[Kernel]:
    """Kernels of one product for the prefix and one per bucket of tails; no key is copied and none is padded."""
    return [partial(_attend, step=step, layout=layout) for step in layout.steps]


def _attend(q: Tensor, k: Tensor, v: Tensor, *, step: Step, layout: Layout) -> Tensor:
    prefix, buckets = len(layout.prefix), layout.buckets
    tokens = [prefix, *(bucket.slots for bucket in buckets)]
    live = [len(step.live_prefix)]
    live += [len(bucket.classes) * len(own) for bucket, own in zip(buckets, step.live_columns, strict=True)]
    q = q * q.shape[-1] ** -0.5
    shared_q, *tail_q = q.split(live, dim=1)
    shared_k, *tail_k = k.split(tokens, dim=1)
    shared_v, *tail_v = v.split(tokens, dim=1)

    out = [_attend_prefix(shared_q, shared_k, shared_v, step.live_prefix)] if len(step.live_prefix) else []
    for bucket, own, *packed in zip(buckets, step.live_columns, tail_q, tail_k, tail_v, strict=True):
        own_q, own_k, own_v = (x.unflatten(1, (len(bucket.classes), -1)) for x in packed)  # [G, C, tokens, H, d]
        out.append(_attend_tails(own_q, own_k, own_v, shared_k, shared_v, prefix + own).flatten(1, 2))
    return torch.cat(out, dim=1)


def _attend_prefix(q: Tensor, k: Tensor, v: Tensor, places: Tensor) -> Tensor:
    """[G, Q, H, d], [G, P, H, d] twice -> [G, Q, H, d]."""
    weights = _causal_softmax(torch.einsum("gqhd,gphd->ghqp", q, k), places)
    return torch.einsum("ghqp,gphd->gqhd", weights, v)


def _attend_tails(q: Tensor, k: Tensor, v: Tensor, shared_k: Tensor, shared_v: Tensor, places: Tensor) -> Tensor:
    """[G, C, Q, H, d], [G, C, S, H, d] twice, [G, P, H, d] twice -> [G, C, Q, H, d]; one softmax over all P + S keys."""
    to_prefix = torch.einsum("gcqhd,gphd->gchqp", q, shared_k)
    to_own = torch.einsum("gcqhd,gcshd->gchqs", q, k)
    weights = _causal_softmax(torch.cat([to_prefix, to_own], dim=-1), places)
    to_prefix, to_own = weights.split([to_prefix.shape[-1], to_own.shape[-1]], dim=-1)
    attended = torch.einsum("gchqp,gphd->gcqhd", to_prefix, shared_v)
    return attended + torch.einsum("gchqs,gcshd->gcqhd", to_own, v)


def _causal_softmax(scores: Tensor, places: Tensor) -> Tensor:
    """Softmax of scores [..., Q, S] where query number i stands at place `places[i]` of the S keys; float32 at least."""
    hidden = torch.arange(scores.shape[-1], device=places.device) > places[:, None]  # [Q, S]
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.masked_fill(hidden, float("-inf")).softmax(-1, dtype=wide).to(scores.dtype)
