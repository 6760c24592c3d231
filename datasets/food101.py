"""Food-101: 101 dishes. L. Bossard et al., 2014, https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/."""

from __future__ import annotations

from .files.registry import register
from .splits.dataset import SplitDataset
from .splits.making import split_folders
from .splits.split_file import Split


@register
class Food101(SplitDataset):
    """`<root>/food-101`, from the mirror `food101`: images/<dish>/<id>.jpg. The lists in meta/ are not used, as in CoOp."""

    dataset_dir = "food-101"
    other_dirs = ("food101", "food101/food-101")
    image_dir = "images"
    split_file = "split_zhou_Food101.json"

    def make_split(self) -> Split:
        return split_folders(self.image_dir, classes=101)
