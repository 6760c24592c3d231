"""CLIP's preprocessing of test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F


@dataclass(frozen=True)
class Preprocessing:
    """How a test image becomes numbers: the smaller edge resized, the centre cut out, the channels normalised.

    `size` is (height, width) in pixels; `mean` and `std` are per channel of pixels in [0, 1].
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"

    def crop(self, image: Image.Image) -> Tensor:
        """An RGB image -> pixels [3, height, width] in [0, 1], float32."""
        image = F.resize(image, [max(self.size)], interpolation=InterpolationMode(self.interpolation))
        image = F.center_crop(image, list(self.size))
        return F.pil_to_tensor(image).to(torch.float32) / 255

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels [..., 3, H, W] in [0, 1] -> what the image tower takes."""
        mean, std = (self.column(values, pixels) for values in (self.mean, self.std))
        return (pixels - mean) / std

    @staticmethod
    def column(values: Sequence[float], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]

    def __call__(self, image: Image.Image) -> Tensor:
        return self.normalize(self.crop(image))
