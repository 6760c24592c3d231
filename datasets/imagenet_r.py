"""ImageNet-R: renditions such as art and toys. D. Hendrycks et al., 2021, https://github.com/hendrycks/imagenet-r."""

from __future__ import annotations

from .files.registry import register
from .splits.wordnet import ImageNetVariant


@register
class ImageNetR(ImageNetVariant):
    """`<root>/imagenet-rendition`: imagenet-r/<wnid>/*.jpg and classnames.txt. 200 classes, labels 0 to 199."""

    dataset_dir = "imagenet-rendition"
    image_dir = "imagenet-r"
    class_count = 200
