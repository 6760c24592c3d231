"""ImageNet-A: natural adversarial examples. D. Hendrycks et al., 2021, https://github.com/hendrycks/natural-adv-examples."""

from __future__ import annotations

from .files.registry import register
from .splits.wordnet import ImageNetVariant


@register
class ImageNetA(ImageNetVariant):
    """`<root>/imagenet-adversarial`: imagenet-a/<wnid>/*.jpg and classnames.txt. 200 classes, labels 0 to 199."""

    dataset_dir = "imagenet-adversarial"
    image_dir = "imagenet-a"
    class_count = 200
