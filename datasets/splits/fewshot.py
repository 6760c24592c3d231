"""Few-shot sampling, its cache, and the base/new halves of the classes, as in CoOp and CoCoOp."""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import random
import re
from collections.abc import Sequence
from pathlib import Path

from caspl.ground.errors import InputError
from caspl.ground.files import TEXT_BYTES, load_json, regular

from ..files.keys import SUBSETS
from ..files.storage import locked, log_once, store
from .split_file import Item, LabelledT, Split, decode_items, group_by_label

logger = logging.getLogger(__name__)

MAX_VAL_SHOTS = 4  # the family never validates on more images per class than this


def sample_fewshot(items: Sequence[LabelledT], num_shots: int, rng: random.Random | None = None) -> list[LabelledT]:
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
        logger.warning(
            "%d of %d classes have fewer than %d images, the smallest has %d: all their images are taken",
            len(small),
            len(groups),
            num_shots,
            min(small),
        )
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
    path = _cache_path(folder, num_shots, seed)
    pickled = path.removesuffix("json") + "pkl"
    if os.path.exists(pickled):
        log_once(
            logging.INFO,
            f"Ignoring {pickled}: pickles can run code and hold absolute paths; the same lists are "
            f"kept in {os.path.basename(path)}",
        )
    found = _load(path, split, checksum, complain=False)
    if found is not None:
        return found
    with locked(folder):
        found = _load(path, split, checksum, complain=True)  # another run may have written it while this one waited
        if found is not None:
            return found
        drawn = draw_fewshot(split, num_shots, seed)
        _save(path, drawn, checksum, folder)
    return drawn


def _cache_path(folder: str | Path, num_shots: int, seed: int) -> str:
    return os.path.join(folder, "split_fewshot", f"shot_{num_shots}-seed_{seed}.json")


def _save(path: str, drawn: Split, checksum: str, folder: str | Path) -> bool:
    content = {"split_sha256": checksum, "train": drawn.train, "val": drawn.val}
    logger.info("Saving preprocessed few-shot data to %s", path)
    return store(path, json.dumps(content, indent=4, separators=(",", ": ")).encode("ascii"), folder)


def _load(path: str, split: Split, checksum: str, complain: bool) -> Split | None:
    """The lists of a cache file, or None where it is missing, damaged, or of another split."""
    if not os.path.exists(path):
        return None
    try:
        content = load_json(regular(path, TEXT_BYTES).read_bytes())
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


# ---------------------------------------------------------------------------------------------------------------------
# Lists that other checkouts of the family have pickled
# ---------------------------------------------------------------------------------------------------------------------
def import_pickled_list(path: str | Path, split: Split, folder: str | Path, checksum: str) -> str:
    """Take over the lists of `path`, a shot_{k}-seed_{s}.pkl of the family, as the JSON file that `cached_fewshot` reads.

    Nothing in the pickle is executed. Its absolute paths become those of the images of `split` that they end with; k and s
    are read from the file's name. `folder` and `checksum` are those of `cached_fewshot`, whose file is replaced. Says
    whether the lists are those that would have been drawn.

    Returns:
        The path of the JSON file.

    Raises:
        InputError: the file is no such pickle, has another name or a negative seed, does not fit the split or its own
            name, or the JSON file cannot be written.
    """
    name = re.fullmatch(r"shot_(\d{1,9})-seed_(\d{1,9})\.pkl", os.path.basename(path))
    if not name or not int(name[1]):
        raise InputError(
            f"{path} is not called shot_<k>-seed_<s>.pkl, expected the shots and the seed, from 0, in the "
            f"name; rename it as the run that wrote it has called it"
        )
    shots, seed = int(name[1]), int(name[2])
    lists = read_pickled_lists(path)
    train = _located(lists["train"], split.train, shots, f"{path}, train")
    val = _located(lists.get("val", []), split.val, min(shots, MAX_VAL_SHOTS), f"{path}, val")
    found = Split(train, val, split.test)
    same = "are those" if found == draw_fewshot(split, shots, seed) else "are NOT those"
    target = _cache_path(folder, shots, seed)
    with locked(folder):
        if not _save(target, found, checksum, folder):
            raise InputError(f"{target} cannot be written; check the permissions of {folder}")
    logger.info("The lists of %s %s that seed %d draws from this split", path, same, seed)
    return target


def _located(pickled: list[Item], items: Sequence[Item], num_shots: int, where: str) -> list[Item]:
    """The images of `items` that pickled ones are, by the end of their paths.

    Raises:
        InputError: one is not there, is there twice, or has another label; or a class has too few or too many.
    """
    known = {item.impath: item for item in items}
    located = []
    for item in pickled:
        parts = item.impath.replace("\\", "/").split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        match = next((known[end] for end in ends if end in known), None)
        if match is None or (match.label, match.classname) != (item.label, item.classname):
            found = f"has it as label {match.label}, {match.classname!r}" if match else "does not have it"
            raise InputError(
                f"{where}: {item.impath} is label {item.label}, {item.classname!r}, but the same list of the "
                f"split {found}; import the pickle into the dataset and split that it was drawn from"
            )
        located.append(match)
    groups = group_by_label(located)
    for label, group in group_by_label(items).items():
        drawn, expected = groups.get(label, []), min(num_shots, len(group))
        if not len(drawn) == len(set(drawn)) == expected:
            raise InputError(
                f"{where} has {len(drawn)} images of label {label}, {len(set(drawn))} of them different, expected "
                f"{expected}; the file is not what its name says, draw the lists anew"
            )
    return located


class _PickledDatum:
    """Stands for Dassl's Datum in a pickle: takes attributes, does nothing."""

    __slots__ = ("attributes",)

    def __setstate__(self, state: object) -> None:
        self.attributes = state


class _DatumUnpickler(pickle.Unpickler):
    """Imports nothing; of all names that a pickle can call, it knows Dassl's Datum alone."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) != ("dassl.data.datasets.base_dataset", "Datum"):
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not Dassl's Datum")
        return _PickledDatum


def read_pickled_lists(path: str | Path) -> dict[str, list[Item]]:
    """The lists train and, unless it is ImageNet's, val of a pickle of the family, with the absolute paths in it.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        with regular(path, TEXT_BYTES).open("rb") as file:
            content = _DatumUnpickler(file).load()
        lists = {part: [_item(datum) for datum in content[part]] for part in ("train", "val") if part in content}
        if "train" not in lists:
            raise pickle.UnpicklingError("it has no list train")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}), expected a shot_<k>-seed_<s>.pkl; check the path"
        ) from None
    except Exception as error:  # bytes that are no valid pickle can raise anything
        raise InputError(
            f"{path} is not a few-shot list of the family ({str(error) or type(error).__name__}), expected "
            f"Dassl's items in lists train and val; draw the lists anew"
        ) from None
    return lists


def _item(datum: object) -> Item:
    if not isinstance(datum, _PickledDatum):
        raise TypeError(f"an entry is {type(datum).__name__}")
    match datum.attributes:
        case {"_impath": str(impath), "_label": int(label), "_classname": str(classname)}:
            return Item(impath, label, classname)
    raise TypeError("an entry lacks path, label or class name")


# ---------------------------------------------------------------------------------------------------------------------
# Base and new classes
# ---------------------------------------------------------------------------------------------------------------------
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
        raise InputError(
            f"DATASET.SUBSAMPLE_CLASSES is {subsample!r}, but train has {len(labels)} class, expected two "
            f"or more; use all"
        )
    logger.info("SUBSAMPLE %s CLASSES!", subsample.upper())
    numbers = {label: number for number, label in enumerate(selected)}
    return [[item._replace(label=numbers[item.label]) for item in items if item.label in numbers] for items in sources]
