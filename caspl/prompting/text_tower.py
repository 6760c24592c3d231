"""The prompted text tower: all classes in one pass, computing nothing twice and nothing that cannot matter.

A plain pass spends 77 positions per class. Five exact savings leave a few per class:

(a) the mask is causal, so nothing behind [EOS] matters: it is never built;
(b) [SOS] and the prompts stand before the class name, hence are the same for every class at every block: this *prefix* is
    computed once, and every class's few remaining tokens, its *tail*, attend to the prefix's keys and values;
(c) of the last block only the output at [EOS] is read: no other query, projection or MLP is computed there;
(d) a token that the next block replaces needs no output, only its keys and values;
(e) tails differ in length, so they are packed: linear layers see one row per real token and no padding.

Prompts that differ by class (class-specific context) or stand behind the name (CoOp's middle and front) live in the tails;
what stands before them is still shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..clip.blocks import finish, project
from ..ground.errors import InputError
from .groups import PromptGroup


class ClassTokens:
    """The tokens of `<class name>.[EOS]` for each class, underscores read as spaces.

    `ids[c]` lists the token ids of class c, `name_lengths[c]` says how many of them are the name: as CoOp counts, which cuts
    the tokenised `<name>.` behind as many tokens as the name alone has.
    """

    def __init__(self, classnames: Sequence[str], tokenizer):
        if not classnames:
            raise InputError("the list of class names is empty; a classifier needs at least one class")
        self.names = [name.replace("_", " ") for name in classnames]
        self.start = tokenizer.sot_token_id
        self.ids = [[*tokenizer.encode(f"{name}."), tokenizer.eot_token_id] for name in self.names]
        self.name_lengths = [len(tokenizer.encode(name)) for name in self.names]


@dataclass(frozen=True)
class _Bucket:
    """Classes whose tails have the same columns. Slots are places in the packed sequence, classes in `classes`' order."""

    classes: tuple[int, ...]
    columns: tuple[tuple, ...]  # per column ("word", index in the class's tokens) or ("prompt", group, token)
    first_slot: int


@dataclass(frozen=True)
class _Step:
    """What block i needs to know: how its input is put together and which tokens it must give an output for."""

    enter: Tensor | None  # [M] rows of cat(previous output, new prompt tokens); None: the previous output as it is
    live: Tensor | None  # [L] slots with an output; None: all
    prefix_rows: Tensor  # the live slots of the prefix
    bucket_columns: tuple[Tensor, ...]  # the live columns of each bucket


class _Layout:
    """Where every token stands in the packed sequence [prefix | tail of class, tail of class, ...], for one cascade.

    `signature` holds, per group, (token count, count behind the name, class-specific?, tokens per entry).
    """

    def __init__(self, tokens: ClassTokens, signature: tuple, blocks: int, context_length: int, device: torch.device):
        self.signature, self.blocks, self.device = signature, blocks, device
        shared = next((g for g, (_, _, specific, _) in enumerate(signature) if specific), len(signature))
        before = [[("prompt", g, t) for t in range(n - after)] for g, (n, after, _, _) in enumerate(signature)]
        behind = [("prompt", g, t) for g, (n, after, _, _) in enumerate(signature) for t in range(n - after, n)]
        self.prefix = [("word", 0), *(column for group in before[:shared] for column in group)]
        front = [column for group in before[shared:] for column in group]

        self._check_length(tokens, context_length, len(self.prefix) - 1 + len(front) + len(behind))
        self.buckets = self._fill_buckets(tokens, front, behind)
        self.slots = len(self.prefix) + sum(len(b.classes) * len(b.columns) for b in self.buckets)
        self.positions, self.sources = self._embedding_rows(tokens)
        self.order = torch.tensor([c for b in self.buckets for c in b.classes], device=device).argsort()
        self.steps = [self._step(block) for block in range(blocks)]

    @staticmethod
    def _check_length(tokens: ClassTokens, context_length: int, prompts: int) -> None:
        longest = max(range(len(tokens.ids)), key=lambda c: len(tokens.ids[c]))
        needed = 1 + prompts + len(tokens.ids[longest])
        if needed > context_length:
            raise InputError(
                f'class name "{tokens.names[longest]}" takes {len(tokens.ids[longest])} tokens with "." and [EOS], which '
                f"with [SOS] and {prompts} prompt tokens makes {needed}, but the text tower has {context_length} positions; "
                f"shorten the name or use fewer prompt tokens"
            )

    def _fill_buckets(self, tokens: ClassTokens, front: list, behind: list) -> list[_Bucket]:
        kinds: dict[tuple[int, int], list[int]] = {}
        for c, ids in enumerate(tokens.ids):
            name = tokens.name_lengths[c] if behind else 0  # where the name ends matters only to what stands behind it
            kinds.setdefault((len(ids), name), []).append(c)
        buckets, slot = [], len(self.prefix)
        for (length, name), classes in sorted(kinds.items()):
            words = [("word", t) for t in range(length)]
            columns = (*front, *words[:name], *behind, *words[name:])
            buckets.append(_Bucket(tuple(classes), columns, slot))
            slot += len(classes) * len(columns)
        return buckets

    def _row(self, column: tuple, c: int, word_offset: int, group_offsets: list[int], counts: list[int]) -> int:
        """Row of a token in cat(word embeddings, entries of the groups)."""
        if column[0] == "word":
            return word_offset + column[1]
        _, g, t = column
        return group_offsets[g] + t + (c * counts[g] if self.signature[g][2] else 0)

    def _embedding_rows(self, tokens: ClassTokens) -> tuple[Tensor, Tensor]:
        """Position and input row of every slot; rows count [SOS], then all classes' words, then the groups' tokens."""
        word_offsets, total = [], 1
        for ids in tokens.ids:
            word_offsets.append(total)
            total += len(ids)
        counts = [n for n, *_ in self.signature]
        offsets = self._group_offsets(total, counts, len(tokens.ids))
        sources = [self._row(column, 0, 0, offsets, counts) for column in self.prefix]
        positions = list(range(len(self.prefix)))
        for bucket in self.buckets:
            for c in bucket.classes:
                sources += [self._row(column, c, word_offsets[c], offsets, counts) for column in bucket.columns]
                positions += range(len(self.prefix), len(self.prefix) + len(bucket.columns))
        return torch.tensor(positions, device=self.device), torch.tensor(sources, device=self.device)

    def _group_offsets(self, start: int, counts: list[int], classes: int) -> list[int]:
        offsets = []
        for (_, _, specific, _), count in zip(self.signature, counts, strict=True):
            offsets.append(start)
            start += count * (classes if specific else 1)
        return offsets

    def _replaced(self, column: tuple, block: int) -> bool:
        """Whether the token in this column is a new prompt token at the entry of `block`."""
        if column[0] == "word" or block == 0:
            return False
        entries = self.signature[column[1]][3]
        return block < len(entries) and column[2] < entries[block]

    def _step(self, block: int) -> _Step:
        last = block == self.blocks - 1

        def lives(columns: Sequence[tuple]) -> list[int]:
            return [i for i, column in enumerate(columns) if not self._replaced(column, block + 1)]

        prefix_rows = [] if last else lives(self.prefix)
        bucket_columns = [[len(b.columns) - 1] if last else lives(b.columns) for b in self.buckets]
        live = list(prefix_rows)
        for bucket, columns in zip(self.buckets, bucket_columns, strict=True):
            for i in range(len(bucket.classes)):
                live += [bucket.first_slot + i * len(bucket.columns) + column for column in columns]
        everything = len(live) == self.slots
        return _Step(
            enter=self._enter(block),
            live=None if everything else torch.tensor(live, device=self.device),
            prefix_rows=torch.tensor(prefix_rows, dtype=torch.long, device=self.device),
            bucket_columns=tuple(torch.tensor(columns, device=self.device) for columns in bucket_columns),
        )

    def _enter(self, block: int) -> Tensor | None:
        """Rows of cat(output of the previous block, new prompt tokens) that make up the input of `block`."""
        counts = [entries[block] if 0 < block < len(entries) else 0 for *_, entries in self.signature]
        if not any(counts):
            return None
        everywhere = [(column, 0) for column in self.prefix]
        everywhere += [(column, c) for b in self.buckets for c in b.classes for column in b.columns]
        carried = sum(not self._replaced(column, block) for column, _ in everywhere)
        offsets = self._group_offsets(carried, counts, sum(len(b.classes) for b in self.buckets))
        rows, next_carried = [], 0
        for column, c in everywhere:
            if self._replaced(column, block):
                rows.append(self._row(column, c, 0, offsets, counts))
            else:
                rows.append(next_carried)
                next_carried += 1
        return torch.tensor(rows, device=self.device)


class TextTower:
    """Class features of one CLIP for one list of class names, under any cascade of prompt groups.

    `clip` is a native open_clip CLIP with a causal text tower that reads the feature at [EOS].
    """

    def __init__(self, clip: nn.Module, tokens: ClassTokens):
        self.clip, self.tokens = clip, tokens
        self._layouts: dict[tuple, _Layout] = {}

    def __call__(self, groups: Sequence[PromptGroup]) -> Tensor:
        """Features [G, C, E], not normalised, in the order of the class names.

        Raises InputError where a class name and the prompts together exceed the tower's positions.
        """
        clip = self.clip
        entries, layout = self._arrange(groups)
        dtype = clip.transformer.get_cast_dtype()

        rows = [self._words(layout.device), *(_rows(group[0]) for group in entries)]
        x = _cat_sets(rows, dtype).index_select(1, layout.sources)  # [G, M, D]
        x = x + clip.positional_embedding.to(dtype)[layout.positions]
        for i, (block, step) in enumerate(zip(clip.transformer.resblocks, layout.steps, strict=True)):
            if step.enter is not None:
                new = [_rows(group[i]) for group in entries if i < len(group)]
                x = _cat_sets([x, *new], x.dtype).index_select(1, step.enter)
            x = _block(block, x, step, layout)  # [G, L, D]
        x = x.index_select(1, layout.order)  # [G, C, D]: in the last block only [EOS] lives
        x = clip.ln_final(x)
        projection = clip.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def check(self, groups: Sequence[PromptGroup]) -> None:
        """Raise InputError, as a call would, where class names and prompts don't fit the tower; nothing is computed."""
        self._arrange(groups)

    def activation_bytes(self, groups: Sequence[PromptGroup]) -> int:
        """About how much memory one prompt set's activations take: of all blocks where gradients are on, else of one.

        24 numbers per token, block and unit of width is what training steps of ViT-B/16 were measured to take at their
        peak; the attention weights come on top.
        """
        _, layout = self._arrange(groups)
        block, dtype = self.clip.transformer.resblocks[0], self.clip.transformer.get_cast_dtype()
        context = len(layout.prefix) + max(len(bucket.columns) for bucket in layout.buckets)
        per_token = 24 * self.clip.positional_embedding.shape[1] + 3 * block.attn.num_heads * context
        blocks = layout.blocks if torch.is_grad_enabled() else 1
        return layout.slots * per_token * blocks * dtype.itemsize

    def _arrange(self, groups: Sequence[PromptGroup]) -> tuple[list[list[Tensor]], _Layout]:
        """The text entries of the groups that have any, as prompt sets, and where their tokens stand."""
        groups = [group for group in groups if group.text_length]
        entries = [[_as_sets(entry, len(self.tokens.ids)) for entry in group.text] for group in groups]
        return entries, self._layout(groups, entries)

    def _words(self, device: torch.device) -> Tensor:
        """Embeddings of [SOS] and of all classes' tokens: [1, 1 + sum of token counts, D]."""
        ids = torch.tensor([self.tokens.start, *(i for ids in self.tokens.ids for i in ids)], device=device)
        return self.clip.token_embedding(ids)[None]

    def _layout(self, groups: Sequence[PromptGroup], entries: list[list[Tensor]]) -> _Layout:
        signature = tuple(
            (group.text_length, group.after_name, any(e.shape[1] > 1 for e in sets), tuple(e.shape[2] for e in sets))
            for group, sets in zip(groups, entries, strict=True)
        )
        device = self.clip.positional_embedding.device
        key = (signature, device)
        if key not in self._layouts:
            blocks, length = len(self.clip.transformer.resblocks), self.clip.positional_embedding.shape[0]
            for g, (_, _, _, depth) in enumerate(signature):
                if len(depth) > blocks:
                    raise InputError(f"text prompts of group {g} reach {len(depth)} blocks, but the tower has {blocks}")
            self._layouts[key] = _Layout(self.tokens, signature, blocks, length, device)
        return self._layouts[key]


def _as_sets(entry: Tensor, classes: int) -> Tensor:
    """[N, D], [C, N, D] or [G, 1 | C, N, D] -> [G, 1 | C, N, D]."""
    sets = entry[(None,) * (4 - entry.dim())]
    if sets.shape[1] not in (1, classes):
        raise InputError(f"class-specific prompts are for {sets.shape[1]} classes, but there are {classes} class names")
    return sets


def _rows(sets: Tensor) -> Tensor:
    """[G, 1 | C, N, D] -> [G, (C) N, D]."""
    return sets.flatten(1, 2)


def _cat_sets(rows: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Concatenate [1 | G, *, D] along the tokens, every prompt set getting what is common to all."""
    sets = max(r.shape[0] for r in rows)
    return torch.cat([r.to(dtype).expand(sets, -1, -1) for r in rows], dim=1)


def _block(block: nn.Module, x: Tensor, step: _Step, layout: _Layout) -> Tensor:
    """Outputs [G, L, D] of one block for its live tokens, given all tokens x [G, M, D]."""
    normed = block.ln_1(x)
    if step.live is None:
        q, k, v = project(block, normed, "qkv")
    else:
        k, v = project(block, normed, "kv")
        (q,) = project(block, normed.index_select(1, step.live), "q")
        x = x.index_select(1, step.live)
    return finish(block, x, _attention(q, k, v, step, layout))


def _attention(q: Tensor, k: Tensor, v: Tensor, step: _Step, layout: _Layout) -> Tensor:
    """Causal attention over [prefix | tails]: q [G, L, H, d], k and v [G, M, H, d] -> [G, L, H, d].

    A tail attends to the whole prefix and to itself up to each token; both score blocks share one softmax.
    """
    sets, prefix = q.shape[0], len(layout.prefix)
    q = q * q.shape[-1] ** -0.5
    keys, values = k[:, :prefix], v[:, :prefix]  # [G, P, H, d]
    out, row = [], len(step.prefix_rows)
    if row:
        weights = _softmax(torch.einsum("gqhd,gphd->ghqp", q[:, :row], keys), step.prefix_rows)
        out.append(torch.einsum("ghqp,gphd->gqhd", weights, values))
    for bucket, columns in zip(layout.buckets, step.bucket_columns, strict=True):
        classes, width, live = len(bucket.classes), len(bucket.columns), len(columns)
        own = slice(bucket.first_slot, bucket.first_slot + classes * width)
        shape = (sets, classes, width, *k.shape[2:])
        own_keys, own_values = k[:, own].reshape(shape), v[:, own].reshape(shape)  # [G, C, S, H, d]
        queries = q[:, row : row + classes * live].reshape(sets, classes, live, *k.shape[2:])
        row += classes * live
        common = torch.einsum("gcqhd,gphd->gchqp", queries, keys)
        scores = torch.einsum("gcqhd,gcshd->gchqs", queries, own_keys)
        weights = _softmax(torch.cat([common, scores], dim=-1), columns + prefix)
        to_prefix, to_own = weights.split([prefix, width], dim=-1)
        attended = torch.einsum("gchqp,gphd->gcqhd", to_prefix, values)
        attended = attended + torch.einsum("gchqs,gcshd->gcqhd", to_own, own_values)
        out.append(attended.reshape(sets, classes * live, *k.shape[2:]))
    return torch.cat(out, dim=1)


def _softmax(scores: Tensor, rows: Tensor) -> Tensor:
    """Causal softmax of scores [..., q, s], where query number i stands at place rows[i] of the s keys."""
    hidden = torch.arange(scores.shape[-1], device=rows.device) > rows[:, None]  # [q, s]
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.masked_fill(hidden, float("-inf")).softmax(-1, dtype=wide).to(scores.dtype)
