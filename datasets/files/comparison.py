"""How the folder of a benchmark on this disk compares with what is published about it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dassl.data.datasets import DatasetBase
from tqdm import tqdm

from caspl.ground.errors import InputError
from caspl.ground.images import is_image, list_files, read_image

from .catalog import BENCHMARKS
from .places import find_dataset
from .registry import dataset_class, read_dataset
from .shards import StreamedImage
from .storage import split_digest


@dataclass(frozen=True)
class Comparison:
    """What is on the disk of a benchmark, and what differs from what is published."""

    state: str  # complete, incomplete or missing
    problems: tuple[str, ...] = ()
    data: DatasetBase | None = None
    folder: str = ""  # the dataset's; "" where it is missing

    @property
    def sizes(self) -> tuple[int, int, int] | None:
        """Images of train, val and test."""
        return (len(self.data.train_x), len(self.data.val or ()), len(self.data.test or ())) if self.data else None


def compare(name: str, root: str) -> Comparison:
    """Compare the files of a benchmark with what is published, without opening images and without writing a split."""
    kind, facts = dataset_class(name), BENCHMARKS[name]
    root = os.path.abspath(os.path.expanduser(root))
    try:
        folder = _folder(kind, root)
    except InputError as error:
        return Comparison("missing", (str(error),))
    split_path = os.path.join(folder, getattr(kind, "split_file", ""))
    if getattr(kind, "split_file", "") and not os.path.exists(split_path):
        return Comparison(
            "incomplete",
            (
                f"the split file {split_path} is missing; a run makes another one, whose results are not "
                f"comparable with published ones",
            ),
            folder=folder,
        )
    enabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what readers say while reading
    try:
        found = Comparison("complete", data=read_dataset(name, root), folder=folder)
    except (InputError, FileNotFoundError) as error:
        return Comparison("incomplete", (str(error),), folder=folder)
    finally:
        logging.disable(enabled)
    problems = [
        f"{part} has {size:,} images, published are {published:,}"
        for part, size, published in zip(
            ("train", "val", "test"), found.sizes, (facts.train, facts.val, facts.test), strict=True
        )
        if published not in (None, size)
    ]
    if found.data.num_classes != facts.classes:
        problems.append(f"there are {found.data.num_classes:,} classes, published are {facts.classes:,}")
    if expected := getattr(kind, "split_sha256", ""):
        checksum = split_digest(split_path)
        if checksum != expected:
            problems.append(f"{split_path} has the SHA-256 {checksum}, the published file {expected}")
    return Comparison("incomplete", tuple(problems), found.data, folder) if problems else found


def _folder(kind: type[DatasetBase], root: str) -> str:
    if hasattr(kind, "locate"):
        return kind.locate(object.__new__(kind), root)
    return find_dataset(root, kind.dataset_dir, ())  # a host's own


def image_paths(found: Comparison) -> list[str]:
    """The images of a dataset; where it cannot be read, all that lie in its folder."""
    if found.data is None:
        return (
            [os.path.join(found.folder, file) for file in list_files(found.folder) if is_image(file)]
            if found.folder
            else []
        )
    lists = (found.data.train_x, found.data.val or (), found.data.test or ())
    return list(dict.fromkeys(item.impath for items in lists for item in items))


def broken_images(paths: list[str], stream: Iterable[StreamedImage] = ()) -> Iterator[str]:
    """A sentence for each image, on the disk or of a stream, that cannot be read to its end, naming it."""

    def fault(path: str, content: bytes | None = None) -> str:
        try:
            read_image(path, content)
        except Exception as error:  # what Pillow's decoders raise is not limited to anything
            sentence = " ".join(str(error).split())
            return sentence if path in sentence else f"{path}: {sentence or type(error).__name__}"
        return ""

    with ThreadPoolExecutor() as pool:
        for sentence in tqdm(
            pool.map(fault, paths), total=len(paths), desc="reading images", unit="image", leave=False, disable=None
        ):
            if sentence:
                yield sentence
    for image in stream:
        if sentence := fault(image.impath, image.content):
            yield sentence
