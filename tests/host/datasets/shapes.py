"""A dataset of the host under a name that CasPL has, too."""

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase


@DATASET_REGISTRY.register()
class OxfordPets(DatasetBase):
    """The host's own."""
