"""Phase 1: a large CLIP teaches the boosting prompts of a small one on unlabelled images (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbones import Backbone
from .errors import InputError
from .zeroshot import zeroshot_features


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """tau^2 * KL(softmax(teacher / tau) || softmax(student / tau)), summed over classes, mean over images.

    Both are logits [B, C]; the result is a scalar in nats. Raises InputError unless the temperature is positive.
    """
    if temperature <= 0:
        raise InputError(f"TRAINER.CASPL.TEMPERATURE is {temperature}, expected a number above 0")
    target = F.log_softmax(teacher.float() / temperature, dim=-1)
    guess = F.log_softmax(student.float() / temperature, dim=-1)
    return temperature**2 * F.kl_div(guess, target, reduction="batchmean", log_target=True)


class Teacher(nn.Module):
    """A frozen CLIP that gives soft labels: its class features are computed once, from one template.

    It sees the student's own augmented batch. Where it wants another size or normalisation, the batch is converted.
    """

    def __init__(
        self,
        backbone: Backbone,
        classnames: Sequence[str],
        template: str,
        *,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        super().__init__()
        self.backbone, self.size = backbone, tuple(backbone.image_size)
        self.register_buffer("classes", zeroshot_features(backbone, classnames, template), persistent=False)
        # x * scale + shift turns the student's normalisation into the teacher's.
        own_std = torch.tensor(backbone.std)
        scale = (torch.tensor(std) / own_std).view(1, -1, 1, 1)
        shift = ((torch.tensor(mean) - torch.tensor(backbone.mean)) / own_std).view(1, -1, 1, 1)
        self.same = torch.allclose(scale, torch.ones(())) and torch.allclose(shift, torch.zeros(()), atol=1e-6)
        self.register_buffer("rescale", scale.to(self.classes.device), persistent=False)
        self.register_buffer("shift", shift.to(self.classes.device), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor, scale: Tensor) -> Tensor:
        """Logits [B, C] of the student's images [B, 3, H, W], at the student's exp(logit scale) as in the reference."""
        if not self.same:
            images = images * self.rescale + self.shift
        if tuple(images.shape[-2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bicubic", antialias=True, align_corners=False)
        features = self.backbone.image_features(images)
        return scale * features @ self.classes.to(features.dtype).T
