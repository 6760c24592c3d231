"""Boosting checkpoints: one prompt group in a small safetensors file, with a header that says what it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..clip.fingerprint import same_network
from ..ground.errors import InputError, QuantityError
from ..ground.files import replacing
from ..prompting.learners import Prompts
from .run import FILE_NAME as PROMPTS_FILE

FILE_NAME = "boosting.safetensors"
FORMAT, VERSION = "caspl-boosting", 2


@dataclass(frozen=True)
class BoostingHeader:
    """Where boosting prompts come from and what they fit.

    Lengths are in tokens, depths in blocks. A fingerprint is that of `Backbone.fingerprint`.
    """

    student: str
    student_fingerprint: str
    text_width: int
    vision_width: int
    text_length: int
    vision_length: int
    text_depth: int
    vision_depth: int
    dataset: str
    classnames: list[str]  # those in the softmax of phase 1; empty where they are not known
    names: str  # all, or base: only the base classes' names were in it (the strictly inductive protocol)
    teacher: str
    teacher_fingerprint: str
    template: str
    temperature: float
    loss: str
    epochs: int
    seed: int

    def __str__(self) -> str:
        """One line for logs: what the prompts are and what they come from."""
        return (
            f"{self.text_length} text tokens in {self.text_depth} blocks, {self.vision_length} vision tokens in "
            f"{self.vision_depth} blocks, taught by {self.teacher} on {self.dataset}"
            f"{' (names of base classes only)' if self.names == 'base' else ''}"
        )

    @staticmethod
    def shapes(prompts: Prompts, backbone: Student) -> dict[str, int]:
        """The fields that follow from the prompts and the student."""
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
    tensors = {
        f"{tower}.{block}": value.detach().float().cpu().contiguous()
        for tower, entries in towers.items()
        for block, value in enumerate(entries)
    }
    metadata = {"format": FORMAT, "version": str(VERSION), "header": json.dumps(asdict(header))}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def find_boosting(path: str | Path) -> Path:
    """The file that `path` stands for: itself, the boosting.safetensors of a folder, or that of hub:org/name, fetched.

    Raises InputError where there is none.
    """
    if str(path).startswith("hub:"):
        from ..use.hub import fetch_boosting

        return fetch_boosting(str(path))
    path = Path(path).expanduser()
    if path.is_dir():
        if (path / PROMPTS_FILE).is_file() and not (path / FILE_NAME).is_file():
            raise InputError(
                f"{path} holds a run of a prompt learner, expected boosting prompts; name a run of CasPLBoost"
            )
        path = path / FILE_NAME
    if not path.is_file():
        raise InputError(
            f"no boosting checkpoint at {path}; run phase 1 first (python train.py --trainer CasPLBoost ...), and name its "
            f"{FILE_NAME} or the folder"
        )
    return path


def read_boosting(path: str | Path) -> tuple[dict[str, Tensor], BoostingHeader]:
    """The tensors, named `text.<block>` and `vision.<block>`, and the header of a boosting checkpoint.

    What `path` may be, `find_boosting` says. Raises InputError for a file that is missing, cut short, of another kind, of
    another version, or whose tensors are not those that its header announces.
    """
    path = find_boosting(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, it is no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a boosting checkpoint or is cut short ({error}); expected the {FILE_NAME} that "
            f"phase 1 writes"
        ) from error
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} is a safetensors file of another kind (format {metadata.get('format', 'not given')}), "
            f"expected {FORMAT}: the {FILE_NAME} that phase 1 writes"
        )
    if metadata.get("version") != str(VERSION):
        raise InputError(
            f"{path} has format version {metadata.get('version')}, this program reads version {VERSION}; "
            f"use the program that wrote it, or train phase 1 anew"
        )
    header = _parse_header(metadata.get("header", ""), path)
    _check_tensors(tensors, header, path)
    return tensors, header


def _parse_header(text: str, path: Path) -> BoostingHeader:
    names = {field.name for field in fields(BoostingHeader)}
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"the header of {path} is not JSON ({error}); train phase 1 anew") from error
    if set(values) != names:
        odd = ", ".join(sorted(set(values) ^ names))
        raise InputError(f"the header of {path} lacks or adds {odd}; train phase 1 anew")
    return BoostingHeader(**values)


def _check_tensors(tensors: dict[str, Tensor], header: BoostingHeader, path: Path) -> None:
    expected = {f"text.{i}": (header.text_length, header.text_width) for i in range(header.text_depth)}
    expected |= {f"vision.{i}": (header.vision_length, header.vision_width) for i in range(header.vision_depth)}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        raise InputError(
            f"{path} does not hold what its header announces: {wrong[0]} is {found.get(wrong[0], 'missing')}, "
            f"expected {expected.get(wrong[0], 'nothing of that name')}; train phase 1 anew"
        )


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
    sides = []
    if not same_network(header.student_fingerprint, backbone.fingerprint):
        theirs, ours = f"{header.student} ({header.student_fingerprint})", f"{backbone.name} ({backbone.fingerprint})"
        sides.append(("network", theirs, ours))
    if header.text_depth and header.text_width != backbone.text_width:
        sides.append(("text width", str(header.text_width), str(backbone.text_width)))
    if header.vision_depth and header.vision_width != backbone.vision_width:
        sides.append(("vision width", str(header.vision_width), str(backbone.vision_width)))
    if sides:
        differences = ", ".join(f"{what} {theirs} there and {ours} here" for what, theirs, ours in sides)
        other = f"is {backbone.name}, but the boosting prompts of {path} belong to another student: {differences}"
        raise OtherStudent(("backbone", f"{other}; choose {header.student}, or train phase 1 on {backbone.name}"))
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
