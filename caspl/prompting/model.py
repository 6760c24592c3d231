"""Prompted CLIP: a frozen CLIP, class names and a list of prompt groups give logits. It knows no trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..clip.backbones import Backbone
from ..ground.errors import InputError
from .groups import PromptGroup
from .image_tower import encode_images
from .layout import ClassTokens
from .text_tower import TextTower

# Bytes of activations that stay near enough to a CPU's caches: evaluation of CoCoOp was measured a third faster than with
# gigabytes, and it keeps a GPU busy too.
EVALUATION_PART = 2e8


class PromptedCLIP(nn.Module):
    """A CLIP <- CLIP + prompts. The backbone stays frozen and in evaluation mode, whatever train() is called on it."""

    def __init__(self, backbone: Backbone, classnames: Sequence[str]):
        super().__init__()
        backbone.check_student()
        self.clip = backbone.model
        self.backbone = backbone
        self.tower = TextTower(self.clip, ClassTokens(classnames, backbone.tokenizer))

    def train(self, mode: bool = True) -> PromptedCLIP:
        super().train(mode)
        self.clip.eval()
        return self

    @property
    def scale(self) -> Tensor:
        """exp(logit scale), a positive scalar."""
        return self.clip.logit_scale.exp()

    def class_features(self, groups: Sequence[PromptGroup]) -> Tensor:
        """Normalised class features: [C, E], or [G, C, E] where prompts differ by prompt set."""
        features = F.normalize(self.tower(groups), dim=-1)
        return features[0] if len(features) == 1 else features

    def image_features(self, images: Tensor, groups: Sequence[PromptGroup]) -> Tensor:
        """Normalised image features [B, E] of images [B, 3, H, W]."""
        if self.backbone.has_vit:
            return F.normalize(encode_images(self.clip.visual, images, groups), dim=-1)
        if any(group.vision_length for group in groups):
            raise InputError(f"the image tower of {self.backbone.name} is not a ViT and takes text prompts only")
        return self.backbone.image_features(images)

    def logits(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        """[B, E] and [C, E] or [B, C, E], both normalised -> exp(logit scale) * cosine: [B, C]."""
        if class_features.dim() == 3:
            return self.scale * torch.einsum("be,bce->bc", image_features, class_features)
        return self.scale * image_features @ class_features.T

    def conditional_logits(
        self, image_features: Tensor, groups_for: Callable[[Tensor], Sequence[PromptGroup]], memory: float
    ) -> Tensor:
        """Logits [B, C] where every image has its own text prompts: `groups_for([b, E])` gives b prompt sets.

        All images go through the text tower together, or in as few parts as keep its activations below about `memory`
        bytes (an image at least). With several parts and gradients, a part's activations are computed again on the way
        back instead of kept: the same numbers, a third more work.
        """

        def part_logits(part: Tensor) -> Tensor:
            return self.logits(part, self.class_features(groups_for(part)))

        if not torch.is_grad_enabled():  # smaller parts cost nothing then
            memory = min(memory, EVALUATION_PART)
        size = max(1, int(memory // self.tower.activation_bytes(groups_for(image_features[:1]))))
        parts = image_features.split(size)
        if len(parts) > 1 and torch.is_grad_enabled():
            return torch.cat([checkpoint(part_logits, part, use_reentrant=False) for part in parts])
        return torch.cat([part_logits(part) for part in parts])

    def forward(self, images: Tensor, groups: Sequence[PromptGroup]) -> Tensor:
        return self.logits(self.image_features(images, groups), self.class_features(groups))


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
