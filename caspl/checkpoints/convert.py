"""Boosting prompts of the published CasPL code as a boosting checkpoint of this program.

    python -m caspl.convert CasPL/model.pth.tar-20 --output output/boost/oxford_pets --student ViT-B/16 \\
        --dataset OxfordPets --classnames pets.txt

The published file does not say what it was trained on: that comes from the flags.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..clip.backbones import Backbone, load_backbone
from ..clip.templates import template_for
from ..ground import door
from ..ground.errors import InputError, naming
from ..ground.files import check_writable, read_lines
from ..ground.texts import tell
from ..prompting.learners import Prompts
from .boosting import save_boosting, shape_facts
from .family import boosting_from_official, official_class_count, read_checkpoint
from .headers import BoostingHeader


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m caspl.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    return parser.parse_args(argv)


def read_classnames(path: Path, classes: int | None) -> list[str]:
    """The lines of a text file, of which there must be `classes` where that is known. Raises InputError."""
    names = read_lines(path, "the file of class names (--classnames)")
    if classes not in (None, len(names)):
        raise InputError(
            f"--classnames {path} has {len(names)} names, but the checkpoint was trained on "
            f"{classes} classes; give the names of that run"
        )
    return names


def check_student(prompts: Prompts, student: Backbone, source: Path) -> None:
    """Raise InputError, with all that differs, unless `prompts` fit into the towers of `student`."""
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
        raise InputError(
            f"the boosting prompts of {source} do not fit {student.name}: {', '.join(problems)}; set --student to the "
            f"CLIP that was boosted"
        )


@naming({"template": "--template", "backbone": "--student"})
def convert(args: argparse.Namespace) -> None:
    """Write the boosting checkpoint that `args` ask for, and print where. Raises InputError."""
    output = args.output.expanduser()
    path = output if output.suffix == ".safetensors" else output / BoostingHeader.file_name
    check_writable(path, "--output")
    checkpoint = read_checkpoint(args.checkpoint)
    prompts = boosting_from_official(checkpoint["state_dict"], args.checkpoint)
    classes = official_class_count(checkpoint["state_dict"])
    classnames = read_classnames(args.classnames, classes) if args.classnames else []
    template = template_for(args.dataset, args.template)
    epochs = checkpoint.get("epoch") if args.epochs is None else args.epochs
    if not isinstance(epochs, int):
        raise InputError(f"{args.checkpoint} does not say how many epochs it was trained for; give --epochs")
    del checkpoint  # it holds the teacher, too
    student = load_backbone(args.student)
    check_student(prompts, student, args.checkpoint)
    header = BoostingHeader(
        student=student.name,
        student_fingerprint=student.fingerprint,
        dataset=args.dataset,
        classnames=classnames,
        names="all",  # the published phase 1 always runs on all classes
        teacher=args.teacher,
        teacher_fingerprint="unknown",
        template=template,
        temperature=args.temperature,
        loss="kl",
        epochs=epochs,
        seed=args.seed,
        **shape_facts(prompts, student),
    )
    save_boosting(path, prompts, header)
    tell(
        f"{path}: {header.text_length} text tokens in {header.text_depth} blocks, {header.vision_length} vision tokens "
        f"in {header.vision_depth} blocks, {path.stat().st_size} bytes; phase 2 takes it like the file of a "
        f"phase 1"
    )


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake in what was given (one sentence on stderr); see `door.run`."""
    return door.run(lambda: convert(parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
