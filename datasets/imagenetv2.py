"""ImageNetV2, matched frequency: a new test set. B. Recht et al., 2019, https://github.com/modestyachts/ImageNetV2."""

from __future__ import annotations

from collections.abc import Mapping

from .files.registry import register
from .splits.wordnet import ImageNetVariant, check_folders, class_folders


@register
class ImageNetV2(ImageNetVariant):
    """`<root>/imagenetv2`: imagenetv2-matched-frequency-format-val/<label>/*.jpeg and classnames.txt.

    Folders are numbers from 0 without leading zeros; the number is the label.
    """

    dataset_dir = "imagenetv2"
    image_dir = "imagenetv2-matched-frequency-format-val"

    def names_by_folder(self, names: Mapping[str, str]) -> dict[str, str]:
        numbered = {str(label): name for label, name in enumerate(names.values())}
        check_folders(self.image_dir, class_folders(self.image_dir), numbered)
        return numbered
