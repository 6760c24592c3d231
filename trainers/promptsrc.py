"""PromptSRC: self-regulating prompts. Foundational Model Adaptation without Forgetting, arXiv 2307.06948."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caspl.clip.precision import at_least_float32
from caspl.clip.templates import DIVERSE
from caspl.ground.errors import InputError, listed
from caspl.ground.keys import Key, Rule
from caspl.ground.tensors.shapes import differences, shapes_of
from caspl.prompting.zeroshot.features import zeroshot_features

from .ivlp import IVLP
from .keys import MOST_WEIGHT, independent_keys, some_tokens
from .prompt_trainer import check_prompts
from .registration import register

log = logging.getLogger(__name__)


KEYS = [
    *independent_keys("TRAINER.PROMPTSRC", tokens=4),
    Key(
        "TRAINER.PROMPTSRC.TEXT_LOSS_WEIGHT",
        25,
        "Weight of the L1 distance between prompted and plain class features",
        least=0,
        most=MOST_WEIGHT,
    ),
    Key("TRAINER.PROMPTSRC.IMAGE_LOSS_WEIGHT", 10, "The same for image features", least=0, most=MOST_WEIGHT),
    Key(
        "TRAINER.PROMPTSRC.GPA_MEAN",
        15,
        "Epoch (from 1) whose prompts weigh most in the average over epochs",
        least=-1_000_000,
        most=1_000_000,
    ),
    Key("TRAINER.PROMPTSRC.GPA_STD", 1, "Width of that average in epochs", least=0.001, most=1_000_000),
    Key(
        "TRAINER.PROMPTSRC.GPA_FROZEN",
        False,
        "True: average CLIP's frozen weights, too, in fp16, which moves them by some 1e-4, as the reference does",
    ),
]


AVERAGE = "average of CLIP's frozen weights"
AVERAGED = (*(f"TRAINER.PROMPTSRC.GPA_{name}" for name in ("FROZEN", "MEAN", "STD")), "OPTIM.MAX_EPOCH")


def gpa_weights(mean: float, std: float, epochs: int) -> list[float]:
    """Gaussian weights of the epochs 1..epochs, which sum to 1 (paper, section 3.2.2)."""
    weights = [math.exp(-0.5 * ((epoch - mean) / std) ** 2) for epoch in range(1, epochs + 1)]
    return [weight / sum(weights) for weight in weights]


def _some_epoch_weighs(mean: float, std: float, epochs: int) -> bool:
    """Whether the weights can be divided by their sum: the epoch nearest to the mean must weigh more than nothing."""
    return math.exp(-0.5 * ((min(max(mean, 1), epochs) - mean) / std) ** 2) > 0


RULES = [
    some_tokens("TRAINER.PROMPTSRC"),
    Rule(
        ("TRAINER.PROMPTSRC.GPA_MEAN", "TRAINER.PROMPTSRC.GPA_STD", "OPTIM.MAX_EPOCH"),
        _some_epoch_weighs,
        "a mean that is one of the epochs, or so near to one that it weighs anything",
    ),
]


@torch.no_grad()
def average_frozen(model: nn.Module, weights: list[float]) -> None:
    """Replace the frozen weights by their weighted sum over equal epochs, in OpenAI's split of fp16 and fp32, in place.

    Without rounding that would change nothing; this is what the reference's average does to a frozen CLIP.
    """
    norms = {p for m in model.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters()}
    wide = {model.logit_scale, model.positional_embedding, model.token_embedding.weight}
    wide |= {getattr(model.visual, name, None) for name in ("positional_embedding", "class_embedding")}
    for parameter in model.parameters():
        if parameter is model.token_embedding.weight:  # the reference keeps it outside of the averaged model
            continue
        value = parameter.float() if parameter in norms or parameter in wide else parameter.half()
        parameter.copy_(sum(value * weight for weight in weights))


@register
class PromptSRC(IVLP):
    """IVLP with three regularisers towards plain CLIP, and a Gaussian average of the prompts over epochs (GPA).

    Loss: cross-entropy, 25 L1(class features), 10 L1(image features), and KL between logits, divided by images and classes.
    The references see no prompts: class features are means over sixty templates, not normalised before the mean.
    """

    method, node, own_keys, rules = "PromptSRC", "PROMPTSRC", KEYS, RULES

    def build_model(self) -> None:
        super().build_model()
        self.gpa_weights = gpa_weights(self.keys.GPA_MEAN, self.keys.GPA_STD, self.max_epoch)
        self.average: dict[str, Tensor] = {}  # of the trained prompts, over the epochs so far

    def prepare(self) -> None:
        classnames = self.dm.dataset.classnames
        self.plain_classes = zeroshot_features(
            self.backbone, classnames, *DIVERSE, normalize_each=False, store=self.text_store
        )

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        image, text = self.model.encode(images)
        logits = self.model.prompted.logits(image, text)
        with torch.no_grad():
            plain_image, plain_text = self.backbone.image_features(images), self.plain_classes.to(text.dtype)
            plain_logits = self.model.prompted.logits(plain_image.to(image.dtype), plain_text)
        guess, target = (F.log_softmax(at_least_float32(z), dim=-1) for z in (logits, plain_logits))
        loss = (
            F.cross_entropy(logits, labels)
            + self.keys.TEXT_LOSS_WEIGHT * F.l1_loss(text, plain_text)
            + self.keys.IMAGE_LOSS_WEIGHT * F.l1_loss(image, plain_image)
            + F.kl_div(guess, target, reduction="sum", log_target=True) / logits.numel()
        )
        return loss, logits

    @torch.no_grad()
    def after_epoch(self) -> None:
        """Add the epoch's prompts to the average; after the last epoch the average takes their place."""
        weight = self.gpa_weights[self.epoch]
        trained = {name: p for name, p in self.model.learner.named_parameters() if p.requires_grad}
        for name, parameter in trained.items():
            self.average[name] = self.average.get(name, 0) + weight * parameter
        if self.epoch + 1 == self.max_epoch:
            log.info("The prompts are replaced by their Gaussian average over epochs")
            for name, parameter in trained.items():
                parameter.copy_(self.average[name])
            self.average_frozen()
        super().after_epoch()

    @classmethod
    def decided(cls, values: Mapping[str, Any]) -> dict[str, str]:
        averaged, *given = (values.get(key) for key in AVERAGED)
        return super().decided(values) | {AVERAGE: str([*map(float, given)]) if averaged else "none"}

    def deciding(self) -> dict[str, Sequence[str]]:
        return super().deciding() | {AVERAGE: AVERAGED}

    def average_frozen(self) -> None:
        if self.keys.GPA_FROZEN:
            _ = self.backbone.fingerprint  # of the CLIP that the command names, before its weights are rounded
            average_frozen(self.backbone.model, self.gpa_weights)

    def save_prompts(self) -> None:
        if self.keys.GPA_FROZEN:
            log.info("No prompts.safetensors: with TRAINER.PROMPTSRC.GPA_FROZEN the prompts fit no released CLIP")
        else:
            super().save_prompts()

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        super().load_model(directory, epoch)
        if directory and epoch == self.max_epoch:
            self.average_frozen()

    def extra_state(self) -> dict:
        return {**super().extra_state(), "average": self.average}

    def load_extra_state(self, state: dict) -> None:
        super().load_extra_state(state)
        average = state.get("average", {})
        learned = {name: p for name, p in self.model.learner.named_parameters() if p.requires_grad}
        if average and (problems := differences(shapes_of(average), shapes_of(learned))):
            raise InputError(f"the average in resume.pth.tar does not fit: {listed(problems)}; delete the file")
        check_prompts(average, "resume.pth.tar")
        self.average = {name: value.to(self.device) for name, value in average.items()}
