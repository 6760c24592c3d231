"""SUN397: scenes. J. Xiao et al., 2010; the official page is gone, see docs/datasets.md."""

from __future__ import annotations

from .files.registry import register
from .splits.annotations import annotation_lines, wrong_line
from .splits.dataset import SplitDataset
from .splits.making import split_trainval
from .splits.split_file import Item, Split


@register
class SUN397(SplitDataset):
    """`<root>/sun397`: SUN397/<letter>/<scene>[/<kind>]/sun_*.jpg, ClassName.txt, Training_01.txt and Testing_01.txt.

    Lines are paths that start with a slash, of a class or of an image. The class a/apse/indoor is called "indoor apse".
    """

    dataset_dir = "sun397"
    image_dir = "SUN397"
    split_file = "split_zhou_SUN397.json"

    def make_split(self) -> Split:
        labels = {
            line.strip("/"): label for label, line in enumerate(annotation_lines(self.partition("ClassName.txt")))
        }
        train, val = split_trainval(self.read_list("Training_01.txt", labels))
        return Split(train, val, self.read_list("Testing_01.txt", labels))

    def partition(self, name: str) -> str:
        """The path of a file of Partitions.zip; the archive of the images has ClassName.txt too."""
        return self.annotation(name, f"Partitions/{name}", f"SUN397/{name}", remedy="extract Partitions.zip there")

    def read_list(self, name: str, labels: dict[str, int]) -> list[Item]:
        """The images of one list, in its order."""
        path = self.partition(name)
        items = []
        for number, line in enumerate(annotation_lines(path), 1):
            folder, _, image = line.lstrip("/").rpartition("/")
            if folder not in labels or not image:
                raise wrong_line(path, number, line, "/<class of ClassName.txt>/<image>")
            items.append(Item(f"{folder}/{image}", labels[folder], " ".join(reversed(folder.split("/")[1:]))))
        return items
