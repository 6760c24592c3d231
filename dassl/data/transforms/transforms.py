"""Building the transforms of training and test images from names in the configuration.

The results and the random draws are those of Dassl 0.6.3, to the bit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from dassl.config.defaults import choices_of
from torchvision import transforms as v1
from torchvision.transforms import InterpolationMode, v2
from yacs.config import CfgNode

from caspl.ground.errors import InputError, first_line, unknown_name

from .operations import Cutout, GaussianNoise, InstanceNormalization, PILToFloat, Random2DTranslation

logger = logging.getLogger(__name__)

AVAI_CHOICES = choices_of("INPUT.TRANSFORMS")
INTERPOLATION_MODES = {name: InterpolationMode(name) for name in choices_of("INPUT.INTERPOLATION")}

# The line that announces a step, and a function that makes it (values of unused steps are thus never looked at)
_Step = tuple[str, Callable[[], Callable[[Any], Any]]]


def build_transform(
    cfg: CfgNode, is_train: bool = True, choices: Sequence[str] | None = None
) -> Callable[[Any], Any] | None:
    """Return the transform from a PIL image to a float32 tensor (3, height, width), or None with INPUT.NO_TRANSFORM.

    Args:
        cfg: configuration; its INPUT node is read.
        is_train: True = with the random operations, False = resize and centre crop.
        choices: names from AVAI_CHOICES in place of INPUT.TRANSFORMS; their order has no effect.

    Raises:
        InputError: an unknown name or interpolation; the sentence lists the choices.
    """
    if cfg.INPUT.NO_TRANSFORM:
        logger.info("Note: no transform is applied!")
        return None
    choices = cfg.INPUT.TRANSFORMS if choices is None else choices
    for choice in choices:
        if choice not in AVAI_CHOICES:
            raise InputError(unknown_name(choice, AVAI_CHOICES, what="transform in INPUT.TRANSFORMS"))
    logger.info(f"Building transform_{'train' if is_train else 'test'}")
    steps = _train_steps(cfg, choices) if is_train else _test_steps(cfg, choices)
    for line, _ in steps:
        logger.info(f"+ {line}")
    return v2.Compose([make() for _, make in steps])


def interpolation_mode(cfg: CfgNode) -> InterpolationMode:
    """Return the mode that INPUT.INTERPOLATION names.

    Raises:
        InputError: there is none of that name.
    """
    name = cfg.INPUT.INTERPOLATION
    if name not in INTERPOLATION_MODES:
        raise InputError(unknown_name(name, INTERPOLATION_MODES, what="interpolation in INPUT.INTERPOLATION"))
    return INTERPOLATION_MODES[name]


def build_plain_transform(cfg: CfgNode) -> Callable[[Any], Any]:
    """Return the transform of `img0`: resize, convert and, if training images are, normalise; nothing random."""
    steps: list[Callable] = [v2.Resize(list(cfg.INPUT.SIZE), interpolation=interpolation_mode(cfg)), PILToFloat()]
    if "normalize" in cfg.INPUT.TRANSFORMS:
        steps.append(_normalize(cfg)[1]())
    return v2.Compose(steps)


def _train_steps(cfg: CfgNode, choices: Sequence[str]) -> list[_Step]:
    """Return the training steps; their order is Dassl's and independent of the order of `choices`."""
    size = list(cfg.INPUT.SIZE)
    steps: list[_Step] = []
    if "random_crop" not in choices and "random_resized_crop" not in choices:
        mode = interpolation_mode(cfg)
        steps.append((f"resize to {size[0]}x{size[1]}", lambda: v2.Resize(size, interpolation=mode)))
    steps += [step for name, step in _image_steps(cfg).items() if name in choices]
    steps.append(("to torch tensor of range [0, 1]", PILToFloat))
    steps += [step for name, step in _tensor_steps(cfg).items() if name in choices]
    return steps


def _image_steps(cfg: CfgNode) -> dict[str, _Step]:
    """Return the steps on PIL images by name, in their order."""
    node, size = cfg.INPUT, cfg.INPUT.SIZE
    jitter = dict(
        brightness=node.COLORJITTER_B,
        contrast=node.COLORJITTER_C,
        saturation=node.COLORJITTER_S,
        hue=node.COLORJITTER_H,
    )
    return {
        "random_translation": ("random translation", lambda: Random2DTranslation(size[0], size[1])),
        # v1, because v2 draws nothing along a side where only one position is possible
        "random_crop": (
            f"random crop (padding = {node.CROP_PADDING})",
            lambda: RandomCrop(size, padding=node.CROP_PADDING),
        ),
        "random_resized_crop": (
            f"random resized crop (size={size}, scale={node.RRCROP_SCALE})",
            lambda: v2.RandomResizedCrop(size, scale=node.RRCROP_SCALE, interpolation=interpolation_mode(cfg)),
        ),
        "random_flip": ("random flip", v2.RandomHorizontalFlip),
        "colorjitter": (
            f"color jitter ({', '.join(f'{name}={value}' for name, value in jitter.items())})",
            lambda: v2.ColorJitter(**jitter),
        ),
        "randomgrayscale": ("random gray scale", lambda: v2.RandomGrayscale(p=node.RGS_P)),
        # v1, because v2 rounds the kernel differently, which changes a few pixels by 1/255
        "gaussian_blur": (
            f"gaussian blur (kernel={node.GB_K})",
            lambda: v1.RandomApply([v1.GaussianBlur(node.GB_K)], p=node.GB_P),
        ),
    }


def _tensor_steps(cfg: CfgNode) -> dict[str, _Step]:
    """Return the steps on tensors by name, in their order."""
    node = cfg.INPUT
    return {
        "cutout": (
            f"cutout (n_holes={node.CUTOUT_N}, length={node.CUTOUT_LEN})",
            lambda: Cutout(node.CUTOUT_N, node.CUTOUT_LEN),
        ),
        "normalize": _normalize(cfg),
        "gaussian_noise": (
            f"gaussian noise (mean={node.GN_MEAN}, std={node.GN_STD})",
            lambda: GaussianNoise(node.GN_MEAN, node.GN_STD),
        ),
        "instance_norm": ("instance normalization", InstanceNormalization),
    }


class RandomCrop(v1.RandomCrop):
    """torchvision's; raises InputError for an image that is smaller than the crop, its padding included."""

    def forward(self, img: Any) -> Any:
        try:
            return super().forward(img)
        except ValueError as error:
            raise InputError(
                f'an image is too small for "random_crop" (INPUT.TRANSFORMS): {first_line(error)}; use '
                f'"random_resized_crop", or a larger INPUT.CROP_PADDING'
            ) from None


def _normalize(cfg: CfgNode) -> _Step:
    mean, std = cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD
    # In place: the tensor was made by the step before and is nobody else's
    return f"normalization (mean={mean}, std={std})", lambda: v2.Normalize(list(mean), list(std), inplace=True)


def _test_steps(cfg: CfgNode, choices: Sequence[str]) -> list[_Step]:
    size = list(cfg.INPUT.SIZE)
    edge, mode = max(size), interpolation_mode(cfg)
    steps: list[_Step] = [
        (f"resize the smaller edge to {edge}", lambda: v2.Resize(edge, interpolation=mode)),
        (f"{size[0]}x{size[1]} center crop", lambda: v2.CenterCrop(size)),
        ("to torch tensor of range [0, 1]", PILToFloat),
    ]
    return steps + [
        step for name, step in _tensor_steps(cfg).items() if name in choices and name in ("normalize", "instance_norm")
    ]
