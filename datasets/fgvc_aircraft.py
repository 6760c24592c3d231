"""FGVC-Aircraft: 100 variants. S. Maji et al., 2013, https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/."""

from __future__ import annotations

from .files.registry import register
from .splits.annotations import annotation_lines, wrong_line
from .splits.dataset import SplitDataset
from .splits.split_file import PARTS, Item, Split, check_split

REMEDY = "extract fgvc-aircraft-2013b.tar.gz and put what is in its folder data there"


@register
class FGVCAircraft(SplitDataset):
    """`<root>/fgvc_aircraft`, the folder data of the archive: images/<id>.jpg, variants.txt, images_variant_*.txt.

    The official lists are the split. A line is image id, space, variant; variants have spaces and slashes.
    """

    dataset_dir = "fgvc_aircraft"
    other_dirs = ("fgvc_aircraft/data", "fgvc_aircraft/fgvc-aircraft-2013b/data", "fgvc-aircraft-2013b/data")
    image_dir = "images"

    def load_split(self) -> Split:
        variants = annotation_lines(self.annotation("variants.txt", remedy=REMEDY))
        labels = {variant: label for label, variant in enumerate(variants)}
        split = Split(*(self.read_list(f"images_variant_{part}.txt", labels) for part in PARTS))
        check_split(split, f"the lists in {self.dataset_dir}")
        return split

    def read_list(self, name: str, labels: dict[str, int]) -> list[Item]:
        """The images of one list, in its order."""
        path = self.annotation(name, remedy=REMEDY)
        items = []
        for number, line in enumerate(annotation_lines(path), 1):
            image, _, variant = line.partition(" ")
            if variant not in labels:
                raise wrong_line(path, number, line, "image id and a variant of variants.txt")
            items.append(Item(f"{image}.jpg", labels[variant], variant))
        return items
