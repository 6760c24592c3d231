"""The datasets on this disk: what is there, whether it is whole, and getting what is missing.

caspl datasets list --root DATA
caspl datasets check Caltech101 --root DATA
caspl datasets check ImageFolder --root my_images DATASET.CLASSNAMES names.txt
caspl datasets prepare OxfordPets --root DATA
caspl datasets fewshot DescribableTextures --root DATA --shots 1 2 4 8 16 --seeds 1 2 3
caspl datasets import-fewshot DescribableTextures shot_16-seed_1.pkl --root DATA
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from itertools import chain

from tabulate import tabulate

from caspl.ground import door
from caspl.ground.errors import InputError
from caspl.ground.texts import log_to_stderr, tell

from .custom import ImageFolder
from .files.catalog import BENCHMARKS
from .files.comparison import Comparison, broken_images, compare, image_paths
from .files.prepare import prepare
from .files.registry import dataset_class, read_dataset
from .files.shards import ImageStream
from .files.storage import only_looking
from .splits.dataset import SplitDataset
from .splits.split_file import PARTS


def show_list(args: argparse.Namespace) -> int:
    """Print a table of the benchmarks, and a line for each difference in those that are there."""
    if not os.path.isdir(os.path.expanduser(args.root)):
        tell(f"the root {args.root} is not there yet, so nothing is found in it", sys.stderr)
    rows, notes = [], []
    for name, facts in BENCHMARKS.items():
        found = compare(name, args.root)
        row = [name, facts.config, f"{facts.classes:,}"]
        for number, part in enumerate(PARTS):
            published = getattr(facts, part)
            row.append("" if published is None else f"{published:,}")
            row.append("" if published is None or found.sizes is None else f"{found.sizes[number]:,}")
        rows.append([*row, found.state])
        notes += [f"{name}: {problem}" for problem in found.problems if found.state == "incomplete"]
    headers = ["dataset", "config", "classes", *(word for part in PARTS for word in (part, "found")), "state"]
    print(tabulate(rows, headers, colalign=["left"] * 2 + ["right"] * 7 + ["left"], disable_numparse=True))
    if notes:
        tell("\n".join(["", *notes]))
    return 0


def check(args: argparse.Namespace) -> int:
    """Print what is wrong with a dataset, a line each."""
    if args.name in BENCHMARKS:
        found = compare(args.name, args.root)
    else:
        with only_looking():
            found = Comparison("complete", data=read_dataset(args.name, args.root, options=args.options))
    problems = 0
    for sentence in chain(found.problems, _problems_of_images(found)):
        tell(sentence)
        problems += 1
    if found.data and args.name not in BENCHMARKS:
        tell(_summary(found))
    classes = f"{found.data.num_classes:,} classes, " if found.data else ""
    images = len(found.data.train_x) if _is_stream(found) else len(image_paths(found))
    tell(f"{args.name}: {classes}{images:,} images read, {problems} problems")
    return 1 if problems else 0


def _is_stream(found: Comparison) -> bool:
    return found.data is not None and isinstance(found.data.train_x, ImageStream)


def _problems_of_images(found: Comparison) -> Iterator[str]:
    if _is_stream(found):
        yield from broken_images([], found.data.train_x)
        return
    yield from broken_images(image_paths(found))
    if isinstance(found.data, ImageFolder):
        yield from found.data.copies()


def _summary(found: Comparison) -> str:
    """What own data was understood as: the names of the classes, and how many images are in which part."""
    names = list(found.data.classnames)
    parts = ", ".join(f"{size:,} {part}" for size, part in zip(found.sizes, PARTS, strict=True) if size)
    return f"the classes are {', '.join(names[:10])}{', ...' if names[10:] else ''}; images: {parts}"


def get(args: argparse.Namespace) -> int:
    """Download a dataset."""
    prepare(args.name, args.root, args.mirror)
    return 0


def fewshot(args: argparse.Namespace) -> int:
    """Write few-shot lists."""
    _with_lists(args.name)
    for shots in args.shots:
        for seed in args.seeds:
            read_dataset(args.name, args.root, shots, seed, args.options)
    return 0


def import_fewshot(args: argparse.Namespace) -> int:
    """Take over pickled few-shot lists."""
    _with_lists(args.name)
    tell(read_dataset(args.name, args.root, options=args.options).import_fewshot(args.file))
    return 0


def _with_lists(name: str) -> None:
    if not issubclass(dataset_class(name), SplitDataset):
        raise InputError(f"{name} has no few-shot lists of its own, expected a dataset with a split; name another")


def _from_one(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _from_zero(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def parser() -> argparse.ArgumentParser:
    made = door.Parser(
        prog=door.prog("python -m caspl.datasets"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(word: str, run, about: str, named: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(word, help=about, description=about)
        sub.set_defaults(run=run)
        if named:
            sub.add_argument("name", metavar="NAME", help="name of a dataset, such as OxfordPets")
        sub.add_argument("--root", required=True, help="the folder that holds the datasets' folders")
        return sub

    command("list", show_list, "the benchmarks, with published and found numbers of images", named=False)
    command("check", check, "compare with what is published and read every image; exit status 1 if something is wrong")
    sub = command("prepare", get, "download what is missing")
    sub.add_argument("--mirror", action="store_true", help="ask the family's mirror on the Hugging Face Hub first")
    sub = command("fewshot", fewshot, "write the lists that runs with these shots and seeds draw")
    sub.add_argument("--shots", type=_from_one, nargs="+", default=[1, 2, 4, 8, 16], help="default: 1 2 4 8 16")
    sub.add_argument("--seeds", type=_from_zero, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    sub = command("import-fewshot", import_fewshot, "take over few-shot lists that another checkout pickled")
    sub.add_argument("file", metavar="FILE.pkl", help="shot_<k>-seed_<s>.pkl; nothing in it is executed")
    return made


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    made = parser()
    args, args.options = made.parse_known_args(argv)
    takes_keys = args.run in (check, fewshot, import_fewshot) and getattr(args, "name", "") not in BENCHMARKS
    if args.options and (not takes_keys or args.options[0].startswith("-")):
        made.error(f"unrecognized arguments: {' '.join(args.options)}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the check found something, 2 a mistake (one sentence on stderr); see `door.run`."""
    return door.run(
        lambda: _carry_out(parse_args(argv)), interrupted="interrupted; the same command goes on where it stopped"
    )


def _carry_out(args: argparse.Namespace) -> int:
    log_to_stderr(logging.INFO)
    for noisy in ("httpx", "httpx2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
