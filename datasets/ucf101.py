"""UCF101: 101 actions, the middle frames of videos. K. Soomro et al., 2012, https://www.crcv.ucf.edu/data/UCF101.php."""

from __future__ import annotations

import re

from .files.registry import register
from .splits.annotations import annotation_lines, natural, wrong_line
from .splits.dataset import SplitDataset
from .splits.making import split_trainval
from .splits.split_file import Item, Split

LISTS = "ucfTrainTestlist"


@register
class UCF101(SplitDataset):
    """`<root>/ucf101`: UCF-101-midframes/<Action_Name>/v_<ActionName>_g<n>_c<n>.jpg and ucfTrainTestlist/*.txt.

    The lists name videos, <ActionName>/v_<ActionName>_g<n>_c<n>.avi. One action is spelt in two ways: HandstandPushups
    has the videos v_HandStandPushups.
    """

    dataset_dir = "ucf101"
    image_dir = "UCF-101-midframes"
    split_file = "split_zhou_UCF101.json"
    split_sha256 = "d78cb834f7c5792ceaff2c5ee2d7c76a9e4086e48a3a6b01232989d29cbefdd8"

    def make_split(self) -> Split:
        path = self.list_path("classInd.txt")
        labels = {}
        for number, line in enumerate(annotation_lines(path), 1):
            match line.split():
                case [index, action] if natural(index):
                    labels[action] = int(index) - 1
                case _:
                    raise wrong_line(path, number, line, "number and action")
        train, val = split_trainval(self.read_list("trainlist01.txt", labels))
        return Split(train, val, self.read_list("testlist01.txt", labels))

    def list_path(self, name: str) -> str:
        return self.annotation(f"{LISTS}/{name}", remedy=f"extract UCF101's {LISTS} there")

    def read_list(self, name: str, labels: dict[str, int]) -> list[Item]:
        """The images of one list, in its order."""
        path = self.list_path(name)
        items = []
        for number, line in enumerate(annotation_lines(path), 1):
            action, _, video = line.partition(" ")[0].partition("/")
            if action not in labels or not video.endswith(".avi"):
                raise wrong_line(path, number, line, "<action of classInd.txt>/<video>.avi")
            folder = "_".join(re.findall("[A-Z][^A-Z]*", action))
            items.append(Item(f"{folder}/{video.removesuffix('.avi')}.jpg", labels[action], folder))
        return items
