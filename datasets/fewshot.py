"""Few-shot sampling, its cache, and the base/new halves of the classes, as in CoOp and CoCoOp."""

from __future__ import annotations

import json
import logging
import math
import os
import random
from collections.abc import Sequence
from pathlib import Path

from caspl.errors import InputError

from .splits import Item, Split, T, decode_items, group_by_label
from .storage import locked, log_once, store

logger = logging.getLogger(__name__)

MAX_VAL_SHOTS = 4  # the family never validates on more images per class than this
SUBSETS = ("all", "base", "new")


def sample_fewshot(items: Sequence[T], num_shots: int, rng: random.Random | None = None) -> list[T]:
    """Draw `num_shots` images of each class, classes in order of first appearance, images in the order drawn.

    A class with fewer images gives all of them, in their order and without drawing (Dassl's generate_fewshot_dataset
    with repeat=False). Draws from `rng`, or from the global `random`.
    """
    logger.info("Creating a %d-shot dataset", num_shots)
    drawn, small = [], []
    groups = group_by_label(items)
    for group in groups.values():
        if len(group) >= num_shots:
            drawn += (rng or random).sample(group, num_shots)
        else:
            small.append(len(group))
            drawn += group
    if small:
        logger.warning("%d of %d classes have fewer than %d images, the smallest has %d: all their images are taken",
                       len(small), len(groups), num_shots, min(small))
    return drawn


def draw_fewshot(split: Split, num_shots: int, seed: int) -> Split:
    """The split with `num_shots` images per class in train, min(num_shots, 4) in val, and test as it is.

    With a seed of 0 or above the lists equal those of the family: it seeds the global `random` with SEED at the start,
    and where the split file exists nothing draws from it before the sampling, so a private generator with that seed
    gives the same stream. The private one also gives it in the run that makes the split file, where the family's lists
    differ from those of the next run. A negative seed means unseeded: the lists come from the global `random`.
    """
    rng = random.Random(seed) if seed >= 0 else None
    train = sample_fewshot(split.train, num_shots, rng)
    val = sample_fewshot(split.val, min(num_shots, MAX_VAL_SHOTS), rng)
    return Split(train, val, split.test)


def cached_fewshot(split: Split, num_shots: int, seed: int, folder: str | Path, checksum: str) -> Split:
    """As `draw_fewshot`, kept in `folder`/split_fewshot/shot_{k}-seed_{s}.json.

    The file holds paths relative to the image folder and `checksum`, the SHA-256 (hex) of the split drawn from; a file
    of another split, or a damaged one, is replaced. An unseeded draw is not kept: the next unseeded run would receive
    it in place of a draw of its own.
    """
    if seed < 0:
        return draw_fewshot(split, num_shots, seed)
    path = os.path.join(folder, "split_fewshot", f"shot_{num_shots}-seed_{seed}.json")
    pickled = path.removesuffix("json") + "pkl"
    if os.path.exists(pickled):
        log_once(logging.INFO, f"Ignoring {pickled}: pickles can run code and hold absolute paths; the same lists are "
                               f"kept in {os.path.basename(path)}")
    found = _load(path, split, checksum, complain=False)
    if found is not None:
        return found
    with locked(folder):
        found = _load(path, split, checksum, complain=True)  # another run may have written it while this one waited
        if found is not None:
            return found
        drawn = draw_fewshot(split, num_shots, seed)
        content = {"split_sha256": checksum, "train": drawn.train, "val": drawn.val}
        logger.info("Saving preprocessed few-shot data to %s", path)
        store(path, json.dumps(content, indent=4, separators=(",", ": ")).encode("ascii"), folder)
    return drawn


def _load(path: str, split: Split, checksum: str, complain: bool) -> Split | None:
    """The lists of a cache file, or None where it is missing, damaged, or of another split."""
    if not os.path.exists(path):
        return None
    try:
        content = json.loads(Path(path).read_bytes())
        if content["split_sha256"] != checksum:
            raise InputError("it was drawn from another split")
        train, val = decode_items(content["train"], "train"), decode_items(content["val"], "val")
        if not (train and set(train) <= set(split.train) and set(val) <= set(split.val)):
            raise InputError("it holds images that are not in the split")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if complain:
            reason = error if isinstance(error, InputError) else "it is damaged"
            logger.warning("The few-shot data in %s is not used and drawn anew: %s", path, reason)
        return None
    logger.info("Loading preprocessed few-shot data from %s", path)
    return Split(train, val, split.test)


def subsample_classes(*sources: list[Item], subsample: str) -> list[list[Item]]:
    """Keep one half of the classes and number them from 0: the base-to-new setting of CoCoOp.

    The labels are those of the first list, which is train: sorted, the first ceil(n / 2) are "base" and the rest "new".
    "all" returns the lists as they are. Order, paths and class names stay.

    Raises:
        InputError: `subsample` is another word, or train has no class in that half.
    """
    if subsample not in SUBSETS:
        raise InputError(f"DATASET.SUBSAMPLE_CLASSES is {subsample!r}, expected all, base or new")
    if subsample == "all":
        return list(sources)
    labels = sorted({item.label for item in sources[0]})
    half = math.ceil(len(labels) / 2)
    selected = labels[:half] if subsample == "base" else labels[half:]
    if not selected:
        raise InputError(f"DATASET.SUBSAMPLE_CLASSES is {subsample!r}, but train has {len(labels)} class, expected two "
                         f"or more; use all")
    logger.info("SUBSAMPLE %s CLASSES!", subsample.upper())
    numbers = {label: number for number, label in enumerate(selected)}
    return [[item._replace(label=numbers[item.label]) for item in items if item.label in numbers] for items in sources]
