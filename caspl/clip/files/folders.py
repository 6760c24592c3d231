"""A folder with a CLIP: Hugging Face's or open_clip's configuration and the weight files that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ...ground.errors import InputError, cause
from ...ground.files import as_json, load_json, regular

LARGEST_JSON = 2**24  # bytes; the index of the largest model's tensors has some hundred thousand
INDEX = ".index.json"
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Kind:
    """A maker of folders: its configuration, and the names that weights have, the first that are there count."""

    config: str
    weights: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The weights' names, whole and in several files, in the order in which they are looked for."""
        return tuple(f"{name}{end}" for name in self.weights for end in ("", INDEX))


HUGGING_FACE = Kind("config.json", ("model.safetensors", "pytorch_model.bin"))
OPEN_CLIP = Kind("open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
KINDS = (HUGGING_FACE, OPEN_CLIP)


def kind_of(folder: Path) -> Kind | None:
    """What made a folder, by its configuration and its weights; None where one of them is not there."""
    return next((kind for kind in KINDS if (folder / kind.config).is_file() and _first(folder, kind)), None)


def weight_files(folder: Path, kind: Kind) -> Sequence[Path]:
    """The files that hold the model of a folder together. Raises InputError as `shards`."""
    name = _first(folder, kind)
    return [folder / shard for shard in shards(folder / name)] if name.endswith(INDEX) else [folder / name]


def shards(index: Path) -> Sequence[str]:
    """The names of the files among which an index divides a model, all of them beside it.

    Raises InputError where it is no index, or names a place elsewhere.
    """
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f'{index} has no "weight_map" from tensors to files, expected one; take an unaltered file')
    names = sorted(set(places.values()))
    for name in names:
        if name in ("", ".", "..") or any(path(name).name != name for path in (PurePosixPath, PureWindowsPath)):
            raise InputError(
                f"{index} names the file {as_json(name)}, expected one in the same folder; take an unaltered file"
            )
    return names


def preprocessor_of(folder: Path) -> Mapping[str, Any] | None:
    """How images are prepared, as Hugging Face's library has it beside a model; None where nothing says it."""
    for name in PREPROCESSORS:
        if (folder / name).is_file():
            content = read_json(folder / name)
            inner = content.get("image_processor")  # where one file is of the tokenizer, too
            return inner if isinstance(inner, dict) else content
    return None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises InputError where there is none."""
    try:
        content = load_json(regular(path, LARGEST_JSON).read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); correct the path") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}; take an unaltered file") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {as_json(content)}, expected settings by name; take an unaltered file")
    return content


def _first(folder: Path, kind: Kind) -> str | None:
    return next((name for name in kind.files if (folder / name).is_file()), None)
