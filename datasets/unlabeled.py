"""Images without labels and a list of class names: what the boosting of phase 1 needs, and nothing else."""

from __future__ import annotations

import logging
import os
import random
from typing import Any

from dassl.data import DataManager
from dassl.data.datasets import DatasetBase, Datum

from caspl.border.dataset_facts import DatasetFacts, takes_training_only
from caspl.ground.errors import InputError, listed
from caspl.ground.images import folders_in, images_among, list_files
from caspl.ground.texts import nfc, repeated

from .files.keys import class_subset, data_paths, names_file, setting
from .files.registry import register
from .files.shards import CHUNK, ImageStream, Loose, Shard, count_images, expand
from .own.cells import is_table
from .own.parts import groups

logger = logging.getLogger(__name__)


@register
class UnlabeledImages(DatasetBase):
    """The images in DATASET.PATHS, or in DATASET.ROOT, and the class names in DATASET.CLASSNAMES, one per line.

    A path is a folder, whose images may lie at any depth, a tar file, or a pattern such as web/*.tar or
    web/{000000..000099}.tar. Tar files are read as they are (.tar files found in a folder, too) and never unpacked.
    Several paths are several domains, joined.

    There is nothing but training images: their label is -1, there is no `val` and no `test`. Without tar files they are a
    list as in every dataset; with some, all images are one stream. Upstream's Dassl can load no stream, and has to have test
    images: it gets the first one, which PromptTrainer does not test on.
    """

    def __init__(self, cfg: Any) -> None:
        """Raises InputError for paths without images, damaged shards, missing class names, and streams in upstream's Dassl."""
        if cfg.DATASET.NUM_SHOTS >= 1 or class_subset(cfg) != "all":
            raise InputError(
                f"DATASET.NUM_SHOTS is {cfg.DATASET.NUM_SHOTS} and DATASET.SUBSAMPLE_CLASSES is "
                f"{class_subset(cfg)!r}, but images without labels cannot be drawn by class; leave them at -1 "
                f"and all"
            )
        names = names_file(cfg)
        if not names:
            raise InputError(
                "DATASET.CLASSNAMES is empty, expected a text file with the class names of the domain, one per "
                "line; name it, relative to the root"
            )
        roots = data_paths(cfg)
        self.names = names.names([nfc(name) for path in roots if os.path.isdir(path) for name in folders_in(path)])
        if twice := repeated(self.names):
            logger.warning(
                "%s names %s more than once; such classes share their probability", names.place, listed(twice)
            )
        if len(self.names) == 1:
            raise InputError(
                f"{names.place} has the one name {self.names[0]!r}, expected two or more, for their probabilities are learned; "
                f"add the others"
            )
        given = setting(cfg, "PATHS") or [os.path.basename(roots[0])]
        self.facts = DatasetFacts(labelled=False, origin=f"{type(self).__name__}: {', '.join(given)}")
        found = [images_and_shards(path) for path in roots]
        own = takes_training_only(DataManager)
        if any(shards for _, shards in found):
            if not own:
                raise InputError(
                    f"there are tar files among {', '.join(given)} (DATASET.PATHS), expected folders of images, "
                    f"as the Dassl here loads no streams; unpack them, or run phase 1 in CasPL's own checkout"
                )
            images: Any = ImageStream(part for domain, both in enumerate(found) for part in as_parts(domain, *both))
        else:
            images = [Datum(file, label=-1, domain=domain) for domain, (files, _) in enumerate(found) for file in files]
        super().__init__(train_x=images, test=None if own else images[:1])

    def get_num_classes(self, data_source: Any) -> int:
        return len(self.names)

    def get_lab2cname(self, data_source: Any) -> tuple[dict[int, str], list[str]]:
        return dict(enumerate(self.names)), self.names


def images_and_shards(path: str) -> tuple[list[str], list[str]]:
    """The image files and the tar files at one of DATASET.PATHS.

    Raises:
        InputError: there are none.
    """
    if not os.path.isdir(path):
        paths = expand(path)
        wrong = [path for path in paths if not path.lower().endswith(".tar")]
        if wrong:
            hint = "a table is read by DATASET.NAME ImageFolder, and its labels not by boosting"
            raise InputError(
                f"{wrong[0]} (DATASET.PATHS) is no folder and no .tar file, expected either; "
                f"{hint if is_table(wrong[0]) else 'correct it'}"
            )
        return [], paths
    for division in groups(folders_in(path)).values():
        logger.warning(
            "%s holds %s, whose images are taken all; to keep test images unseen, name the folder of train in DATASET.PATHS",
            path,
            ", ".join(f"{name}/" for name in division),
        )
    files = list_files(path)
    images = [os.path.join(path, file) for file in images_among(files, path)]
    shards = [os.path.join(path, file) for file in files if file.lower().endswith(".tar")]
    if not images and not shards:
        raise InputError(
            f"{path} (DATASET.PATHS) holds no images and no .tar files in {len(files)} files, expected some at "
            f"any depth; correct the path, which is relative to the root"
        )
    return images, shards


def as_parts(domain: int, images: list[str], shards: list[str]) -> list[Shard | Loose]:
    """The parts of a stream, for one domain. Loose images are mixed, so that no part holds those of one folder only."""
    mixed = random.Random(0).sample(images, len(images))
    loose = [Loose(tuple(mixed[first : first + CHUNK]), domain) for first in range(0, len(mixed), CHUNK)]
    counts = count_images(shards)
    return [*loose, *(Shard(path, domain, count) for path, count in zip(shards, counts, strict=True))]
