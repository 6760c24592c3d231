"""What files of prompts say about themselves: a header for each kind of record, and reading it alone. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from safetensors import SafetensorError, safe_open

from ..ground import door
from ..ground.errors import InputError, cause, listed
from ..ground.files import load_json, regular
from ..ground.tensors import sealed
from ..ground.texts import LONGEST_NAME, places
from . import legacy
from .fields import number, one_of, parse, several, text

FORMAT, VERSION = "caspl", "1"
METADATA = {"format", "header", "kind", "version", sealed.NAME}
UNALTERED = "take an unaltered file, or write it anew"
Shape = tuple[int, ...]

MOST_CLASSES = 100_000  # WordNet has 82,000 nouns; each takes a pass through the text tower
MOST_TOKENS = 4_096
MOST_BLOCKS = 1_024
WIDEST = 65_536
MOST_GROUPS = 16
INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos")


@dataclass(frozen=True)
class Header:
    """What all kinds share. A kind adds its fields, and the tensors that a file with such a header holds."""

    kind: ClassVar[str]
    file_name: ClassVar[str]
    made_by: ClassVar[str]  # what leaves such a file, for messages; {train} is the command

    def shapes(self) -> dict[str, Shape]:
        """The shape of each tensor of the file, by its name."""
        raise NotImplementedError


@dataclass(frozen=True)
class BoostingHeader(Header):
    """Where boosting prompts come from and what they fit.

    Lengths are in tokens, depths in blocks. A fingerprint is that of `Backbone.fingerprint`.
    """

    kind, file_name = "boosting", "boosting.safetensors"
    made_by = "phase 1 ({train} --trainer CasPLBoost ...)"

    student: str
    student_fingerprint: str
    text_width: int = number(0, WIDEST)
    vision_width: int = number(0, WIDEST)
    text_length: int = number(0, MOST_TOKENS)
    vision_length: int = number(0, MOST_TOKENS)
    text_depth: int = number(0, MOST_BLOCKS)
    vision_depth: int = number(0, MOST_BLOCKS)
    dataset: str
    # Of the softmax of phase 1; empty where they are not known
    classnames: list[str] = several(MOST_CLASSES, text(LONGEST_NAME))
    names: str = one_of(
        "all", "base"
    )  # base: only the base classes' names were in it (the strictly inductive protocol)
    teacher: str
    teacher_fingerprint: str
    template: str
    temperature: float = number(0, 1_000_000, above=True)
    loss: str
    epochs: int = number(0, 2**31)
    seed: int = number(-(2**63), 2**64)

    def __str__(self) -> str:
        """One line for logs: what the prompts are and what they come from."""
        return (
            f"{self.text_length} text tokens in {self.text_depth} blocks, {self.vision_length} vision tokens in "
            f"{self.vision_depth} blocks, taught by {self.teacher} on {self.dataset}"
            f"{' (names of base classes only)' if self.names == 'base' else ''}"
        )

    def problem(self) -> str:
        """What is wrong with its fields beside each other, or an empty string."""
        if not self.text_depth and not self.vision_depth:
            return "announces no prompts: text_depth and vision_depth are 0"
        for tower in ("text", "vision"):
            depth, length, width = (getattr(self, f"{tower}_{size}") for size in ("depth", "length", "width"))
            if depth and not (length and width):
                return f"announces empty prompts: {tower}_length is {length} and {tower}_width {width}"
        if not places(self.template):  # that of a union has one for each domain
            return f"names the template {self.template[:60]!r}, expected {{}} where the class name goes, and no other brace"
        return ""

    def shapes(self) -> dict[str, Shape]:
        text = {f"text.{block}": (self.text_length, self.text_width) for block in range(self.text_depth)}
        return text | {f"vision.{block}": (self.vision_length, self.vision_width) for block in range(self.vision_depth)}


@dataclass(frozen=True)
class GroupHeader:
    """One of a run's deployed learners: the shapes of what it holds.

    `prompts` (Prompts) has an entry for each block that it enters. `conditional` (ConditionalContext) has one text entry, the
    context, fixed words behind it, and the widths (image feature, bottleneck) of its meta-net.
    """

    kind: str = one_of("prompts", "conditional")
    text: list[list[int]] = several(MOST_BLOCKS, number(1, MOST_CLASSES))  # [N, D] or, class-specific, [C, N, D]
    vision: list[list[int]] = several(MOST_BLOCKS, number(1, WIDEST))  # [N, V]
    after_name: int = number(0, MOST_TOKENS)  # how many of its text tokens stand behind the class name
    words: int = number(0, MOST_TOKENS)
    meta_net: list[int] = several(2, number(1, WIDEST))

    def problem(self) -> str:
        """What is wrong with its fields beside each other, or an empty string."""
        wrong = [shape for shape in self.text if len(shape) not in (2, 3)] + [s for s in self.vision if len(s) != 2]
        if wrong:
            return f"has a shape {wrong[0]}, expected [tokens, width] or, class-specific text, [classes, tokens, width]"
        conditional = len(self.text) == 1 and len(self.text[0]) == 2 and not self.vision and len(self.meta_net) == 2
        if conditional if self.kind == "conditional" else not self.words and not self.meta_net:
            return ""
        return f"has other fields than {self.kind} has"

    def shapes(self) -> dict[str, Shape]:
        """The shape of each tensor, by its name."""
        if self.kind == "prompts":
            towers = {"text": self.text, "vision": self.vision}
            return {f"{t}.{i}": tuple(shape) for t, entries in towers.items() for i, shape in enumerate(entries)}
        (tokens, width), (embedding, hidden) = self.text[0], self.meta_net
        return {
            "ctx": (tokens, width),
            **({"words": (self.words, width)} if self.words else {}),
            "meta_net.linear1.weight": (hidden, embedding),
            "meta_net.linear1.bias": (hidden,),
            "meta_net.linear2.weight": (width, hidden),
            "meta_net.linear2.bias": (width,),
        }


@dataclass(frozen=True)
class RunHeader(Header):
    """Where a run's prompts come from, what they fit, and how images are prepared for them."""

    kind, file_name = "run", "prompts.safetensors"
    made_by = "a run of a prompt learner"

    trainer: str
    backbone: str  # its name, such as ViT-B/16
    backbone_fingerprint: str  # that of `Backbone.fingerprint`
    dataset: str
    classnames: list[str] = several(MOST_CLASSES, text(LONGEST_NAME))  # the run's own
    # Whose names phase 1 knew, as in BoostingHeader; empty: there was no phase 1; unknown: nobody said
    names: str = one_of("", "all", "base", "unknown")
    shots: int = number(-(2**31), 2**31)  # labelled images of each class, below 1: all
    seed: int = number(-(2**63), 2**64)
    epochs: int = number(0, 2**31)
    size: list[int] = several(2, number(1, 16_384), fewest=2)  # (height, width) in pixels
    interpolation: str = one_of(*INTERPOLATIONS)
    mean: list[float] = several(3, number(-1_000, 1_000), fewest=3)  # of pixels in [0, 1]
    std: list[float] = several(3, number(0, 1_000, above=True), fewest=3)
    groups: list[GroupHeader] = several(MOST_GROUPS)  # in text order

    def problem(self) -> str:
        """What is wrong with its fields beside each other, or an empty string."""
        return "" if any(group.text or group.vision for group in self.groups) else "announces no prompts"

    def shapes(self) -> dict[str, Shape]:
        groups = [group.shapes() for group in self.groups]
        return {f"groups.{i}.{name}": shape for i, group in enumerate(groups) for name, shape in group.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------
AnyHeader = TypeVar("AnyHeader", bound=Header)


def read_header(path: str | Path, *kinds: type[AnyHeader]) -> AnyHeader:
    """The header of a record, one of `kinds`, without its tensors. Raises InputError as `record.read_record`."""
    with opened(path) as file:
        return header_of(file, path, kinds)


@contextmanager
def opened(path: str | Path, framework: str = "numpy") -> Iterator[Any]:
    """A safetensors file, open. When the block has found nothing wrong in it, its bytes are compared with its checksum.

    Raises InputError where there is no such file, or where it is damaged or cut short.
    """
    try:
        sealed.check_table(regular(path))
        with safe_open(path, framework=framework) as file:
            yield file
        sealed.check_seal(path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; check the path") from None
    except ValueError as error:
        raise InputError(f"{path} is no safetensors file or is damaged ({error}); {UNALTERED}") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file or is cut short ({cause(error)}); copy it again") from error


def maker(kind: type[Header]) -> str:
    """What leaves such a file, in words."""
    return kind.made_by.format(train=door.training())


def header_of(file: Any, path: str | Path, kinds: tuple[type[AnyHeader], ...]) -> AnyHeader:
    """The header in an open file. Raises InputError where it is none of `kinds`, or not what its class declares."""
    metadata = file.metadata() or {}
    form, version = (metadata.get(key, "not given") for key in ("format", "version"))
    expected = legacy.VERSIONS.get(form, VERSION)
    names = " or ".join(f"{kind.kind}, the {kind.file_name} of {maker(kind)}" for kind in kinds)
    if form not in (FORMAT, *legacy.VERSIONS):
        raise InputError(
            f"{path} is a safetensors file of another kind (format {form[:60]}), expected {FORMAT}: {names}"
        )
    if version != expected:
        raise InputError(
            f"{path} has version {version[:60]} of the format {form}, this program reads version {expected}; use the program "
            f"that wrote it, or make it anew"
        )
    found = legacy.KINDS.get(form) or metadata.get("kind", "not given")
    kind = next((kind for kind in kinds if kind.kind == found), None)
    if kind is None:
        raise InputError(f"{path} is of the kind {found[:60]}, expected {names}")
    if form == FORMAT and (others := sorted(metadata.keys() - METADATA)):
        raise InputError(
            f"{path} says {listed([name[:60] for name in others])} of itself, which is not known; {UNALTERED}"
        )
    try:
        values = load_json(metadata.get("header", ""))
        if form in legacy.VERSIONS:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118, it is no mapping
            values = legacy.header(form, values, shapes)
        return parse(kind, values)
    except ValueError as error:
        raise InputError(f"the header of {path}: {error}; {UNALTERED}") from None
