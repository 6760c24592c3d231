"""Prompted CLIP: a frozen CLIP, class names and a list of prompt groups give logits. It knows no trainer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbones import Backbone
from .errors import InputError
from .image_tower import encode_images
from .prompts import PromptGroup
from .text_tower import ClassTokens, TextTower


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

    def forward(self, images: Tensor, groups: Sequence[PromptGroup]) -> Tensor:
        return self.logits(self.image_features(images, groups), self.class_features(groups))


class CachedClassFeatures:
    """Class features that are encoded once while nothing trains, instead of once per test batch.

    They are reused only under no_grad and while every tensor of the prompts is the one that was seen, unchanged.
    """

    def __init__(self, model: PromptedCLIP):
        self.model = model
        self._key: tuple | None = None
        self._features: Tensor | None = None

    def __call__(self, groups: Sequence[PromptGroup]) -> Tensor:
        if torch.is_grad_enabled():
            return self.model.class_features(groups)
        tensors = [t for group in groups for t in group.text]
        # Parameters keep their identity and count their in-place changes; anything computed is encoded anew.
        kept = all(isinstance(t, nn.Parameter) for t in tensors)
        key = (tuple(g.after_name for g in groups), tuple((t.data_ptr(), t._version, t.device) for t in tensors))
        if not kept or key != self._key:
            self._features, self._key = self.model.class_features(groups), key if kept else None
        return self._features
