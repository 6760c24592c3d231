"""The record: the one format of files of prompts. Tensors and a typed header in a safetensors file.

Its metadata are `format`, `kind`, `version`, `header` (JSON) and `sha256`, the checksum of the file, in alphabetical order, so
that equal records are equal files. Nothing in a file is run, and nothing is taken for granted: a field, a tensor, a shape or a
number that the header's class does not allow is refused in one sentence, and so is a file with a changed bit. Files of before
there was a checksum are read without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
from torch import Tensor

from ..ground.errors import InputError, listed
from ..ground.files import replacing
from ..ground.tensors.sealed import sealed
from ..ground.tensors.shapes import differences, shapes_of
from ..ground.tensors.values import LARGEST_PROMPT, impossible
from . import legacy
from .fields import parse
from .headers import FORMAT, UNALTERED, VERSION, AnyHeader, Header, header_of, opened


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------
def write_record(path: str | Path, header: Header, tensors: Mapping[str, Tensor]) -> None:
    """Write float32 copies of `tensors` under `header`; whoever reads `path` sees the old file or the whole new one.

    Raises InputError for a header that no file may have, or whose tensors are others, and for numbers that no prompts have.
    """
    values = {name: value.detach().float().cpu().contiguous() for name, value in tensors.items()}
    try:
        text = json.dumps(asdict(parse(type(header), asdict(header))), sort_keys=True)
    except ValueError as error:
        raise InputError(f"{path} was not written: its header would be wrong: {error}") from None
    if problems := differences(shapes_of(values), header.shapes()):
        raise InputError(f"{path} was not written: its header announces other tensors: {listed(problems)}")
    if problems := impossible(values, LARGEST_PROMPT):
        raise InputError(f"{path} was not written: {listed(problems)}; training has diverged, train with a lower rate")
    metadata = {"format": FORMAT, "header": text, "kind": header.kind, "version": VERSION}
    with replacing(path) as temporary:
        temporary.write_bytes(sealed(safetensors.torch.save(values, metadata)))


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------
def read_record(path: str | Path, *kinds: type[AnyHeader]) -> tuple[AnyHeader, dict[str, Tensor]]:
    """The header, one of `kinds`, and the tensors of a file.

    Raises InputError, in one sentence with the file and what is wrong in it: it is missing, cut short, of another kind or
    version; its header has a field too many or too few, or one of a wrong type or range; its tensors are not those that the
    header announces, are not float32, or have numbers that no prompts have; it is not what was written.
    """
    with opened(path, framework="pt") as file:
        header = header_of(file, path, kinds)
        types = {name: file.get_slice(name).get_dtype() for name in sorted(file.keys())}
        if others := [f"{name} is {found}, expected F32" for name, found in types.items() if found != "F32"]:
            raise InputError(f"the tensors of {path}: {listed(others)}; {UNALTERED}")
        old = file.metadata()["format"] in legacy.VERSIONS
        if not old:  # compared before anything is read
            _check_shapes({name: tuple(file.get_slice(name).get_shape()) for name in types}, header, path)
        tensors = {name: file.get_tensor(name) for name in types}
        if old:
            tensors = legacy.tensors(header, tensors)
            _check_shapes(shapes_of(tensors), header, path)
        if problems := impossible(tensors, LARGEST_PROMPT):
            raise InputError(f"{path} holds no prompts that can be used: {listed(problems)}; {UNALTERED}")
    return header, tensors


def _check_shapes(found: Mapping[str, tuple[int, ...]], header: Header, path: str | Path) -> None:
    if problems := differences(found, header.shapes()):
        raise InputError(f"{path} does not hold what its header announces: {listed(problems)}; {UNALTERED}")
