"""ProGrad: steps that do not contradict zero-shot CLIP. Prompt-aligned Gradient for Prompt Tuning, arXiv 2205.14865."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caspl.clip.precision import at_least_float32
from caspl.clip.templates import template_for
from caspl.ground.devices.transfers import onto
from caspl.ground.keys import Key
from caspl.prompting.groups import PromptGroup
from caspl.prompting.zeroshot.features import zeroshot_features

from .coop import LEADING_TEMPLATES, CoOp
from .registration import register

PLAIN = "plain"  # in a batch of CROP_POOL: the features without boosting prompts

KEYS = [  # under the names of the reference
    Key(
        "LOSS.NAME",
        "prograd",
        "ProGrad: its loss, of which there is one",
        check=lambda name: name.lower() in ("", "prograd"),
        rule="prograd or empty",
    ),
    Key("LOSS.GM", False, "Kept for upstream's files: nothing reads it", unread=True),
    Key("LOSS.ALPHA", 0.0, "Kept for upstream's files: nothing reads it", least=0, most=1_000, unread=True),
    Key("LOSS.T", 1.0, "ProGrad: temperature of the distillation gradient", least=0.001, most=1_000),
    Key("LOSS.LAMBDA", 1.0, "ProGrad: how much of the contradicting part is taken away", least=0, most=1),
]


def without_conflict(gradient: Tensor, general: Tensor, strength: float) -> Tensor:
    """`gradient` without `strength` times its part along `general`, where the two point apart (paper, equation 5)."""
    direction = general / general.norm().clamp_min(torch.finfo(general.dtype).tiny)
    along = (gradient * direction).sum()
    without = gradient - strength * along * direction  # also where `general` is not finite, for the step to see it
    return torch.where(along >= 0, gradient, without)  # on the device, without asking it


@register
class ProGrad(CoOp):
    """CoOp whose cross-entropy gradient is projected, tensor by tensor, against that of distilling zero-shot CLIP."""

    method, own_keys = "ProGrad", (*CoOp.own_keys, *KEYS)
    general: Sequence[Tensor] = ()  # gradients of the general loss, of the parts of a batch so far
    plain_images: Tensor | None = None  # of the batch: their features without boosting prompts, where those are kept

    @property
    def template(self) -> str:
        return template_for(self.cfg.DATASET.NAME, own=LEADING_TEMPLATES)

    def prepare(self) -> None:
        self.plain_classes = zeroshot_features(
            self.backbone, self.dm.dataset.classnames, self.template, store=self.text_store
        )

    def encoders(self) -> dict[str, Sequence[PromptGroup]]:
        return super().encoders() | {PLAIN: []}

    def parse_batch_train(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        self.plain_images = onto(self.device, batch[PLAIN])[0] if PLAIN in batch else None
        return super().parse_batch_train(batch)

    def general_loss(self, images: Tensor, logits: Tensor) -> Tensor:
        """Cross-entropy between zero-shot CLIP's probabilities and the model's at temperature T, times T^2."""
        temperature = self.cfg.LOSS.T
        with torch.no_grad():
            features = self.backbone.image_features(images) if self.plain_images is None else self.plain_images
            plain = self.model.prompted.logits(features, self.plain_classes.to(features.dtype))
            target = F.softmax(at_least_float32(plain) / temperature, dim=-1)
        return F.cross_entropy(at_least_float32(logits) / temperature, target) * temperature**2

    def backward(self, images: Tensor, labels: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """As for all; the gradients of the general loss are summed beside the own ones."""
        with self.precision.autocast():
            loss, logits = self.loss(images, labels)
            general = self.general_loss(images, logits)
        own, towards = (self.scaler.scale(each if share == 1 else each * share) for each in (loss, general))
        own.backward(retain_graph=True)
        part = torch.autograd.grad(towards, self.trained)
        self.general = [a + b for a, b in zip(self.general, part, strict=True)] if self.general else list(part)
        return loss, logits

    def gradients(self) -> list[Tensor]:
        return [*super().gradients(), *self.general]

    def complete_gradients(self) -> None:
        """Both directions are known: those of the own loss are projected."""
        super().complete_gradients()
        for parameter, direction in zip(self.trained, self.general, strict=True):
            parameter.grad = without_conflict(parameter.grad, direction, self.cfg.LOSS.LAMBDA)
        self.general = ()
