"""The features of many plain texts by the packed text tower: what they begin with is a frozen shallow prompt.

"a photo of a cat." and "a photo of a dog." share [SOS] a photo of a. That front is computed once, and of each text only the
rest, up to [EOS], so that of a template's 77 positions for each class some five remain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...clip.backbones import Backbone
from ..groups import PromptGroup
from ..model import EVALUATION_PART
from ..text_tower import TextTower, bytes_of_a_token


@dataclass(frozen=True)
class Tails:
    """What a layout asks of its tokens: those behind the shared ones, for each text, and [SOS]."""

    ids: Sequence[list[int]]
    start: int


def packed_features(backbone: Backbone, texts: Sequence[str], done: Callable[[int], object] = lambda _: None) -> Tensor:
    """Features [T, E], not normalised, equal to `encode_text`'s up to rounding; `done` is told the number of each part.

    The backbone's text tower is such as `check_text_tower` lets through. Texts of about the same length go together, so many
    at a time that activations stay below EVALUATION_PART bytes.
    """
    clip, rows = backbone.model, _rows(backbone, texts)
    front = _shared(rows)
    words = clip.token_embedding.weight[rows[0][1:front]]  # [front - 1, D]
    groups = [PromptGroup(text=(words,))] if len(words) else []
    order = sorted(range(len(rows)), key=lambda t: len(rows[t]))
    room = EVALUATION_PART // bytes_of_a_token(clip, context=len(rows[order[-1]]))  # tokens
    parts = []
    for part in _parts(order, [len(row) - front for row in rows], room - front):
        tails = Tails([rows[t][front:] for t in part], rows[0][0])
        parts.append(TextTower(clip, tails)(groups)[0])
        done(len(part))
    return torch.cat(parts)[torch.tensor(order, device=parts[0].device).argsort()]


def _rows(backbone: Backbone, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each text from [SOS] to the place that its feature is read at, the first [EOS]."""
    ids = backbone.tokenizer(texts)  # [T, S], cut at the last position
    ends = (ids == backbone.tokenizer.eot_token_id).int().argmax(dim=-1)
    return [row[: end + 1] for row, end in zip(ids.tolist(), ends.tolist(), strict=True)]


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with; their last ones are left out, since every text has a feature of its own."""
    shortest, longest = (
        min(rows),
        max(rows),
    )  # in the order of a dictionary: what these two share, all between them share
    most = min(map(len, rows)) - 1
    return next((i for i in range(most) if shortest[i] != longest[i]), most)


def _parts(order: Sequence[int], lengths: Sequence[int], room: float) -> Iterator[list[int]]:
    """`order` in parts of so many numbers that their lengths sum up to `room` at most; one at least."""
    part, taken = [], 0
    for t in order:
        if part and taken + lengths[t] > room:
            yield part
            part, taken = [], 0
        part.append(t)
        taken += lengths[t]
    yield part
