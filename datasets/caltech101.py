"""Caltech-101: objects in 100 classes. L. Fei-Fei et al., 2004, https://data.caltech.edu/records/mzrjq-6wc02."""

from __future__ import annotations

from .files.registry import register
from .splits.dataset import SplitDataset
from .splits.making import split_folders
from .splits.split_file import Split

IGNORED = ("BACKGROUND_Google", "Faces_easy")
NEW_NAMES = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}


@register
class Caltech101(SplitDataset):
    """`<root>/caltech-101`: 101_ObjectCategories/<class>/image_<n>.jpg.

    Two folders are not used: the background, and a second crop of the faces. Capitals sort first, so label 0 is face.
    """

    dataset_dir = "caltech-101"
    image_dir = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    split_sha256 = "52ce83205ff8ff8a1a18119aad6376120ae35c36e783a984bc560cbf10e73fa5"

    def make_split(self) -> Split:
        return split_folders(self.image_dir, ignored=IGNORED, new_names=NEW_NAMES, classes=100)
