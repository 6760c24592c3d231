"""ProGrad: steps that do not contradict zero-shot CLIP. Prompt-aligned Gradient for Prompt Tuning, arXiv 2205.14865."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from caspl.clip.backbones import Backbone
from caspl.clip.precision import at_least_float32
from caspl.clip.templates import template_for
from caspl.clip.zeroshot import zeroshot_features
from caspl.ground.errors import InputError
from caspl.ground.keys import Key

from .coop import CoOp, context_rule, initial_phrase
from .registration import register

# Where the reference's hand-written template is another than CLIP's.
PROGRAD_TEMPLATES = {
    "DescribableTextures": "a texture of {}.",
    "FGVCAircraft": "a type of aircraft, a photo of a {}.",
    "Food101": "a type of food, a photo of {}.",
    "OxfordFlowers": "a type of flower, a photo of a {}.",
    "OxfordPets": "a type of pet, a photo of a {}.",
}


TEMPLATE = "template"  # as TRAINER.COOP.CTX_INIT: the words of the dataset's template
KEYS = [  # under the names of the reference
    Key("LOSS.T", 1.0, "ProGrad: temperature of the distillation gradient", least=0.001, most=1_000),
    Key("LOSS.LAMBDA", 1.0, "ProGrad: how much of the contradicting part is taken away", least=0, most=1),
]


def without_conflict(gradient: Tensor, general: Tensor, strength: float) -> Tensor:
    """`gradient` without `strength` times its part along `general`, where the two point apart (paper, equation 5)."""
    direction = general / general.norm().clamp_min(torch.finfo(general.dtype).tiny)
    along = (gradient * direction).sum()
    if along >= 0:
        return gradient
    return gradient - strength * along * direction  # also where `general` is not finite, for the step to see it


@register
class ProGrad(CoOp):
    """CoOp whose cross-entropy gradient is projected, tensor by tensor, against that of distilling zero-shot CLIP.

    TRAINER.COOP.CTX_INIT "template" starts the last context tokens from the words of the dataset's template, the others at 0.
    """

    method, own_keys, rules = "ProGrad", (*CoOp.own_keys, *KEYS), (context_rule("TRAINER.COOP", but=TEMPLATE),)

    @property
    def template(self) -> str:
        return template_for(self.cfg.DATASET.NAME, own=PROGRAD_TEMPLATES)

    def initial_context(self, backbone: Backbone, classes: int) -> tuple[Tensor, Tensor | None]:
        length = self.keys.N_CTX
        if self.keys.CTX_INIT != TEMPLATE:
            return super().initial_context(backbone, classes)
        words, rest = initial_phrase(backbone, self.template.split("{}")[0].strip())
        if length < len(words):
            raise InputError(
                f'TRAINER.COOP.N_CTX is {length}, but the template "{self.template}" has {len(words)} words in front of '
                f"the class name; set it to {len(words)} or more"
            )
        return torch.cat([torch.zeros(length - len(words), words.shape[-1]), words]), rest

    def prepare(self) -> None:
        self.plain_classes = zeroshot_features(self.backbone, self.dm.dataset.classnames, self.template)

    def general_loss(self, images: Tensor, logits: Tensor) -> Tensor:
        """Cross-entropy between zero-shot CLIP's probabilities and the model's at temperature T, times T^2."""
        temperature = self.cfg.LOSS.T
        with torch.no_grad():
            features = self.backbone.image_features(images)
            plain = self.model.prompted.logits(features, self.plain_classes.to(features.dtype))
            target = F.softmax(at_least_float32(plain) / temperature, dim=-1)
        return F.cross_entropy(at_least_float32(logits) / temperature, target) * temperature**2

    def backward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with self.precision.autocast():
            loss, logits = self.loss(images, labels)
            general = self.general_loss(images, logits)
        own = torch.autograd.grad(self.scaler.scale(loss), self.trained, retain_graph=True)
        towards = torch.autograd.grad(self.scaler.scale(general), self.trained)
        for parameter, gradient, direction in zip(self.trained, own, towards, strict=True):
            parameter.grad = without_conflict(gradient, direction, self.cfg.LOSS.LAMBDA)
        return loss, logits
