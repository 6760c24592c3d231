"""Describable Textures Dataset: 47 textures. M. Cimpoi et al., 2014, https://www.robots.ox.ac.uk/~vgg/data/dtd/."""

from __future__ import annotations

from .files.registry import register
from .splits.dataset import SplitDataset
from .splits.making import split_folders
from .splits.split_file import Split


@register
class DescribableTextures(SplitDataset):
    """`<root>/dtd`: images/<texture>/<texture>_<n>.jpg. The ten official splits are not used, as in CoOp."""

    dataset_dir = "dtd"
    image_dir = "images"
    split_file = "split_zhou_DescribableTextures.json"
    split_sha256 = "f26ebeccd2b58e68d70f07a0dc39fe49bf7b69024bac34396b954dfd87969c38"

    def make_split(self) -> Split:
        return split_folders(self.image_dir, classes=47)
