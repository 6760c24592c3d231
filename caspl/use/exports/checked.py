"""What every export shares: the module that is written, what a file says of itself, and the comparison before it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...clip.preprocessing import Preprocessing
from ...ground.errors import InputError
from ...prompting.cascade import Deployed
from ...prompting.image_tower import encode_images
from ...prompting.learners import Prompts
from ..predictor import Predictor

TOLERANCE = 1e-4  # largest difference of logits, relative to the largest logit, that a runtime may show


class Classifier(nn.Module):
    """Images [B, 3, H, W] in [0, 1] -> logits [B, C]: normalisation, image tower with its prompts, class features."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.visual, self.has_vit = predictor.backbone.model.visual, predictor.backbone.has_vit
        self.prompts = Deployed(Prompts(vision=group.vision, trainable=False) for group in predictor.prompts())
        self.preprocessing = predictor.preprocessing
        self.register_buffer("classifier", predictor.classifier.clone())
        self.register_buffer("scale", torch.tensor(predictor.scale))

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.preprocessing.normalize(images)
        features = encode_images(self.visual, pixels, self.prompts()) if self.has_vit else self.visual(pixels)
        return self.scale * F.normalize(features, dim=-1) @ self.classifier.T


def facts(predictor: Predictor) -> dict[str, str]:
    """What a reader of an ONNX file or archive must know: class names (JSON), how images are prepared, where all comes from."""
    preprocessing: Preprocessing = predictor.preprocessing
    return {
        "classnames": json.dumps(predictor.classnames),
        "height": str(preprocessing.size[0]),
        "width": str(preprocessing.size[1]),
        "interpolation": preprocessing.interpolation,
        "method": predictor.method,
        "backbone": predictor.backbone.name,
        "input": "float32 [B, 3, height, width], RGB in [0, 1]: smaller edge resized, centre cut, not normalised",
        "output": "logits [B, C]; their softmax are the classes' probabilities",
    }


def prepare(predictor: Predictor) -> tuple[Classifier, Tensor]:
    """The module to export, on the CPU in float32, and two images to trace it with."""
    if predictor.conditional:
        raise InputError(
            f"{predictor.source} is {predictor.method}'s, which encodes its classes anew for each image, so there is no static "
            f"class matrix to export; use caspl predict or caspl.load"
        )
    if predictor.device.type != "cpu" or predictor.precision.name != "fp32":
        raise InputError("exports are made on the CPU in fp32; load the result with device cpu and precision fp32")
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, *predictor.preprocessing.size, generator=generator)
    return Classifier(predictor).eval().requires_grad_(False), images


@torch.no_grad()
def verify(predictor: Predictor, found: Callable[[Tensor], Tensor], path: str | Path) -> float:
    """The largest difference of logits from the predictor's own, on batches of one and five random images.

    Raises InputError where it is more than TOLERANCE, or the logits have another shape.
    """
    generator, worst = torch.Generator().manual_seed(1), 0.0
    preprocessing = predictor.preprocessing
    for batch in (1, 5):
        images = torch.rand(batch, 3, *preprocessing.size, generator=generator)
        logits, again = predictor.logits(preprocessing.normalize(images)), found(images)
        difference = float((again - logits).abs().max()) if again.shape == logits.shape else float("inf")
        worst = max(worst, difference)
        if not difference <= TOLERANCE * float(logits.abs().max()):
            raise InputError(
                f"{path} was not written: its logits differ from the model's by {difference:.3g}, where they should agree to "
                f"rounding; report this with the versions of torch and onnxruntime"
            )
    return worst
