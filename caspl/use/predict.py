"""Classify images with what a run has learned: a table of the most probable classes.

    caspl predict output/coop photos/ one.jpg --classes names.txt --top-k 3 --output answers.csv

Images that cannot be read are named on stderr and left out; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..clip.preprocessing import Preprocessing
from ..ground.errors import InputError, listed
from ..ground.files import allow_open_files, check_writable, replacing
from ..ground.images import images_among, list_files, read_image
from ..ground.names.matching import NamesFile
from ..ground.texts import in_csv, repeated, sentence
from .predictor import Predictor, load

log = logging.getLogger(__name__)

ODD_NAMES = "backslashreplace"  # for file names that are no Unicode, and terminals that show little of it

Answer = tuple[str, list[tuple[str, float]]]  # path, (class name, probability) from the most probable one on

BOUNDS = {"top_k": (1, 1_000_000), "batch_size": (1, 1_000_000), "workers": (0, 1_024)}  # of flags, both included


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_result_arguments(parser)
    parser.add_argument("images", nargs="+", help="images, and folders whose images of any depth are taken")
    parser.add_argument("--top-k", type=int, default=1, help="how many classes to name (default: %(default)s)")
    parser.add_argument("--format", choices=WRITERS, help="of the output (default: that of --output's name, else csv)")
    parser.add_argument("--output", type=Path, help="file for the answers (default: print them)")
    parser.add_argument("--batch-size", type=int, default=64, help="images at once (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps ... (default: %(default)s)")
    parser.add_argument("--precision", default="fp32", help="fp32, fp16, bf16 or amp (default: %(default)s)")


def add_result_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say what to load, for `load_result`."""
    parser.add_argument(
        "result", help="the output folder of a run, its prompts.safetensors or boosting.safetensors, or hub:org/name"
    )
    parser.add_argument("--classes", type=Path, help="file of class names, one a line (default: those of the run)")
    parser.add_argument("--backbone", default="", help="name or file of the CLIP (default: the one named in the file)")


def load_result(args: argparse.Namespace, **options) -> Predictor:
    names = read_classnames(args.classes) if args.classes else None
    return load(args.result, classnames=names, backbone=args.backbone, **options)


def read_classnames(path: Path) -> list[str]:
    """The lines of a text file that are not blank; warns of a name that occurs twice. Raises InputError where there is none."""
    names = NamesFile(path, "the file of class names (--classes)").names()
    if twice := repeated(names):
        log.warning("%s names %s more than once; such classes share their probability", path, listed(twice))
    return names


def find_images(paths: Sequence[str]) -> list[str]:
    """The files of `paths` and the images in its folders. Raises InputError for a path that is neither, and for none at all."""
    found = []
    for path in map(os.path.expanduser, paths):
        if os.path.isdir(path):
            found += [os.path.join(path, name) for name in images_among(list_files(path), path)]
        elif os.path.exists(path):
            found.append(path)
        else:
            raise InputError(f"there is no image or folder {path}; check the path")
    if not found:
        raise InputError(f"no image is in {', '.join(paths)}; expected files such as .jpg or .png")
    return list(dict.fromkeys(found))


class _Prepared(Dataset):
    """Images ready for the tower, or the sentence that says why there is none."""

    def __init__(
        self, paths: Sequence[str], preprocessing: Preprocessing
    ):  # no predictor: workers may get a copy of all this
        self.paths, self.preprocessing = paths, preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[str, Tensor | str]:
        try:
            return self.paths[index], self.preprocessing(read_image(self.paths[index]))
        except InputError as error:
            return self.paths[index], str(error)


def answers(
    predictor: Predictor, paths: Sequence[str], top_k: int, batch_size: int, workers: int
) -> Iterator[Answer | str]:
    """In the order of `paths`, an answer for each image, or the sentence that says why it has none."""
    loader = DataLoader(_Prepared(paths, predictor.preprocessing), batch_size, num_workers=workers, collate_fn=list)
    for batch in loader:
        readable = [pixels for _, pixels in batch if not isinstance(pixels, str)]
        classes = iter(predictor.predict(torch.stack(readable), top_k) if readable else ())
        for path, pixels in batch:
            yield pixels if isinstance(pixels, str) else (path, next(classes))


def answers_as_csv(found: Iterator[Answer], file: TextIO) -> None:
    """A line for each image and class: image, rank from 1, class, probability; names as `in_csv` gives them."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("image", "rank", "class", "probability"))
    for path, classes in found:
        writer.writerows((in_csv(path), rank, in_csv(name), f"{p:.6f}") for rank, (name, p) in enumerate(classes, 1))


def answers_as_json(found: Iterator[Answer], file: TextIO) -> None:
    """A list of {"image": ..., "classes": [{"class": ..., "probability": ...}, ...]}."""
    file.write("[")
    for number, (path, classes) in enumerate(found):
        entry = {"image": path, "classes": [{"class": name, "probability": round(p, 6)} for name, p in classes]}
        file.write(f"{',' if number else ''}\n {json.dumps(entry)}")
    file.write("\n]\n")


WRITERS = {"csv": answers_as_csv, "json": answers_as_json}


@contextmanager
def output_to(path: Path | None) -> Iterator[TextIO]:
    """stdout, or a file that appears when it is complete."""
    if path is None:
        yield sys.stdout
        return
    with (
        replacing(path.expanduser()) as temporary,
        temporary.open("w", encoding="utf-8", errors=ODD_NAMES, newline="") as file,
    ):
        yield file


def run(args: argparse.Namespace) -> int:
    """Exit status 0, or 1 where an image could not be read. Raises InputError."""
    for flag, (least, most) in BOUNDS.items():
        if not least <= (found := getattr(args, flag)) <= most:
            raise InputError(f"--{flag.replace('_', '-')} is {found}, expected {least} to {most:,}")
    suffix = args.output.suffix.lstrip(".") if args.output else ""
    write = WRITERS[args.format or (suffix if suffix in WRITERS else "csv")]
    allow_open_files(args.workers, "--workers")
    if args.output:
        check_writable(args.output, "--output")
    paths = find_images(args.images)
    predictor = load_result(args, device=args.device, precision=args.precision)
    broken = []

    def readable() -> Iterator[Answer]:
        found = answers(predictor, paths, args.top_k, args.batch_size, args.workers)
        for answer in tqdm(found, total=len(paths), unit="image", disable=None if args.output else True):
            if isinstance(answer, str):
                broken.append(answer)
                tqdm.write(f"left out: {sentence(answer)}", file=sys.stderr)
            else:
                yield answer

    with output_to(args.output) as file:
        write(readable(), file)
    if broken:
        print(f"{len(broken):,} of {len(paths):,} images could not be read", file=sys.stderr)
    return 1 if broken else 0
