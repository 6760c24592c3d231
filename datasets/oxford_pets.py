"""Oxford-IIIT Pet: 37 breeds of cats and dogs. O. Parkhi et al., 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/."""

from __future__ import annotations

import os

from caspl.errors import InputError

from .base import SplitDataset, register
from .splits import Item, Split, split_trainval


@register
class OxfordPets(SplitDataset):
    """`<root>/oxford_pets`: images/<Name>_<n>.jpg and annotations/{trainval,test}.txt.

    A line of an annotation holds image name, class id from 1, species and breed id; the class name is the image name
    without its number, in lower case.
    """

    dataset_dir = "oxford_pets"
    image_dir = "images"
    split_file = "split_zhou_OxfordPets.json"

    def make_split(self) -> Split:
        train, val = split_trainval(self.read_list("trainval.txt"))
        return Split(train, val, self.read_list("test.txt"))

    def read_list(self, name: str) -> list[Item]:
        """The images of one annotation file, in its order."""
        path = os.path.join(self.dataset_dir, "annotations", name)
        if not os.path.isfile(path):
            raise InputError(f"neither {self.split_path} nor {path} is there; download {self.split_file} into "
                             f"{self.dataset_dir}, or extract annotations.tar.gz there")
        items = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                fields = line.split()
                if len(fields) != 4 or not fields[1].isdigit():
                    raise InputError(f"line {number} of {path} is {line.strip()!r}, expected: image name, class id, species, "
                                     f"breed id; extract annotations.tar.gz anew")
                image, label = fields[0], int(fields[1]) - 1
                items.append(Item(f"{image}.jpg", label, image.rsplit("_", 1)[0].lower()))
        return items
