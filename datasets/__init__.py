"""Image recognition datasets, one file each; importing this package registers them in Dassl's DATASET_REGISTRY.

`splits/` holds what a split is, how one is made, few-shot sampling, the base/new halves, and `SplitDataset`, which joins them;
`own/` reads anyone's own folders and tables; `files/` finds, downloads, compares and keeps what lies on the disk. A dataset's
file here adds only what is particular to it: folder names and, where no split file exists, how to make one.
"""

from caspl.border import own_dassl

if not own_dassl.importable():
    own_dassl.provide()

from . import (  # noqa: F401, registration
    caltech101,
    custom,
    digits,
    dtd,
    eurosat,
    fgvc_aircraft,
    food101,
    imagenet,
    imagenet_a,
    imagenet_r,
    imagenet_sketch,
    imagenetv2,
    oxford_flowers,
    oxford_pets,
    stanford_cars,
    sun397,
    ucf101,
    union,
    unlabeled,
)
from .files.keys import KEYS, extend_cfg  # noqa: F401, for train.py and hosts
