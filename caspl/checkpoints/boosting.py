"""Boosting prompts and their files: written by phase 1, found, compared with a student, and restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..clip.fingerprint import mismatch
from ..ground.errors import InputError, QuantityError
from ..prompting.learners import Prompts
from .headers import BoostingHeader
from .record import read_record, write_record
from .sources import resolve


def shape_facts(prompts: Prompts, backbone: Student) -> dict[str, int]:
    """The fields of a BoostingHeader that follow from the prompts and the student."""
    text, vision = prompts.text, prompts.vision
    return dict(
        text_width=backbone.text_width,
        vision_width=backbone.vision_width,
        text_length=len(text[0]) if len(text) else 0,
        vision_length=len(vision[0]) if len(vision) else 0,
        text_depth=len(text),
        vision_depth=len(vision),
    )


def save_boosting(path: str | Path, prompts: Prompts, header: BoostingHeader) -> None:
    """Write prompts and header; whoever reads `path` sees the old file or the whole new one."""
    towers = {"text": prompts.text, "vision": prompts.vision}
    write_record(
        path, header, {f"{t}.{block}": value for t, entries in towers.items() for block, value in enumerate(entries)}
    )


def read_boosting(source: str | Path) -> tuple[dict[str, Tensor], BoostingHeader]:
    """The tensors, named `text.<block>` and `vision.<block>`, and the header of what `source` stands for.

    Raises InputError as `sources.resolve` and `record.read_record`.
    """
    header, tensors = read_record(resolve(source, BoostingHeader), BoostingHeader)
    return tensors, header


def same_tensors(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two boosting groups, by the names of their tensors, are the same to the last bit, on whatever devices."""
    return a.keys() == b.keys() and all(torch.equal(value.cpu(), b[name].cpu()) for name, value in a.items())


class Student(Protocol):
    """What decides whether boosting prompts fit a CLIP: a Backbone has it, and so has a host's CLIP (caspl/host/graft.py)."""

    name: str
    fingerprint: str
    text_width: int
    vision_width: int


class OtherStudent(QuantityError):
    """The boosting prompts belong to another CLIP than the backbone that they were asked for."""


def load_boosting(
    path: str | Path, backbone: Student, *, dataset: str = "", classnames: Sequence[str] = (), trainable: bool = False
) -> tuple[Prompts, BoostingHeader]:
    """Boosting prompts for `backbone`, frozen unless `trainable`, and their header.

    Raises InputError, naming both sides of everything that differs, where the prompts were trained for another student
    (OtherStudent), or for the same `dataset` with other classes than `classnames`.
    """
    tensors, header = read_boosting(path)
    other = mismatch(header.student, header.student_fingerprint, backbone.name, backbone.fingerprint)
    sides = [other.said] if other else []
    for tower, depth in (("text", header.text_depth), ("vision", header.vision_depth)):
        theirs, ours = getattr(header, f"{tower}_width"), getattr(backbone, f"{tower}_width")
        if depth and theirs != ours:
            sides.append(f"{tower} width {theirs} there and {ours} here")
    if sides:
        said = f"is {backbone.name}, but the boosting prompts of {path} belong to another student: {', '.join(sides)}"
        remedy = other.remedy if other else f"choose {header.student}"
        raise OtherStudent(("backbone", f"{said}; {remedy}, or train phase 1 on {backbone.name}"))
    comparable = dataset == header.dataset and header.names == "all" and header.classnames
    strangers = [name for name in classnames if name not in header.classnames] if comparable else []
    if strangers:
        raise InputError(
            f'the class list of {dataset} does not match that of {path}: "{strangers[0]}" is not among its '
            f"{len(header.classnames)} classes ({', '.join(header.classnames[:3])}, ...); train phase 1 on "
            f"this class list"
        )
    text = [tensors[f"text.{i}"] for i in range(header.text_depth)]
    vision = [tensors[f"vision.{i}"] for i in range(header.vision_depth)]
    return Prompts(text, vision, trainable=trainable), header
