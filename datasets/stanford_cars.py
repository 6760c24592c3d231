"""Stanford Cars: 196 models. J. Krause et al., 2013; the official page is gone, see docs/datasets.md."""

from __future__ import annotations

import os

from .files.registry import register
from .splits.annotations import mat_numbers, read_mat
from .splits.dataset import SplitDataset
from .splits.making import split_trainval
from .splits.split_file import Item, Split

FOLDERS = ("cars_train", "cars_test")


@register
class StanfordCars(SplitDataset):
    """`<root>/stanford_cars`: cars_train/ and cars_test/ with <n>.jpg, devkit/*.mat, cars_test_annos_withlabels.mat.

    In class names the year comes first: "Audi TTS Coupe 2012" is "2012 Audi TTS Coupe".
    """

    dataset_dir = "stanford_cars"
    split_file = "split_zhou_StanfordCars.json"
    split_sha256 = "40acee7aa65c8e4727a32d90e884b7c3f8960b523422317e163f7af65432959d"

    def load_split(self) -> Split:
        # Kaggle's archive unpacks to cars_train/cars_train/ and cars_test/cars_test/
        self.doubled = [name for name in FOLDERS if os.path.isdir(os.path.join(self.dataset_dir, name, name))]
        return super().load_split()

    def path_on_disk(self, impath: str) -> str:
        folder = impath.partition("/")[0]
        return f"{folder}/{impath}" if folder in self.doubled else impath

    def make_split(self) -> Split:
        path = self.annotation("devkit/cars_meta.mat", remedy="extract car_devkit.tgz there")
        names = []
        for name in read_mat(path, "class_names"):
            model, _, year = str(name).rpartition(" ")
            names.append(f"{year} {model}")
        trainval = self.annotation("devkit/cars_train_annos.mat", remedy="extract car_devkit.tgz there")
        test = self.annotation(
            "cars_test_annos_withlabels.mat",
            "devkit/cars_test_annos_withlabels.mat",
            remedy="download cars_test_annos_withlabels.mat there",
        )
        train, val = split_trainval(read_list(trainval, "cars_train", names))
        return Split(train, val, read_list(test, "cars_test", names))


def read_list(path: str, folder: str, names: list[str]) -> list[Item]:
    """The images of one annotation file, in its order.

    Raises:
        InputError: it is no such file, or has a class that is not in `names`.
    """
    rows = read_mat(path, "annotations", "fname", "class")
    items = []
    for image, label in zip(rows["fname"], mat_numbers(rows["class"], path, len(names)), strict=True):
        items.append(Item(f"{folder}/{image}", label - 1, names[label - 1]))
    return items
