"""The prompted image tower: a ViT that carries prompt tokens behind its patches.

Layout at the input: ln_pre([CLS, patches, prompts]), positional embeddings on [CLS] and patches only; deep prompts replace
the tokens of their group raw at the entry of a block. Attention knows no mask, so a token's place does not matter and two
savings are exact:

(c) of the last block only the output at [CLS] is read: no other query, projection or MLP is computed there;
(d) prompts that the next block replaces are the same for every image and need no output: their keys and values are
    computed once per block, not once per image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..clip.blocks import finish, project
from ..ground.errors import InputError
from .groups import PromptGroup


def encode_images(visual: nn.Module, images: Tensor, groups: Sequence[PromptGroup] = ()) -> Tensor:
    """Image features [B, E], not normalised, of images [B, 3, H, W] in the tower's own normalisation.

    `visual` is open_clip's native VisionTransformer. `groups` are in cascade order (adapting before boosting); the tower puts
    the last group right behind the patches, as the reference does.
    Raises InputError for images of another size and for prompts that reach more blocks than there are.
    """
    groups = [group for group in reversed(groups) if group.vision_length]
    blocks = visual.transformer.resblocks
    if images.shape[-2:] != torch.Size(visual.image_size):
        raise InputError(
            f"images are {tuple(images.shape[-2:])} pixels, but the image tower takes {visual.image_size}; "
            f"set INPUT.SIZE to that"
        )
    for group in groups:
        if len(group.vision) > len(blocks):
            raise InputError(f"vision prompts reach {len(group.vision)} blocks, but the tower has {len(blocks)}")

    x = _embed(visual, images)  # [B, 1 + patches, V], later with the prompts that are carried on
    patches = x.shape[1]
    pooled_token = visual.attn_pool is None and visual.pool_type == "tok"
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        # A group's tokens are fresh, the same for all images, at blocks that it reaches.
        fresh = [(group, group.vision[i].to(x.dtype)) for group in groups if i < len(group.vision)]
        if i == 0:
            fresh = [(group, visual.ln_pre(tokens)) for group, tokens in fresh]
        carried = [tokens for group, tokens in fresh if not last and i + 1 >= len(group.vision)]
        fresh = [tokens for group, tokens in fresh if last or i + 1 < len(group.vision)]
        x = torch.cat([x, *(tokens.expand(x.shape[0], -1, -1) for tokens in carried)], dim=1)
        x = _block(block, x, fresh, queries=1 if last and pooled_token else x.shape[1])
    if pooled_token:
        pooled = visual.ln_post(x[:, 0])
    else:
        pooled, _ = visual._pool(x[:, :patches])
    return pooled if visual.proj is None else pooled @ visual.proj


def _embed(visual: nn.Module, images: Tensor) -> Tensor:
    """[B, 3, H, W] -> [CLS] and patches with positional embeddings, through ln_pre: [B, 1 + patches, V]."""
    x = visual.conv1(images.to(visual.conv1.weight.dtype)).flatten(2).transpose(1, 2)
    start = visual.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
    x = torch.cat([start, x], dim=1) + visual.positional_embedding.to(x.dtype)
    return visual.ln_pre(x)


def _block(block: nn.Module, x: Tensor, fresh: Sequence[Tensor], queries: int) -> Tensor:
    """Outputs [B, queries, V] for the first tokens of x [B, M, V], which attend to x and to the fresh prompts [N, V]."""
    normed = block.ln_1(x)
    if queries == x.shape[1]:
        q, k, v = project(block, normed, "qkv")
    else:
        k, v = project(block, normed, "kv")
        (q,) = project(block, normed[:, :queries], "q")
    if fresh:
        own_k, own_v = project(block, block.ln_1(torch.cat(list(fresh))), "kv")  # [N, H, d]
        k = torch.cat([k, own_k.expand(x.shape[0], -1, -1, -1)], dim=1)
        v = torch.cat([v, own_v.expand(x.shape[0], -1, -1, -1)], dim=1)
    attended = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)
    return finish(block, x[:, :queries], attended)
