"""Phase 1: a large CLIP teaches the boosting prompts of a small one on unlabelled images (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..clip.backbones import Backbone
from ..clip.feature_store import FeatureStore
from ..clip.precision import at_least_float32
from ..ground.errors import QuantityError
from ..ground.tensors.checksum import checksum
from .zeroshot.features import zeroshot_features

LOSSES = ("kl", "reverse_kl", "l1", "mse")


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0, kind: str = "kl") -> Tensor:
    """How far the student's logits [B, C] are from the teacher's: a scalar.

    "kl", the paper's, is tau^2 * KL(softmax(teacher / tau) || softmax(student / tau)), summed over classes, mean over
    images, in nats; "reverse_kl" exchanges the two; "l1" and "mse" are means over images and classes of the logits'
    absolute and squared differences and know no temperature.
    Raises QuantityError for another kind, or a temperature that is not positive.
    """
    if temperature <= 0:
        raise QuantityError(("temperature", f"is {temperature}, expected above 0"))
    student, teacher = at_least_float32(student), at_least_float32(teacher)
    if kind == "l1":
        return F.l1_loss(student, teacher)
    if kind == "mse":
        return F.mse_loss(student, teacher)
    guess, target = (F.log_softmax(z / temperature, dim=-1) for z in (student, teacher))
    if kind == "reverse_kl":
        guess, target = target, guess
    elif kind != "kl":
        raise QuantityError(("loss", f'is "{kind}", expected one of {", ".join(LOSSES)}'))
    return temperature**2 * F.kl_div(guess, target, reduction="batchmean", log_target=True)


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean of 1 - cosine between the student's features, mapped to the teacher's width, and the teacher's: [*, E]."""
    return 1 - F.cosine_similarity(at_least_float32(student), at_least_float32(teacher), dim=-1).mean()


class Teacher(nn.Module):
    """A frozen CLIP that gives soft labels: its class features are computed once, from one text for each class.

    It sees the student's own augmented batch. Where it wants another size or normalisation, the batch is converted.
    The features of many texts are looked for in `store`, and kept there.
    """

    def __init__(
        self,
        backbone: Backbone,
        texts: Sequence[str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        store: FeatureStore | None = None,
    ):
        super().__init__()
        self.backbone, self.size = backbone, tuple(backbone.image_size)
        self.register_buffer("classes", zeroshot_features(backbone, texts, "{}", store=store), persistent=False)
        # x * scale + shift turns the student's normalisation into the teacher's.
        own_std = torch.tensor(backbone.std)
        scale = (torch.tensor(std) / own_std).view(1, -1, 1, 1)
        shift = ((torch.tensor(mean) - torch.tensor(backbone.mean)) / own_std).view(1, -1, 1, 1)
        self.same = torch.allclose(scale, torch.ones(())) and torch.allclose(shift, torch.zeros(()), atol=1e-6)
        self.register_buffer("rescale", scale.to(self.classes.device), persistent=False)
        self.register_buffer("shift", shift.to(self.classes.device), persistent=False)

    def image_facts(self) -> dict[str, Any]:
        """What decides `image_features` beside the images and the precision, in plain values."""
        conversion = {"size": list(self.size), "by": "bicubic, antialiased"}
        if not self.same:
            conversion |= {"rescale": self.rescale.flatten().tolist(), "shift": self.shift.flatten().tolist()}
        weights = checksum(self.backbone.model.visual.state_dict())  # every bit: fingerprints are of half precision
        return {"network": self.backbone.fingerprint, "weights": weights, "conversion": conversion}

    @torch.no_grad()
    def image_features(self, images: Tensor) -> Tensor:
        """Normalised features [B, E] of the student's images [B, 3, H, W]."""
        if not self.same:
            images = images * self.rescale + self.shift
        if tuple(images.shape[-2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bicubic", antialias=True, align_corners=False)
        return self.backbone.image_features(images)

    @torch.no_grad()
    def logits(self, features: Tensor, scale: Tensor) -> Tensor:
        """Logits [B, C] of images with these normalised features [B, E], at the student's exp(logit scale)."""
        return scale * features @ self.classes.to(features.dtype).T

    @torch.no_grad()
    def forward(self, images: Tensor, scale: Tensor) -> Tensor:
        """The `logits` of the student's images [B, 3, H, W]."""
        return self.logits(self.image_features(images), scale)
