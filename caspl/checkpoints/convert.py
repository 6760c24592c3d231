"""Boosting prompts of the published CasPL code as a boosting checkpoint of this program.

    caspl convert boosting CasPL/model.pth.tar-20 --output output/boost/oxford_pets --student ViT-B/16 \\
        --dataset OxfordPets --classnames pets.txt

The published file does not say what it was trained on: that comes from the flags.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..clip.backbones import Backbone, load_backbone
from ..clip.templates import template_for
from ..ground import door
from ..ground.errors import InputError, QuantityError, naming
from ..ground.files import check_writable
from ..ground.names.matching import NamesFile
from ..ground.texts import tell
from ..prompting.learners import Prompts
from .boosting import save_boosting, shape_facts
from .family import boosting_from_official, official_class_count, read_checkpoint
from .headers import BoostingHeader
from .sources import HUB

PUBLISHED_FOLDER = "CasPL"  # of the checkpoints, in the folder of the run
MODEL_FILE = re.compile(r"model\.pth\.tar-(\d+)")
# Of the published phase 1, which always runs on all classes
PUBLISHED_SETTINGS = {
    "classnames": [],
    "names": "all",
    "teacher": "ViT-L/14",
    "teacher_fingerprint": "unknown",
    "template": "{}",
    "temperature": 1.0,
    "loss": "kl",
    "seed": 1,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="CasPL/model.pth.tar-<epoch> of the published code's phase 1")
    parser.add_argument(
        "--output", type=Path, required=True, help=f"a .safetensors file, or the folder of {BoostingHeader.file_name}"
    )
    parser.add_argument("--student", required=True, help="the CLIP that was boosted, such as ViT-B/16")
    parser.add_argument("--dataset", required=True, help="what it was boosted on, such as OxfordPets")
    parser.add_argument("--classnames", type=Path, help="text file with the class names of the run, one a line")
    parser.add_argument("--teacher", default="ViT-L/14", help="the CLIP that taught (default: %(default)s)")
    parser.add_argument("--template", default="", help="the teacher's text, with {} (default: that of the dataset)")
    parser.add_argument("--epochs", type=int, help="length of the run (default: the epoch in the file)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the run (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the distillation (default: %(default)s)")


def read_classnames(path: Path, classes: int | None) -> list[str]:
    """The lines of a text file, of which there must be `classes` where that is known. Raises InputError."""
    names = NamesFile(path, "the file of class names (--classnames)").names()
    if classes not in (None, len(names)):
        raise InputError(
            f"--classnames {path} has {len(names)} names, but the checkpoint was trained on "
            f"{classes} classes; give the names of that run"
        )
    return names


def check_student(prompts: Prompts, student: Backbone, source: Path) -> None:
    """Raise QuantityError ("backbone"), with all that differs, unless `prompts` fit into the towers of `student`."""
    student.check_student()
    problems = []
    for tower, entries, width, blocks in (
        ("text", prompts.text, student.text_width, student.text_blocks),
        ("vision", prompts.vision, student.vision_width, student.vision_blocks or 0),
    ):
        if len(entries) and entries[0].shape[1] != width:
            problems.append(f"{tower} width {entries[0].shape[1]} there and {width} here")
        if len(entries) > blocks:
            problems.append(f"{tower} prompts for {len(entries)} blocks there and {blocks} blocks here")
    if problems:
        other = f"is {student.name}, but the boosting prompts of {source} do not fit it: {', '.join(problems)}"
        raise QuantityError(("backbone", f"{other}; name the CLIP that was boosted"))


def published_file(source: str) -> Path | None:
    """The checkpoint of a published phase 1 that `source` is or holds: a file, the folder CasPL, or the run's folder.

    None for what is to be found otherwise (`sources.resolve`): a record, a folder that holds one, and what is on the Hub. In a
    folder it is the file of the last epoch.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path if ".pth" in path.name else None
    if source.startswith(HUB) or (path / BoostingHeader.file_name).is_file():
        return None
    for folder in (path / PUBLISHED_FOLDER, path):
        if folder.name == PUBLISHED_FOLDER and folder.is_dir():
            epochs = {int(found[1]): file for file in folder.iterdir() if (found := MODEL_FILE.fullmatch(file.name))}
            return epochs[max(epochs)] if epochs else None
    return None


def read_published(
    path: Path, student: Backbone, *, trainable: bool = False, epochs: int | None = None, **facts: Any
) -> tuple[Prompts, BoostingHeader, int | None]:
    """The prompts of a published phase 1 for `student`, frozen unless `trainable`, their header, and how many classes it knew.

    What the file does not say, and the header does, is in `facts`: fields of BoostingHeader, of which the published settings
    are taken where they are missing. `epochs` is the file's own if it is None.

    Raises InputError, as `family.read_checkpoint` and `family.boosting_from_official`, where the prompts do not fit the student
    (QuantityError), and where nobody says how many epochs there were.
    """
    checkpoint = read_checkpoint(path)
    prompts = boosting_from_official(checkpoint["state_dict"], path, trainable=trainable)
    classes = official_class_count(checkpoint["state_dict"])
    epochs = checkpoint.get("epoch") if epochs is None else epochs
    del checkpoint  # it holds the teacher, too
    if not isinstance(epochs, int):
        raise InputError(
            f"{path} does not say how many epochs it was trained for; give --epochs to caspl convert boosting"
        )
    check_student(prompts, student, path)
    header = BoostingHeader(
        student=student.name,
        student_fingerprint=student.fingerprint,
        epochs=epochs,
        **PUBLISHED_SETTINGS | facts,
        **shape_facts(prompts, student),
    )
    return prompts, header, classes


@naming({"template": "--template", "backbone": "--student"})
def run(args: argparse.Namespace) -> None:
    """Write the boosting checkpoint that `args` ask for, and print where. Raises InputError."""
    output = args.output.expanduser()
    path = output if output.suffix == ".safetensors" else output / BoostingHeader.file_name
    check_writable(path, "--output")
    source = published_file(str(args.checkpoint)) or args.checkpoint
    template = template_for(args.dataset, args.template)
    facts = {"teacher": args.teacher, "seed": args.seed, "temperature": args.temperature}
    prompts, header, classes = read_published(
        source, load_backbone(args.student), epochs=args.epochs, dataset=args.dataset, template=template, **facts
    )
    if args.classnames:
        header = replace(header, classnames=read_classnames(args.classnames, classes))
    save_boosting(path, prompts, header)
    tell(
        f"{path}: {header.text_length} text tokens in {header.text_depth} blocks, {header.vision_length} vision tokens "
        f"in {header.vision_depth} blocks, {path.stat().st_size} bytes; phase 2 takes it like the file of a "
        f"phase 1"
    )


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = door.Parser(
        prog=door.prog("python -m caspl.convert"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake in what was given (one sentence on stderr); see `door.run`."""
    return door.run(lambda: run(parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
