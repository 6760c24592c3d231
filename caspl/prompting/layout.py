"""The plan of the prompted text tower: which tokens there are, where they stand, and what each block does with them.

A worked example: two classes, two adapting tokens a1 and a2 that enter block 0 only, and one boosting token b1 that has a
value of its own in blocks 0 and 1, in a tower of three blocks.

    >>> import open_clip
    >>> tokens = ClassTokens(["cat", "guinea pig"], open_clip.SimpleTokenizer())
    >>> adapting, boosting = GroupShape(tokens_per_block=(2,)), GroupShape(tokens_per_block=(1, 1))
    >>> print(Layout(tokens, [adapting, boosting], blocks=3, context_length=77).table())
                      block 0           block 1           block 2
    prefix, once for all classes
      [SOS]           embedded, output  carried, output   carried
      a1              embedded, output  carried, output   carried
      a2              embedded, output  carried, output   carried
      b1              embedded          replaced, output  carried
    tail of "cat"
      cat             embedded, output  carried, output   carried
      .               embedded, output  carried, output   carried
      [EOS]           embedded, output  carried, output   carried, output
    tail of "guinea pig"
      guinea          embedded, output  carried, output   carried
      pig             embedded, output  carried, output   carried
      .               embedded, output  carried, output   carried
      [EOS]           embedded, output  carried, output   carried, output
    keys and values   11                11                11
    outputs           10                11                2

How a token enters a block: *embedded*, with its positional embedding; *carried* on, as the block before gave it; *replaced*
by a new prompt. Every token gives the block keys and values, but only one with an *output* (it *lives* in the block) also has
a query and goes through the MLP. Plain CLIP computes 77 of each for every class, here 154 per block. Five savings come to the
same numbers with less:

(a) The mask is causal, so nothing behind [EOS] matters: it is never built.
(b) What stands before the class name is the same for every class at every block. This *prefix* is computed once. The few
    remaining tokens of a class, its *tail*, attend to the prefix's keys and values and to themselves.
(c) Of the last block only [EOS] is read: no other token needs an output there.
(d) Neither does a token that the next block replaces: b1 in block 0.
(e) Tails differ in length, so they are packed behind each other: [prefix | tail | tail | ...]. Linear layers see one row per
    token and no padding; classes whose tails have the same columns make a *bucket*, for which attention is one product.

Where prompts differ by class (class-specific context), they and all that follows stand in the tails. So do prompts behind the
class name (CoOp's middle and front). What stands before them is still shared.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import NamedTuple

import torch
from torch import Tensor

from ..ground.errors import InputError
from ..ground.texts import LONGEST_NAME


class ClassTokens:
    """The tokens of `<class name>.[EOS]` for each class, underscores read as spaces.

    `ids[c]` lists the token ids of class c, `name_lengths[c]` says how many of them are the name: as CoOp counts, which cuts
    the tokenised `<name>.` behind as many tokens as the name alone has. `start` is the id of [SOS].
    Raises InputError where there is no class name, and for one that no text tower could hold.
    """

    def __init__(self, classnames: Sequence[str], tokenizer):
        if not classnames:
            raise InputError("the list of class names is empty; a classifier needs at least one class")
        if too_long := [name for name in classnames if len(name) > LONGEST_NAME]:  # splitting it would take minutes
            raise InputError(
                f'the class name "{too_long[0][:40]}..." has {len(too_long[0]):,} characters, expected {LONGEST_NAME:,} or '
                f"fewer; shorten it"
            )
        self.tokenizer = tokenizer
        self.names = [name.replace("_", " ") for name in classnames]
        self.start = tokenizer.sot_token_id
        self.ids = [[*tokenizer.encode(f"{name}."), tokenizer.eot_token_id] for name in self.names]
        self.name_lengths = [len(tokenizer.encode(name)) for name in self.names]

    def parts(self, sizes: Sequence[int]) -> list[ClassTokens]:
        """The first sizes[0] classes, the next sizes[1], and so on."""
        ends = list(accumulate(sizes))
        return [self._part(slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]

    def _part(self, part: slice) -> ClassTokens:
        some = copy.copy(self)
        some.names, some.ids, some.name_lengths = self.names[part], self.ids[part], self.name_lengths[part]
        return some


class Word(NamedTuple):
    """The token at place `index` of `[SOS] <class name> . [EOS]`; 0 is [SOS]."""

    index: int


class Prompt(NamedTuple):
    """Prompt token number `index` of group number `group` in the cascade."""

    group: int
    index: int


class Slot(NamedTuple):
    """A place in the packed sequence: its token, and the class whose tail it belongs to (None in the prefix)."""

    token: Word | Prompt
    owner: int | None


@dataclass(frozen=True)
class GroupShape:
    """What a layout must know of a prompt group. Cascades with equal shapes have the same layout."""

    tokens_per_block: tuple[int, ...]  # of each block that the group reaches; the first is the group's token count
    after_name: int = 0  # how many of the last tokens stand behind the class name
    class_specific: bool = False

    @property
    def tokens(self) -> int:
        return self.tokens_per_block[0]

    def entering(self, block: int) -> int:
        """How many of the group's tokens, counted from the first, enter `block` as new prompts."""
        return self.tokens_per_block[block] if block < len(self.tokens_per_block) else 0


@dataclass(frozen=True)
class Bucket:
    """Classes whose tails have the same columns, and these columns."""

    classes: tuple[int, ...]
    columns: tuple[Word | Prompt, ...]

    @property
    def slots(self) -> int:
        return len(self.classes) * len(self.columns)


@dataclass(frozen=True)
class Step:
    """What a block must know: how its input is put together and which tokens it gives an output for."""

    enter: Tensor | None  # [M] rows of cat(carried tokens, new prompts); None: the carried tokens as they are
    live: Tensor | None  # [L] slots with an output; None: all
    outputs: tuple[int, ...]  # the slots with an output, as numbers
    live_prefix: Tensor  # places in the prefix with an output
    live_columns: tuple[Tensor, ...]  # columns with an output, of each bucket


class Layout:
    """Where every token stands, and what each block does with it, for one list of class names and one cascade's shapes.

    `prefix` lists its tokens, `buckets` the tails in packed order, `slots` all M places of the packed sequence,
    `positions` [M] their positions in the tower. `word_ids` are the token ids of the words in slot order, `order` [C] finds
    each class in packed order; `steps` has a Step per block. Tensors are on `device`.

    Raises InputError where a group reaches more blocks than there are, or a class name and the prompts together take more
    than `context_length` positions.
    """

    def __init__(
        self,
        tokens: ClassTokens,
        groups: Sequence[GroupShape],
        blocks: int,
        context_length: int,
        device: torch.device | str = "cpu",
    ):
        self.tokens, self.groups, self.blocks, self.device = tokens, tuple(groups), blocks, device
        self._check_depths()
        shared, front, behind = self._arrange_prompts()
        self._check_length(context_length, len(shared) + len(front) + len(behind))
        self.prefix = (Word(0), *shared)
        self.buckets = self._fill_buckets(front, behind)
        self.slots = [Slot(token, None) for token in self.prefix]
        self.slots += [Slot(token, c) for b in self.buckets for c in b.classes for token in b.columns]

        self.positions = self._tensor(self._positions())
        self.word_ids = self._tensor([self._word_id(slot) for slot in self.slots if isinstance(slot.token, Word)])
        self.order = self._tensor([c for bucket in self.buckets for c in bucket.classes]).argsort()
        self.steps = [self._step(block) for block in range(blocks)]

    def table(self) -> str:
        """The plan as text: how every token enters each block (embedded, as the block before gave it, or replaced by a new
        prompt), and whether the block gives an output for it."""
        steps = [self._cells(block) for block in range(self.blocks)]
        rows = [("", *(f"block {block}" for block in range(self.blocks)))]
        for owner, part in groupby(zip(self.slots, *steps, strict=True), key=lambda row: row[0].owner):
            rows.append(("prefix, once for all classes" if owner is None else f'tail of "{self.tokens.names[owner]}"',))
            rows += [(f"  {self._text(slot)}", *cells) for slot, *cells in part]
        rows.append(("keys and values", *(str(len(cells)) for cells in steps)))
        rows.append(("outputs", *(str(sum("output" in cell for cell in cells)) for cells in steps)))
        return "\n".join("".join(cell.ljust(18) for cell in row).rstrip() for row in rows)

    # ------------------------------------------------------------------------------------------------ where tokens stand
    def _arrange_prompts(self) -> tuple[list[Prompt], list[Prompt], list[Prompt]]:
        """Prompts that all classes share before the name, those in each tail before the name, and those behind it."""
        shared, front, behind = [], [], []
        before = shared
        for g, group in enumerate(self.groups):
            if group.class_specific:
                before = front  # from here on nothing is shared any more: what follows sees prompts that differ
            prompts = [Prompt(g, t) for t in range(group.tokens)]
            before.extend(prompts[: group.tokens - group.after_name])
            behind.extend(prompts[group.tokens - group.after_name :])
        return shared, front, behind

    def _fill_buckets(self, front: list[Prompt], behind: list[Prompt]) -> list[Bucket]:
        classes_of: dict[tuple[int, int], list[int]] = {}
        for c, ids in enumerate(self.tokens.ids):
            name = self.tokens.name_lengths[c] if behind else 0  # where it ends matters only to what stands behind it
            classes_of.setdefault((len(ids), name), []).append(c)
        buckets = []
        for (length, name), classes in sorted(classes_of.items()):
            words = [Word(index) for index in range(1, 1 + length)]
            buckets.append(Bucket(tuple(classes), (*front, *words[:name], *behind, *words[name:])))
        return buckets

    def _positions(self) -> list[int]:
        """A tail stands right behind the prefix, whichever class's it is."""
        prefix = len(self.prefix)
        tails = [range(prefix, prefix + len(b.columns)) for b in self.buckets for _ in b.classes]
        return [*range(prefix), *(position for tail in tails for position in tail)]

    def _word_id(self, slot: Slot) -> int:
        index = slot.token.index
        return self.tokens.ids[slot.owner][index - 1] if index else self.tokens.start

    # ------------------------------------------------------------------------------------------------ what a block does
    def _step(self, block: int) -> Step:
        if block == self.blocks - 1:  # [EOS], the last column of every tail
            prefix, columns = [], [[len(bucket.columns) - 1] for bucket in self.buckets]
        else:
            prefix = self._carried_on(self.prefix, block + 1)
            columns = [self._carried_on(bucket.columns, block + 1) for bucket in self.buckets]
        live, tail = list(prefix), len(self.prefix)
        for bucket, own in zip(self.buckets, columns, strict=True):
            for _ in bucket.classes:
                live += [tail + column for column in own]
                tail += len(bucket.columns)
        return Step(
            enter=self._enter(block),
            live=None if len(live) == len(self.slots) else self._tensor(live),
            outputs=tuple(live),
            live_prefix=self._tensor(prefix),
            live_columns=tuple(self._tensor(own) for own in columns),
        )

    def _is_new(self, token: Word | Prompt, block: int) -> bool:
        """Whether the token enters `block` as a new prompt, instead of being carried on."""
        return isinstance(token, Prompt) and token.index < self.groups[token.group].entering(block)

    def _carried_on(self, columns: Sequence[Word | Prompt], block: int) -> list[int]:
        """The columns whose tokens `block` takes over from the one before."""
        return [i for i, token in enumerate(columns) if not self._is_new(token, block)]

    def _enter(self, block: int) -> Tensor | None:
        """Rows of cat(carried tokens, new tokens of each group) that make up the input of `block`.

        Carried are the words' embeddings into block 0, and what lived in the block before into any other: in slot order.
        """
        new = [self._is_new(slot.token, block) for slot in self.slots]
        if not any(new):
            return None
        first_rows = self._first_rows(block, new.count(False))
        rows, carried = [], iter(range(len(new)))
        for slot, is_new in zip(self.slots, new, strict=True):
            rows.append(self._new_row(slot, block, first_rows) if is_new else next(carried))
        return self._tensor(rows)

    def _first_rows(self, block: int, carried: int) -> list[int]:
        """The row at which each group's new tokens begin, behind the `carried` ones."""
        rows = [carried]
        for group in self.groups:
            copies = len(self.tokens.ids) if group.class_specific else 1
            rows.append(rows[-1] + copies * group.entering(block))
        return rows

    def _new_row(self, slot: Slot, block: int, first_rows: list[int]) -> int:
        group = self.groups[slot.token.group]
        before = slot.owner * group.entering(block) if group.class_specific else 0  # tokens of the classes before
        return first_rows[slot.token.group] + before + slot.token.index

    # ------------------------------------------------------------------------------------------------ checks and helpers
    def _check_depths(self) -> None:
        for g, group in enumerate(self.groups):
            if (depth := len(group.tokens_per_block)) > self.blocks:
                raise InputError(f"text prompts of group {g} reach {depth} blocks, but the tower has {self.blocks}")

    def _check_length(self, context_length: int, prompts: int) -> None:
        tokens = self.tokens
        longest = max(range(len(tokens.ids)), key=lambda c: len(tokens.ids[c]))
        needed = 1 + prompts + len(tokens.ids[longest])
        if needed > context_length:
            raise InputError(
                f'class name "{tokens.names[longest]}" takes {len(tokens.ids[longest])} tokens with "." and [EOS], which '
                f"with [SOS] and {prompts} prompt tokens makes {needed}, but the text tower has {context_length} positions; "
                f"shorten the name or use fewer prompt tokens"
            )

    def _cells(self, block: int) -> list[str]:
        """What `table` says of every slot in `block`."""
        live = set(self.steps[block].outputs)
        carried = "carried" if block else "embedded"
        cells = ["replaced" if block and self._is_new(slot.token, block) else carried for slot in self.slots]
        return [f"{cell}, output" if s in live else cell for s, cell in enumerate(cells)]

    def _text(self, slot: Slot) -> str:
        """A token to read: [SOS], a1 (the first token of the first group), cat, [EOS]."""
        token = slot.token
        if isinstance(token, Prompt):
            return f"{chr(ord('a') + token.group)}{token.index + 1}"
        if token.index == 0:
            return "[SOS]"
        last = token.index == len(self.tokens.ids[slot.owner])
        return "[EOS]" if last else self.tokens.tokenizer.decode([self._word_id(slot)]).strip()

    def _tensor(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=self.device)
