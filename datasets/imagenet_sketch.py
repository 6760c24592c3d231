"""ImageNet-Sketch: drawings. H. Wang et al., 2019, https://github.com/HaohanWang/ImageNet-Sketch."""

from __future__ import annotations

from .files.registry import register
from .splits.wordnet import ImageNetVariant


@register
class ImageNetSketch(ImageNetVariant):
    """`<root>/imagenet-sketch`: images/<wnid>/*.JPEG, in the archive sketch/<wnid>/, and classnames.txt."""

    dataset_dir = "imagenet-sketch"
    image_dir = "images"
    other_image_dirs = ("sketch",)
