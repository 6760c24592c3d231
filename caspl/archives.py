"""Reading the weights of CLIP files without running anything that is in them.

Three kinds of file are read: OpenAI's TorchScript archives (`ViT-B-16.pt` in `~/.cache/clip`), state dicts written by
torch.save (bare, or under "state_dict", keys with or without "module."), and safetensors.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .errors import InputError


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name. Raises InputError, naming the file, where there are none to be had."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weight file at {path}; check MODEL.BACKBONE.NAME or the teacher's name")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        elif _is_torchscript(path):
            weights = read_torchscript(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is not a weight file that can be read without running code ({reason}); expected an OpenAI "
            f"archive, a state dict or safetensors, not cut short"
        ) from error
    if isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
    if not isinstance(weights, dict) or not any(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path} holds a {type(weights).__name__} without tensors, expected the state dict of a CLIP")
    return {key.removeprefix("module."): value for key, value in weights.items() if isinstance(value, Tensor)}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/", 1)[-1] == "constants.pkl" for name in archive.namelist())


_STORAGE_DTYPES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
}


class _Node:
    """Stands for any scripted class: keeps the attributes that the archive gives an object, and nothing else."""

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)


def _rebuild_tensor(storage: Tensor, offset: int, size: tuple, stride: tuple, *_: object) -> Tensor:
    return torch.as_strided(storage, size, stride, offset)


class _ArchiveUnpickler(pickle.Unpickler):
    """Knows tensors and plain containers; every class of the archive becomes an inert node."""

    def __init__(self, archive: zipfile.ZipFile, root: str):
        super().__init__(archive.open(f"{root}/data.pkl"))
        self.archive, self.root = archive, root
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> object:
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda data, requires_grad, hooks: data
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if module == "collections" and name == "OrderedDict":
            return dict
        if module == "torch.jit._pickle":
            return lambda data, *_: data
        if module.startswith("__torch__"):
            return type(name, (_Node,), {})
        raise pickle.UnpicklingError(f"refused {module}.{name}")

    def persistent_load(self, key: tuple) -> Tensor:
        _, dtype, name, _, _ = key
        if name not in self.storages:
            data = bytearray(self.archive.read(f"{self.root}/data/{name}"))
            self.storages[name] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.storages[name]


def read_torchscript(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a TorchScript archive by their dotted names; its code is not looked at."""
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).rsplit("/", 1)[0]
        module = _ArchiveUnpickler(archive, root).load()
    found: dict[str, Tensor] = {}

    def walk(node: _Node, prefix: str) -> None:
        for name, value in vars(node).items():
            if isinstance(value, Tensor):
                found[prefix + name] = value.clone()
            elif isinstance(value, _Node):
                walk(value, f"{prefix}{name}.")

    walk(module, "")
    return found
