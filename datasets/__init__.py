"""Image recognition datasets, one file each; importing this package registers them in Dassl's DATASET_REGISTRY.

`splits` holds what a split is, `fewshot` the sampling and the base/new halves, `base` the class that joins them. A file
of a dataset adds only what is particular to it: folder names and, where no split file exists, how to make one.
"""

from . import digits, oxford_pets, union  # noqa: F401, registration
