"""Operations that torchvision lacks, or where Dassl's differ from torchvision's."""

from __future__ import annotations

import random

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F


class Operation:
    """A step that prints as the call that makes it, so that a text of all steps says what becomes of an image."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in vars(self).items())})"


class PILToFloat(Operation):
    """PIL image, or its bytes as a uint8 tensor (C, H, W) -> float32 tensor (C, H, W) in [0, 1].

    Divides by 255 as torchvision's first ToTensor does; v2's conversion multiplies by 1/255, which differs in the
    last bit for some pixel values.
    """

    def __call__(self, img: Image.Image | torch.Tensor) -> torch.Tensor:
        return (img if isinstance(img, torch.Tensor) else pixels(img)).to(torch.float32).div_(255)


def pixels(img: Image.Image) -> torch.Tensor:
    """PIL image -> its bytes as a uint8 tensor (C, H, W)."""
    if img.mode != "RGB":
        return F.pil_to_tensor(img).contiguous()
    # Pillow separates the channels in less time than a tensor is permuted
    planes = bytearray(b"".join(band.tobytes() for band in img.split()))
    return torch.frombuffer(planes, dtype=torch.uint8).view(3, img.height, img.width)


class Random2DTranslation(Operation):
    """PIL image -> PIL image of the target size: enlarge by 1/8 and crop at a random place, or only resize.

    As Dassl 0.6.3, whose draws come from Python's `random`.

    Args:
        height: target height in pixels.
        width: target width in pixels.
        p: probability of the enlarging and cropping.
        interpolation: how resized pixels are computed.
    """

    def __init__(
        self, height: int, width: int, p: float = 0.5, interpolation: InterpolationMode = InterpolationMode.BILINEAR
    ) -> None:
        self.height = height
        self.width = width
        self.p = p
        self.interpolation = interpolation

    def __call__(self, img: Image.Image) -> Image.Image:
        if random.uniform(0, 1) > self.p:
            return F.resize(img, [self.height, self.width], interpolation=self.interpolation)
        height, width = int(round(self.height * 1.125)), int(round(self.width * 1.125))
        img = F.resize(img, [height, width], interpolation=self.interpolation)
        left = int(round(random.uniform(0, width - self.width)))  # drawn before `top`, as Dassl does
        top = int(round(random.uniform(0, height - self.height)))
        return F.crop(img, top, left, self.height, self.width)


class InstanceNormalization(Operation):
    """Tensor (C, H, W) -> the same with mean 0 and standard deviation 1 per channel (arXiv 1607.08022)."""

    def __init__(self, eps: float = 1e-8) -> None:
        self.eps = eps

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        pixels = img.reshape(img.shape[0], -1)  # [C, H, W] -> [C, H * W]
        mean = pixels.mean(1).view(-1, 1, 1)
        std = pixels.std(1).view(-1, 1, 1)
        return (img - mean) / (std + self.eps)


class Cutout(Operation):
    """Tensor (C, H, W) -> the same with squares of zeros at random centres (arXiv 1708.04552).

    Squares are cut off at the border. As Dassl 0.6.3, whose draws come from NumPy's global generator.

    Args:
        n_holes: number of squares.
        length: their side in pixels.
    """

    def __init__(self, n_holes: int = 1, length: int = 16) -> None:
        self.n_holes = n_holes
        self.length = length

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        height, width = img.shape[1:]
        mask = torch.ones(height, width)
        half = self.length // 2
        for _ in range(self.n_holes):
            y, x = np.random.randint(height), np.random.randint(width)
            mask[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 0.0
        return img * mask


class GaussianNoise(Operation):
    """Tensor -> the same plus normal noise, with probability `p`; the decision is drawn from Python's `random`."""

    def __init__(self, mean: float = 0, std: float = 0.15, p: float = 0.5) -> None:
        self.mean = mean
        self.std = std
        self.p = p

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        if random.uniform(0, 1) > self.p:
            return img
        return img + (torch.randn(img.size()) * self.std + self.mean)
