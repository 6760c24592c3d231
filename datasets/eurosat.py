"""EuroSAT: land use in ten classes of satellite images. P. Helber et al., 2019, https://github.com/phelber/EuroSAT."""

from __future__ import annotations

from .files.registry import register
from .splits.dataset import SplitDataset
from .splits.making import split_folders
from .splits.split_file import Split

NEW_NAMES = {
    "AnnualCrop": "Annual Crop Land",
    "Forest": "Forest",
    "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road",
    "Industrial": "Industrial Buildings",
    "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land",
    "Residential": "Residential Buildings",
    "River": "River",
    "SeaLake": "Sea or Lake",
}


@register
class EuroSAT(SplitDataset):
    """`<root>/eurosat`: 2750/<Class>/<Class>_<n>.jpg. The same images from Zenodo lie in EuroSAT_RGB/."""

    dataset_dir = "eurosat"
    image_dir = "2750"
    other_image_dirs = ("EuroSAT_RGB",)
    split_file = "split_zhou_EuroSAT.json"
    split_sha256 = "541503a77d0b26b735d85ec7a3e672804fe0aa466c2e5f07da772cc6c0af8ad2"

    def make_split(self) -> Split:
        return split_folders(self.image_dir, new_names=NEW_NAMES, classes=len(NEW_NAMES))
