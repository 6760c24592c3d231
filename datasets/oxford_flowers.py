"""Oxford Flowers 102. M.-E. Nilsback and A. Zisserman, 2008, https://www.robots.ox.ac.uk/~vgg/data/flowers/102/."""

from __future__ import annotations

from caspl.ground.errors import InputError

from .files.registry import register
from .splits.annotations import mat_numbers, natural, read_json_names, read_mat
from .splits.dataset import SplitDataset
from .splits.making import split_classes
from .splits.split_file import Item, Split


@register
class OxfordFlowers(SplitDataset):
    """`<root>/oxford_flowers`: jpg/image_<n>.jpg, imagelabels.mat and cat_to_name.json.

    The i-th of the labels, from 1, is that of image i, from 1. Classes come in the order of their first image. The
    official setid.mat is not used, as in CoOp.
    """

    dataset_dir = "oxford_flowers"
    image_dir = "jpg"
    split_file = "split_zhou_OxfordFlowers.json"
    split_sha256 = "2f50c42fc1a17ca13c271cb4269b1347bdb43d2be672e34f74a4e4cbfbcca794"

    def make_split(self) -> Split:
        place = self.annotation("imagelabels.mat", remedy="download imagelabels.mat there")
        labels = mat_numbers(read_mat(place, "labels"), place)
        path = self.annotation("cat_to_name.json", remedy="download cat_to_name.json there")
        names = {natural(number): name for number, name in read_json_names(path).items()}
        unnamed = sorted(set(labels) - names.keys())
        if unnamed:
            raise InputError(
                f"{path} has no name for class {unnamed[0]}, expected one for each label in "
                f"imagelabels.mat; download it again"
            )
        items = [Item(f"image_{number:05d}.jpg", label - 1, names[label]) for number, label in enumerate(labels, 1)]
        return Split(*split_classes(items))
