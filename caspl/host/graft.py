"""Boosting prompts inside somebody else's CLIP: CLIP <- CLIP + boosting prompts, for trainers that know nothing of CasPL.

The checkouts of the CoOp family carry OpenAI's CLIP class, and their trainers use its parts: the image tower is called with
images, the text transformer with embedded prompts, whose features are read at their own [EOS] positions. `graft` puts frozen
boosting prompts into such a model with hooks on its blocks, as phase 1 has them, so that none of this changes:

    text      [SOS] boosting <the host's context> name . [EOS]      positional embeddings in this order
    images    [CLS, patches, <the host's tokens>, boosting]         ln_pre for the first block's boosting tokens

At the entry of deeper blocks the boosting tokens are replaced raw, behind the last block they are taken out. The number of
positions that the host sees stays what it was, so its masks and indices hold; what that costs is room at the end of the text,
which is checked where the host embeds its token ids.

`caspl.host.twins` does this to the CLIP that a host's trainer loads. Shapes: n positions, C prompts, B images, L boosting
tokens, D and V the widths of the text and the image tower.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.boosting import load_boosting
from ..checkpoints.headers import BoostingHeader
from ..clip.backbones import clip_tokenizer
from ..clip.fingerprint import fingerprint_of
from ..ground.errors import InputError
from ..prompting.learners import Prompts


# ---------------------------------------------------------------------------------------------------------------------
# Inside the towers
# ---------------------------------------------------------------------------------------------------------------------
class TowerGraft(nn.Module):
    """The boosting tokens of one tower and the hooks that put them in and take them out.

    A subclass says how they `enter` and `leave`, and where they `start` in between. They are buffers that follow the tower
    to its device, but no part of its state dict: what a host saves and loads is the host's own. Tensors have the layout
    [n, B | C, width] of OpenAI's blocks.
    """

    def __init__(self, entries: Sequence[Tensor], origin: nn.Module | nn.Parameter):
        """`entries[i]` [L, width] enter block i; `origin` is the part of the host that block 0's tokens need."""
        super().__init__()
        for block, entry in enumerate(entries):
            self.register_buffer(f"block{block}", entry.detach().clone(), persistent=False)
        self.depth, self.length = len(entries), len(entries[0])
        self._origin = (origin,)  # in a tuple, so that it is not registered a second time

    def attach(self, transformer: nn.Module) -> None:
        """Put the tokens into the blocks of `transformer`."""
        transformer.boosting = self.to(next(transformer.parameters()).device)
        blocks = transformer.resblocks
        # Bound methods and partials, not closures: a copy of the model gets hooks with its own tokens.
        blocks[0].register_forward_pre_hook(self._enter)
        for block in range(1, self.depth):
            blocks[block].register_forward_pre_hook(partial(self._replace, block))
        blocks[-1].register_forward_hook(self._leave)

    def entry(self, block: int) -> Tensor:
        return self.get_buffer(f"block{block}")

    def _enter(self, block: nn.Module, args: tuple) -> tuple:
        if not args or not isinstance(
            args[0], Tensor
        ):  # from a block that takes tokens alone, too, so graft did not see it
            raise InputError(
                f"the host calls its first block ({type(block).__name__}) with {type(args[0]).__name__ if args else 'nothing'} "
                f"in the place of a tensor of tokens, as CLIPs patched for deep prompts do, and boosting prompts can't be put "
                f"in there; use one of CasPL's own trainers"
            )
        return (self.enter(args[0]), *args[1:])

    def _replace(self, number: int, block: nn.Module, args: tuple) -> tuple:
        x, tokens = args[0], self.entry(number)
        start = self.start(x)
        return (torch.cat([x[:start], _spread(tokens, x), x[start + len(tokens) :]]), *args[1:])

    def _leave(self, block: nn.Module, args: tuple, output: Tensor) -> Tensor:
        return self.leave(output)


class TextGraft(TowerGraft):
    """Boosting tokens right behind [SOS]; everything behind them moves up by their number L, and L positions fall off.

    `origin` is the text tower's positional embedding [n, D].
    """

    def start(self, x: Tensor) -> int:
        return 1

    def enter(self, x: Tensor) -> Tensor:
        """Embedded prompts x [n, C, D], the host's positional embeddings added, -> the same shape.

        Raises InputError where x has too few positions for the boosting tokens.
        """
        (positions,) = self._origin
        n, length = len(x), self.length
        if n < length + 2:
            raise InputError(
                f"the text tower is given {n} positions, too few for [SOS], {length} boosting tokens and [EOS]; pass "
                f"prompts in CLIP's full length of {len(positions)}"
            )
        tokens = _spread(self.entry(0).to(x.device) + positions[1 : 1 + length].to(x.device), x)
        shift = (positions[1 + length : n] - positions[1 : n - length]).to(x)
        return torch.cat([x[:1], tokens, x[1 : n - length] + shift[:, None]])

    def leave(self, x: Tensor) -> Tensor:
        """Outputs x [n, C, D] at the host's own positions. The last L of those were cut and are NaN, never a wrong number."""
        cut = x.new_full((self.length, *x.shape[1:]), float("nan"))
        return torch.cat([x[:1], x[1 + self.length :], cut])

    def check_room(self, embedding: nn.Module, args: tuple) -> None:
        """Hook of the token embedding. Raises InputError for a prompt whose [EOS] is among the positions that fall off."""
        (positions,), ids = self._origin, args[0]
        if ids.dim() == 0 or not ids.numel() or ids.shape[-1] != len(positions):
            return  # no whole prompts; a host may look up single words
        ids = ids.reshape(-1, len(positions))
        ends = ids.argmax(-1)  # [EOS] has the largest id, which is how OpenAI's code finds it
        longest = int(ends.argmax())
        count = int(ends[longest]) + 1
        if count + self.length > len(positions):
            text = clip_tokenizer(len(positions)).decode(ids[longest, 1 : count - 1].tolist()).strip()
            raise InputError(
                f'the prompt "{text}" takes {count} tokens with [SOS] and [EOS], which with {self.length} boosting tokens '
                f"makes {count + self.length}, but the text tower has {len(positions)} positions; shorten the class name, "
                f"or use fewer context tokens or boosting prompts of fewer tokens"
            )


class VisionGraft(TowerGraft):
    """Boosting tokens behind all others; `origin` is the image tower's ln_pre."""

    def start(self, x: Tensor) -> int:
        return len(x) - self.length

    def enter(self, x: Tensor) -> Tensor:
        """[n, B, V], ln_pre behind it, -> [n + L, B, V]."""
        (ln_pre,) = self._origin
        return torch.cat([x, _spread(ln_pre(self.entry(0).to(ln_pre.weight)), x)])

    def leave(self, x: Tensor) -> Tensor:
        """[n + L, B, V] -> [n, B, V]"""
        return x[: self.start(x)]


def _spread(tokens: Tensor, x: Tensor) -> Tensor:
    """Tokens [L, D] for every entry of x's batch [n, B, D], in x's format: [L, B, D]."""
    return tokens.to(x)[:, None].expand(-1, x.shape[1], -1)


# ---------------------------------------------------------------------------------------------------------------------
# A host's CLIP
# ---------------------------------------------------------------------------------------------------------------------
def graft(clip_model: nn.Module, boosting: Prompts) -> nn.Module:
    """Put boosting prompts, frozen, into both towers of a CLIP of OpenAI's class, in place; gives `clip_model` back.

    A tower for which `boosting` has no tokens is left as it is. The weights' format may change before and after. Where text
    is boosted, ln_final's weights can't be trained, and autograd's anomaly mode finds what is none: both see the positions
    that are NaN.
    Raises InputError where the prompts can't be put in: a model grafted already, a ResNet, other widths, fewer blocks, or
    blocks that carry prompts of their own; and later, from the model, for a prompt that is too long.
    """
    (group,) = boosting()
    if is_grafted(clip_model):
        raise InputError("this CLIP has boosting prompts inside already; graft them into one fresh from its weights")
    text = vision = None
    if group.text_length:
        text = TextGraft(group.text, clip_model.positional_embedding)
        _check_tower("text", clip_model.transformer, group.text, clip_model.positional_embedding.shape)
    if group.vision_length:
        visual = clip_model.visual
        if not (hasattr(visual, "transformer") and hasattr(visual, "ln_pre")):
            raise InputError(
                f"the image tower of this CLIP is a {type(visual).__name__} and takes no prompts, but the boosting prompts "
                f"have {group.vision_length} vision tokens; take a CLIP with a ViT, or train phase 1 with "
                f"TRAINER.CASPL.N_CTX_VISION 0"
            )
        vision = VisionGraft(group.vision, visual.ln_pre)
        _check_tower("image", visual.transformer, group.vision, (1 + group.vision_length, len(visual.ln_pre.weight)))
    if text:
        text.attach(clip_model.transformer)
        clip_model.token_embedding.register_forward_pre_hook(text.check_room)
    if vision:
        vision.attach(clip_model.visual.transformer)
    return clip_model


def is_grafted(clip_model: nn.Module) -> bool:
    return any(isinstance(module, TowerGraft) for module in clip_model.modules())


def _check_tower(tower: str, transformer: nn.Module, entries: Sequence[Tensor], shape: tuple[int, int]) -> None:
    """Raise InputError unless the blocks are as many and as wide as `entries` need, and leave every token in its place.

    `shape` is (tokens that the blocks can be tried with, the tower's width).
    """
    blocks, (positions, width) = transformer.resblocks, shape
    if entries[0].shape[-1] != width:
        raise InputError(
            f"the boosting prompts of the {tower} tower are {entries[0].shape[-1]} wide, but the tower is {width} wide; use "
            f"boosting prompts that were trained on this CLIP"
        )
    if len(entries) > len(blocks):
        raise InputError(
            f"the boosting prompts enter {len(entries)} blocks of the {tower} tower, but it has {len(blocks)}; use boosting "
            f"prompts that were trained on this CLIP"
        )
    for index, block in enumerate(blocks):
        reason = _strange(block, torch.full((positions, 1, width), 1e6))
        if reason:
            raise InputError(
                f"block {index} of the {tower} tower ({type(block).__name__}) {reason}, and boosting prompts need OpenAI's "
                f"blocks; if this CLIP is patched for deep prompts, switch them off (depth 0 or 1), or use CasPL's own "
                f"trainers for such prompts, CasPL_MaPLe, CasPL_IVLP and CasPL_PromptSRC"
            )


def _strange(block: nn.Module, x: Tensor) -> str:
    """Why tokens put in front of `block` would not come out behind it, or an empty string where they do.

    What attention and MLP add to a token is bounded, since they see it normalised. So if tokens x [n, 1, D] are huge, each
    output of a residual block is near its input, unless the block puts something else there. This finds prompts under
    whatever name.
    """
    if getattr(getattr(block, "attn", None), "batch_first", False):
        return "takes tokens as [batch, tokens, width]"
    probe = copy.deepcopy(block).float()  # in half precision the CPU may be slow, and such tokens are infinite
    x = x.to(next(probe.parameters()).device)
    try:
        with torch.no_grad():
            y = probe(x)
    except Exception as error:  # of whatever kind the host's code answers with
        return f"takes more than a tensor of tokens ({type(error).__name__} when called with one)"
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return "gives other things than a tensor with the tokens that it was given"
    if ((y - x).norm(dim=-1) > x.norm(dim=-1) / 2).any():
        return "puts prompts of its own in the place of tokens"
    return ""


# CLIP's own weights in OpenAI's class, ViT or ResNet. Patches add others, which are no part of the fingerprint.
_PAIR = r"\.(weight|bias)"
OWN_WEIGHTS = re.compile(
    rf"positional_embedding|text_projection|logit_scale|token_embedding\.weight|ln_final{_PAIR}"
    rf"|visual\.(class_embedding|positional_embedding|proj|ln_(pre|post){_PAIR}|(conv|bn|layer)\d\..+|attnpool\..+)"
    rf"|(visual\.)?transformer\.resblocks\.\d+\.(ln_[12]{_PAIR}|attn\.in_proj_(weight|bias)|attn\.out_proj{_PAIR}"
    rf"|mlp\.c_(fc|proj){_PAIR})"
)


@dataclass(frozen=True)
class HostCLIP:
    """What decides whether boosting prompts fit a host's CLIP; `load_boosting` takes it like a Backbone.

    The fingerprint is that of `Backbone.fingerprint` for the same network. A width of 0: there is no such (ViT) tower.
    """

    name: str
    fingerprint: str
    text_width: int
    vision_width: int

    @classmethod
    def of(cls, clip_model: nn.Module, name: str) -> HostCLIP:
        """Read off `clip_model`, which the host calls `name`."""
        weights = {key: value for key, value in clip_model.state_dict().items() if OWN_WEIGHTS.fullmatch(key)}
        widths = [len(weights.get(key, ())) for key in ("ln_final.weight", "visual.ln_pre.weight")]
        return cls(name, fingerprint_of(clip_model, _image_size(weights), weights), *widths)


def _image_size(weights: Mapping[str, Tensor]) -> tuple[int, int]:
    """Height and width in pixels, by the positions of a ViT's patches, or of a ResNet's last map, where one is 32 pixels wide.

    (0, 0) where there are neither. One more position belongs to [CLS], or to the mean.
    """
    for key, pixels in (
        ("visual.positional_embedding", weights["visual.conv1.weight"].shape[-1]),
        ("visual.attnpool.positional_embedding", 32),
    ):
        if key in weights:
            return (pixels * math.isqrt(len(weights[key]) - 1),) * 2
    return 0, 0


def boost(
    clip_model: nn.Module,
    source: str | Path,
    *,
    name: str = "this CLIP",
    dataset: str = "",
    classnames: Sequence[str] = (),
) -> BoostingHeader:
    """Put the boosting prompts of `source` (a file, a run's folder, hub:org/name) into a host's CLIP; gives their header.

    `name` is what messages call the CLIP; `dataset` and `classnames` are compared with the header's.
    Raises InputError (OtherStudent for other weights) as `load_boosting` and `graft` do.
    """
    host = HostCLIP.of(clip_model, name)
    boosting, header = load_boosting(source, host, dataset=dataset, classnames=classnames)
    graft(clip_model, boosting)
    return header
