"""The prompted image tower: a ViT that carries prompt tokens behind its patches.

At the input stands ln_pre([CLS, patches, prompts]), with positional embeddings on [CLS] and patches only; deep prompts
replace the tokens of their group raw at the entry of a block. Attention has no mask, so a token's place does not matter, and
two savings of the text tower (`layout.py`) hold here too:

(c) of the last block only the output at [CLS] is read: no other query, projection or MLP is computed there;
(d) prompts that the next block replaces are the same for every image and need no output: their keys and values are
    computed once per block, not once per image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..clip.blocks import attend, embed_patches, finish, pooled, project, reads_cls
from ..ground.errors import InputError
from .groups import PromptGroup

Prompts = Sequence[Sequence[Tensor]]  # [N, V] by group, the one behind the patches first, and by block


def encode_images(
    visual: nn.Module,
    images: Tensor,
    groups: Sequence[PromptGroup] = (),
    encode: Callable[[nn.Module, tuple[Tensor, Prompts]], Tensor] | None = None,
) -> Tensor:
    """Image features [B, E], not normalised, of images [B, 3, H, W] in the tower's own normalisation.

    `visual` is open_clip's native VisionTransformer. `groups` are in cascade order (adapting before boosting); the tower puts
    the last group right behind the patches, as the reference does. `encode` is `encode_prompted`, or that compiled.
    Raises InputError for images of another size and for prompts that reach more blocks than there are.
    """
    groups = [group for group in reversed(groups) if group.vision_length]
    _check(visual, images, groups)
    return (encode or encode_prompted)(visual, (images, [group.vision for group in groups]))


def encode_prompted(visual: nn.Module, tensors: tuple[Tensor, Prompts]) -> Tensor:
    """`encode_images` of images and prompts that fit."""
    images, prompts = tensors
    x = embed_patches(visual, images)  # [B, 1 + patches, V], later with the prompts that are carried on
    patches = x.shape[1]
    blocks = visual.transformer.resblocks
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        lasting, passing = _new_prompts(visual, prompts, i, x.dtype)
        # x.shape[0] and not len(x), which an export would take for the number of images in its example
        x = torch.cat([x, *(tokens.expand(x.shape[0], -1, -1) for tokens in lasting)], dim=1)
        x = _block(block, x, passing, queries=1 if last and reads_cls(visual) else x.shape[1])
    return pooled(visual, x[:, :patches])


def _check(visual: nn.Module, images: Tensor, groups: Sequence[PromptGroup]) -> None:
    if images.shape[-2:] != torch.Size(visual.image_size):
        raise InputError(
            f"images are {tuple(images.shape[-2:])} pixels, but the image tower takes {visual.image_size}; "
            f"resize them to that"
        )
    blocks = len(visual.transformer.resblocks)
    for group in groups:
        if len(group.vision) > blocks:
            raise InputError(f"vision prompts reach {len(group.vision)} blocks, but the tower has {blocks}")


def _new_prompts(
    visual: nn.Module, prompts: Prompts, block: int, dtype: torch.dtype
) -> tuple[list[Tensor], list[Tensor]]:
    """Prompts [N, V] that enter `block`: those that the next block carries on, and those that need no output.

    No output is needed of prompts that the next block replaces, and of any that enter the last block.
    """
    lasting, passing = [], []
    last = block == len(visual.transformer.resblocks) - 1
    for entries in prompts:
        if block < len(entries):
            tokens = entries[block].to(dtype)
            replaced = block + 1 < len(entries)
            (passing if last or replaced else lasting).append(visual.ln_pre(tokens) if block == 0 else tokens)
    return lasting, passing


def _block(block: nn.Module, x: Tensor, passing: Sequence[Tensor], queries: int) -> Tensor:
    """Outputs [B, queries, V] for the first tokens of x [B, M, V], which attend to x and to the passing prompts [N, V]."""
    normed = block.ln_1(x)
    if queries == x.shape[1]:
        q, k, v = project(block, normed, "qkv")
    else:
        k, v = project(block, normed, "kv")
        (q,) = project(block, normed[:, :queries], "q")
    if passing:
        own_k, own_v = project(block, block.ln_1(torch.cat(list(passing))), "kv")  # [N, H, d], once for all images
        k = torch.cat([k, own_k.expand(x.shape[0], -1, -1, -1)], dim=1)
        v = torch.cat([v, own_v.expand(x.shape[0], -1, -1, -1)], dim=1)
    return finish(block, x[:, :queries], attend(q, k, v))
