"""The prompted text tower: the features of all classes in one pass, equal to plain CLIP's with every prompt spliced in.

It reads like CLIP's own: embed, blocks, the feature at [EOS], projection. What differs is that the tokens of all classes are
packed into one sequence, [what all share | rest of a class | rest of a class | ...], and that nothing is computed twice or in
vain. `layout.py` decides where tokens stand and which need an output, with a worked example; `attention/` lets each see
what it may. Shapes: G prompt sets, M tokens, L of them with an output, D width, C classes, E embedding (see `groups.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..clip.blocks import finish, project
from ..ground.errors import InputError
from .attention.contract import Attention, Kernel
from .attention.grouped import grouped_attention
from .groups import PromptGroup
from .layout import ClassTokens, GroupShape, Layout, Step


class TextTower:
    """Class features of one CLIP for one list of class names, under any cascade of prompt groups.

    `clip` is a native open_clip CLIP with a causal text tower that reads the feature at [EOS]. `attention` is any that keeps
    the contract in `attention/__init__.py`, `encode` is `encode_classes`, or that compiled.
    """

    def __init__(
        self,
        clip: nn.Module,
        tokens: ClassTokens,
        attention: Attention = grouped_attention,
        encode: Callable[..., Tensor] | None = None,
    ):
        self.clip, self.tokens, self.attention, self.encode = clip, tokens, attention, encode or encode_classes
        self._layouts: dict[tuple, Layout] = {}
        self._parts: dict[tuple[int, ...], list[TextTower]] = {}
        self._kernels: dict[tuple, Sequence[Kernel]] = {}

    def __call__(self, groups: Sequence[PromptGroup]) -> Tensor:
        """Features [G, C, E], not normalised, in the order of the class names.

        Raises InputError where a class name and the prompts together exceed the tower's positions, where prompts reach more
        blocks than there are, and where class-specific prompts are for another number of classes.
        """
        prompts, layout = self._plan(groups)
        # Without gradients it is encoded once for a whole test, or for so many prompt sets that launches are the least of it
        encode = self.encode if torch.is_grad_enabled() else encode_classes
        return encode(self.clip, prompts, layout, self._attention(prompts, layout))

    def parts(self, sizes: Sequence[int]) -> list[TextTower]:
        """Towers of the first sizes[0] classes, of the next sizes[1], and so on, made once."""
        key = tuple(sizes)
        if key not in self._parts:
            self._parts[key] = [
                TextTower(self.clip, tokens, self.attention, self.encode) for tokens in self.tokens.parts(sizes)
            ]
        return self._parts[key]

    def check(self, groups: Sequence[PromptGroup]) -> None:
        """Raise InputError, as a call would, where class names and prompts don't fit the tower; nothing is computed."""
        self._plan(groups)

    def activation_bytes(self, groups: Sequence[PromptGroup]) -> int:
        """About how much memory one prompt set's activations take: of all blocks where gradients are on, else of one."""
        _, layout = self._plan(groups)
        context = len(layout.prefix) + max(len(bucket.columns) for bucket in layout.buckets)
        blocks = layout.blocks if torch.is_grad_enabled() else 1
        return len(layout.slots) * bytes_of_a_token(self.clip, context) * blocks

    def _plan(self, groups: Sequence[PromptGroup]) -> tuple[list[list[Tensor]], Layout]:
        """Prompts [G, 1 | C, N, D], listed by group and block, of the groups that have any, and their layout, made once."""
        groups = [group for group in groups if group.text_length]
        prompts = [_entries(group, len(self.tokens.ids)) for group in groups]
        shapes = tuple(_shape(group, entries) for group, entries in zip(groups, prompts, strict=True))
        positions = self.clip.positional_embedding
        key = shapes, positions.device
        if key not in self._layouts:
            blocks = len(self.clip.transformer.resblocks)
            self._layouts[key] = Layout(self.tokens, shapes, blocks, len(positions), positions.device)
        return prompts, self._layouts[key]

    def _attention(self, prompts: list[list[Tensor]], layout: Layout) -> Sequence[Kernel]:
        """What attends in each block, made once for a layout and a number of prompt sets."""
        sets = _sets(prompts)
        if (id(layout), sets) not in self._kernels:  # layouts are kept, so that no other takes this one's place
            self._kernels[id(layout), sets] = self.attention(layout, sets)
        return self._kernels[id(layout), sets]


def encode_classes(clip: nn.Module, prompts: list[list[Tensor]], layout: Layout, kernels: Sequence[Kernel]) -> Tensor:
    """Class features [G, C, E], not normalised, of prompts [G, 1 | C, N, D] by group and block."""
    x = _embed(clip, prompts, layout)  # [G, M, D]
    for i, (block, step) in enumerate(zip(clip.transformer.resblocks, layout.steps, strict=True)):
        x = x if i == 0 else _enter(x, prompts, i, step)  # [G, M, D]
        x = _block(block, x, step, kernels[i])  # [G, L, D]
    x = x.index_select(1, layout.order)  # [G, C, D]: of the last block only [EOS] has an output
    return _project(clip, clip.ln_final(x))


def _embed(clip: nn.Module, prompts: list[list[Tensor]], layout: Layout) -> Tensor:
    """Words and first prompts with positional embeddings: [G, M, D]."""
    dtype = clip.transformer.get_cast_dtype()
    words = clip.token_embedding(layout.word_ids)[None].to(dtype)
    x = _enter(words, prompts, 0, layout.steps[0])
    return x + clip.positional_embedding.to(dtype)[layout.positions]


def _block(block: nn.Module, x: Tensor, step: Step, attend: Kernel) -> Tensor:
    """Outputs [G, L, D] of one block for the tokens that live in it, given all tokens x [G, M, D]."""
    normed = block.ln_1(x)
    if step.live is None:
        q, k, v = project(block, normed, "qkv")
    else:
        k, v = project(block, normed, "kv")
        (q,) = project(block, normed.index_select(1, step.live), "q")
        x = x.index_select(1, step.live)
    return finish(block, x, attend(q, k, v))


def _project(clip: nn.Module, x: Tensor) -> Tensor:
    """[G, C, D] -> [G, C, E]."""
    projection = clip.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, nn.Linear) else x @ projection


def bytes_of_a_token(clip: nn.Module, context: int) -> int:
    """About how much memory the activations of one token, which sees `context` tokens at most, take in a block.

    16 numbers per token and unit of width is what training steps of ViT-B/16 were measured to take at their peak; the
    attention weights come on top.
    """
    heads, width = clip.transformer.resblocks[0].attn.num_heads, clip.positional_embedding.shape[1]
    return (24 * width + 3 * heads * context) * clip.transformer.get_cast_dtype().itemsize


def _enter(x: Tensor, prompts: list[list[Tensor]], block: int, step: Step) -> Tensor:
    """The input [G, M, D] of a block: the tokens x that are carried into it, and the new prompts in their places."""
    if step.enter is None:
        return x
    new = [entries[block] for entries in prompts if block < len(entries)]
    rows = [x, *(entry.flatten(1, 2).to(x.dtype) for entry in new)]  # the order that `enter` counts in
    sets = max(len(r) for r in rows)  # what is common to all prompt sets goes to every one
    return torch.cat([r.expand(sets, -1, -1) for r in rows], dim=1).index_select(1, step.enter)


def _sets(prompts: list[list[Tensor]]) -> int:
    return max((len(entry) for entries in prompts for entry in entries), default=1)


def _entries(group: PromptGroup, classes: int) -> list[Tensor]:
    """[N, D], [C, N, D] or [G, 1 | C, N, D] -> [G, 1 | C, N, D], block by block; C in all if in one."""
    entries = [entry[(None,) * (4 - entry.dim())] for entry in group.text]
    copies = {entry.shape[1] for entry in entries}
    for count in copies - {1, classes}:
        raise InputError(f"class-specific prompts are for {count} classes, but there are {classes} class names")
    return [entry.expand(-1, max(copies), -1, -1) for entry in entries]


def _shape(group: PromptGroup, entries: list[Tensor]) -> GroupShape:
    tokens = tuple(entry.shape[2] for entry in entries)
    return GroupShape(tokens, group.after_name, class_specific=entries[0].shape[1] > 1)
