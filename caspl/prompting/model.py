"""Prompted CLIP: a frozen CLIP, class names and a list of prompt groups give logits. It knows no trainer.

What would take more memory in the text tower than there is goes through it in parts: some images at a time where each has
prompts of its own, and where a single set of prompts is too much, some classes. On the way there each part's activations are
thrown away, but for the last one's; on the way back, which begins with the last part, they are computed again, part by part.
The last part is as large as the memory allows, so that little is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..clip.backbones import Backbone
from ..clip.compiling.compiled import at_most
from ..ground.errors import InputError
from .attention.contract import Attention
from .attention.grouped import grouped_attention
from .groups import PromptGroup, of_classes, prompt_sets
from .image_tower import encode_images, encode_prompted
from .layout import ClassTokens
from .text_tower import TextTower, encode_classes

MEMORY = 2e9  # bytes for the text tower's activations
# Bytes of activations that stay near enough to a CPU's caches: evaluation of CoCoOp was measured a third faster than with
# gigabytes, and it keeps a GPU busy too.
EVALUATION_PART = 2e8


class PromptedCLIP(nn.Module):
    """A CLIP <- CLIP + prompts. The backbone stays frozen and in evaluation mode, whatever train() is called on it.

    `attention` is that of the text tower, `memory` about how many bytes activations may take there at a time. The numbers
    depend on neither, up to rounding.
    """

    def __init__(
        self,
        backbone: Backbone,
        classnames: Sequence[str],
        *,
        attention: Attention = grouped_attention,
        memory: float = MEMORY,
    ):
        super().__init__()
        self.memory = memory
        backbone.check_student()
        self.clip = backbone.model
        self.backbone = backbone
        encode_text, self._encode_images = map(backbone.compilation.of, (encode_classes, encode_prompted))
        self.tower = TextTower(self.clip, ClassTokens(classnames, backbone.tokenizer), attention, encode_text)

    def train(self, mode: bool = True) -> PromptedCLIP:
        super().train(mode)
        self.clip.eval()
        return self

    @property
    def scale(self) -> Tensor:
        """exp(logit scale), a positive scalar."""
        return self.clip.logit_scale.exp()

    def class_features(self, groups: Sequence[PromptGroup], *, keep_last: bool = True) -> Tensor:
        """Normalised class features: [C, E], or [G, C, E] where prompts differ by prompt set.

        Where there are parts, `keep_last` is that of `one_by_one`.
        """
        classes, sets = len(self.tower.tokens.ids), prompt_sets(groups)
        whole = self.tower.activation_bytes(groups) * sets
        sizes = part_sizes(classes, int(min(1, self.memory / whole) * classes))
        if len(sizes) == 1:
            features = self._features(self.tower, groups)
        else:
            parts = list(zip(self.tower.parts(sizes), of_classes(groups, sizes), strict=True))
            features = torch.cat(one_by_one(self._features, parts, keep_last=keep_last), dim=1)
        return features[0] if len(features) == 1 else features

    def _features(self, tower: TextTower, groups: Sequence[PromptGroup]) -> Tensor:
        """[G, C, E]."""
        return F.normalize(tower(groups), dim=-1)

    def image_features(self, images: Tensor, groups: Sequence[PromptGroup]) -> Tensor:
        """Normalised image features [B, E] of images [B, 3, H, W]."""
        if self.backbone.has_vit:
            return F.normalize(encode_images(self.clip.visual, images, groups, self._encode_images), dim=-1)
        if any(group.vision_length for group in groups):
            raise InputError(f"the image tower of {self.backbone.name} is not a ViT and takes text prompts only")
        return self.backbone.image_features(images)

    def logits(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        """[B, E] and [C, E] or [B, C, E], both normalised -> exp(logit scale) * cosine: [B, C]."""
        if class_features.dim() == 3:
            return self.scale * torch.einsum("be,bce->bc", image_features, class_features)
        return self.scale * image_features @ class_features.T

    def conditional_logits(
        self, image_features: Tensor, groups_for: Callable[[Tensor], Sequence[PromptGroup]]
    ) -> Tensor:
        """Logits [B, C] where every image has its own text prompts: `groups_for([b, E])` gives b prompt sets."""

        def logits(part: Tensor, keep_last: bool = True) -> Tensor:
            return self.logits(part, self.class_features(groups_for(part), keep_last=keep_last))

        memory = self.memory if torch.is_grad_enabled() else min(self.memory, EVALUATION_PART)
        size = int(min(len(image_features), memory / self.tower.activation_bytes(groups_for(image_features[:1]))))
        images = image_features.split(part_sizes(len(image_features), size))
        if size:
            return torch.cat(one_by_one(logits, [(part,) for part in images]))
        return torch.cat([*(logits(part, keep_last=False) for part in images[:-1]), logits(images[-1])])

    def forward(self, images: Tensor, groups: Sequence[PromptGroup]) -> Tensor:
        return self.logits(self.image_features(images, groups), self.class_features(groups))


def part_sizes(count: int, most: int) -> list[int]:
    """How many of `count` things go in each part, `most` of them; the first part takes what is left over."""
    most = max(most, 1)
    rest = count % most
    return [rest] * (rest > 0 or count == 0) + [most] * (count // most)


def one_by_one(function: Callable[..., Tensor], parts: Sequence[tuple], *, keep_last: bool = True) -> list[Tensor]:
    """`function(*part)` of each part. Where gradients are on, only the last keeps its activations, and only if it may."""
    kept = len(parts) - 1 if keep_last else len(parts)
    if not torch.is_grad_enabled():
        kept = 0
    again = [_computed_again(function, part) for part in parts[:kept]]
    return again + [function(*part) for part in parts[kept:]]


def _computed_again(function: Callable[..., Tensor], part: tuple) -> Tensor:
    # Nothing in a tower is random
    return checkpoint(at_most("towers")(function), *part, use_reentrant=False, preserve_rng_state=False)


class Unchanged:
    """Whether tensors are still what they were when it was asked before.

    On the CPU their values are compared. Elsewhere that would be to wait for the device: there they have to be the same
    objects, into which nothing was written since by PyTorch's count (which knows nothing of writes through `.data`).
    """

    def __init__(self) -> None:
        self._before: list[tuple[Tensor, tuple]] | None = None

    def __call__(self, tensors: Sequence[Tensor]) -> bool:
        before = self._before
        same = before is not None and len(before) == len(tensors)
        if same and all(map(_is_as_before, tensors, before)):
            return True
        self._before = [(t.detach().clone() if t.is_cpu else t, _state(t)) for t in tensors]
        return False


def _state(tensor: Tensor) -> tuple:
    writes = 0 if tensor.is_cpu or tensor.is_inference() else tensor._version
    return tensor.dtype, tensor.device, writes


def _is_as_before(tensor: Tensor, before: tuple[Tensor, tuple]) -> bool:
    known, state = before
    return state == _state(tensor) and (torch.equal(tensor, known) if tensor.is_cpu else tensor is known)


class CachedClassFeatures:
    """Class features that are encoded once as long as the text prompts stay the same, instead of once per batch.

    In evaluation that is once per test; in training it holds where nothing in the text tower learns (VPT).
    """

    def __init__(self, model: PromptedCLIP):
        self.model = model
        self._kind: tuple | None = None
        self._unchanged = Unchanged()
        self._features: Tensor | None = None

    def __call__(self, groups: Sequence[PromptGroup]) -> Tensor:
        prompts = [entry for group in groups for entry in group.text]
        if torch.is_grad_enabled() and any(entry.requires_grad for entry in prompts):
            return self.model.class_features(groups)
        # Besides the prompts' values, where they stand and the tower's number format decide the features.
        tower = self.model.clip.positional_embedding
        kind = tuple((len(group.text), group.after_name) for group in groups), tower.dtype, tower.device
        if not self._unchanged(prompts) or kind != self._kind:
            with torch.no_grad():
                self._features = self.model.class_features(groups)
            self._kind = kind
        return self._features
