"""Image recognition datasets, one file each; importing this package registers them in Dassl's DATASET_REGISTRY.

`splits` holds what a split is, `fewshot` the sampling and the base/new halves, `base` the class that joins them,
`annotations` the reading of lists and MATLAB files, `wordnet` what ImageNet and its variants share. A file of a dataset
adds only what is particular to it: folder names and, where no split file exists, how to make one.
"""

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
