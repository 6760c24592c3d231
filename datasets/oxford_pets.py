"""Oxford-IIIT Pet: 37 breeds of cats and dogs. O. Parkhi et al., 2012, https://www.robots.ox.ac.uk/~vgg/data/pets/."""

from __future__ import annotations

from .files.registry import register
from .splits.annotations import annotation_lines, natural, wrong_line
from .splits.dataset import SplitDataset
from .splits.making import split_trainval
from .splits.split_file import Item, Split


@register
class OxfordPets(SplitDataset):
    """`<root>/oxford_pets`: images/<Name>_<n>.jpg and annotations/{trainval,test}.txt.

    A line of an annotation holds image name, class id from 1, species and breed id; the class name is the image name
    without its number, in lower case.
    """

    dataset_dir = "oxford_pets"
    image_dir = "images"
    split_file = "split_zhou_OxfordPets.json"
    split_sha256 = "d7f3ffe65b3919f95132e51422894ae18686b83c331fd8c0adcdc3dc2de6301e"

    def make_split(self) -> Split:
        train, val = split_trainval(self.read_list("trainval.txt"))
        return Split(train, val, self.read_list("test.txt"))

    def read_list(self, name: str) -> list[Item]:
        """The images of one annotation file, in its order."""
        path = self.annotation(f"annotations/{name}", remedy="extract annotations.tar.gz there")
        items = []
        for number, line in enumerate(annotation_lines(path), 1):
            fields = line.split()
            if len(fields) != 4 or not natural(fields[1]):
                raise wrong_line(path, number, line, "image name, class id, species, breed id")
            image, label = fields[0], int(fields[1]) - 1
            items.append(Item(f"{image}.jpg", label, image.rsplit("_", 1)[0].lower()))
        return items
