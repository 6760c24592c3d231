"""Prompt groups: prompts as values, what a new group looks like, and what it starts from.

Shape legend, used everywhere: B images, C classes, G prompt sets (one per image for prompts that depend on the image, else
1), N tokens of a group, D text width, V vision width, E joint embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..clip.feature_store import digest
from ..ground.errors import InputError, QuantityError

INIT_STD = 0.02  # of random prompts, in all methods of the family
MOST_FROM_WORDS = 4  # text tokens that start from an initial phrase; more of them start at random


@dataclass(frozen=True)
class PromptGroup:
    """The tokens that one prompt learner adds to the two towers, one matrix per block that the group reaches.

    `text[0]` enters block 0 with positional embeddings added, `text[i]` replaces the group's tokens raw at the entry of
    block i (paper, section 3.3); after `len(text)` blocks the tokens are carried on like any token. An entry is [N, D],
    [C, N, D] where every class has its own tokens, or [G, 1 | C, N, D] where every prompt set has. A later entry with
    fewer tokens than the first replaces the first of them and leaves the rest running.
    `vision[i]` is [N, V], `vision[0]` passes through ln_pre.
    """

    text: tuple[Tensor, ...] = ()
    vision: tuple[Tensor, ...] = ()
    # How many of the last text tokens stand behind the class name instead of before it (CoOp's middle and front).
    after_name: int = 0

    def __post_init__(self) -> None:
        for tower, entries in (("text", self.text), ("vision", self.vision)):
            for block, entry in enumerate(entries):
                if entry.shape[-1] != entries[0].shape[-1] or entry.shape[-2] > entries[0].shape[-2]:
                    raise InputError(
                        f"{tower} prompts of block {block} have shape {tuple(entry.shape)}, those of block 0 "
                        f"{tuple(entries[0].shape)}: the width must agree and no block may have more tokens than block 0"
                    )
        if self.after_name > self.text_length:
            raise InputError(f"{self.after_name} tokens behind the class name, but the group has {self.text_length}")

    @property
    def text_length(self) -> int:
        return self.text[0].shape[-2] if self.text else 0

    @property
    def vision_length(self) -> int:
        return self.vision[0].shape[-2] if self.vision else 0


def prompt_sets(groups: Iterable[PromptGroup]) -> int:
    """G, the number of prompt sets that the text prompts of a cascade make."""
    return max((len(entry) for group in groups for entry in group.text if entry.dim() == 4), default=1)


def of_classes(groups: Sequence[PromptGroup], sizes: Sequence[int]) -> Iterator[list[PromptGroup]]:
    """The prompts of the first sizes[0] classes, of the next sizes[1], and so on; what classes share is in every part."""
    texts = [[_split(entry, sizes) for entry in group.text] for group in groups]
    for part in range(len(sizes)):
        pairs = zip(groups, texts, strict=True)
        yield [replace(group, text=tuple(entry[part] for entry in entries)) for group, entries in pairs]


def _split(entry: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """[N, D], [C, N, D] or [G, 1 | C, N, D] by classes."""
    along = entry.dim() - 3
    return entry.split(list(sizes), along) if along >= 0 and entry.shape[along] > 1 else [entry] * len(sizes)


def vision_digest(groups: Iterable[PromptGroup]) -> str:
    """A digest of the vision prompts of a cascade, "" where there are none."""
    parts = []
    for group in groups:
        parts += [f"group of {len(group.vision)}"] if group.vision else []
        for entry in group.vision:
            values = entry.detach().float().cpu().numpy()
            parts.append(f"{values.shape} {values.tobytes().hex()}")
    return digest(parts) if parts else ""


def with_words(entries: tuple[Tensor, ...], words: Tensor | None) -> tuple[Tensor, ...]:
    """Text entries whose first block has fixed words [R, D] behind its learned tokens [..., N, D]."""
    if words is None or not len(words):
        return entries
    if not entries:
        return (words,)
    first = entries[0]
    return torch.cat([first, words.to(first.dtype).expand(*first.shape[:-2], -1, -1)], dim=-2), *entries[1:]


@dataclass(frozen=True)
class PromptShape:
    """Tokens and depth per tower: what must be known to make a new group. Depth 1 is shallow."""

    text_length: int = 0
    vision_length: int = 0
    text_depth: int = 1
    vision_depth: int = 1

    def check(self, *, text_blocks: int, vision_blocks: int | None, backbone: str) -> None:
        """Raise QuantityError, with all problems at once, where `backbone` cannot take prompts of this shape.

        `vision_blocks` is None for an image tower that is not a ViT of the native class.
        """
        problems = []
        for tower, blocks in (("text", text_blocks), ("vision", vision_blocks)):
            length, depth = getattr(self, f"{tower}_length"), getattr(self, f"{tower}_depth")
            if length < 0:
                problems.append((f"{tower} length", f"is {length}, expected 0 or more"))
            elif length > 0 and blocks is None:
                no_vit = f"the image tower of {backbone} is not a ViT and takes no prompts"
                problems.append(
                    (f"{tower} length", f"is {length}, but {no_vit}, set it to 0 to train text prompts only")
                )
            elif length > 0 and not 1 <= depth <= blocks:
                wrong = f"is {depth}, expected 1 to {blocks}, the number of {tower} blocks of {backbone}"
                problems.append((f"{tower} depth", wrong))
        if problems:
            raise QuantityError(*problems)


def random_entries(length: int, depth: int, width: int) -> list[Tensor]:
    """`depth` matrices [length, width] from N(0, 0.02^2), drawn block by block; none where length is 0."""
    return [torch.randn(length, width) * INIT_STD for _ in range(depth if length else 0)]


def text_entries(length: int, depth: int, width: int, words: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
    """Initial text prompts as in MaPLe, IVLP, PromptSRC and CasPL: (`depth` matrices [length, width], fixed words [R, width]).

    Up to four tokens start from the first of `words` [W, width], the embedded initial phrase, whose rest stays fixed behind
    them; with no tokens all of it does. Deeper blocks, and longer prompts altogether, start from N(0, 0.02^2).
    """
    entries = random_entries(length, depth, width)
    if words is None or length > MOST_FROM_WORDS:
        return entries, torch.empty(0, width)
    if entries:
        entries[0][: len(words)] = words[:length]
    return entries, words[length:]
