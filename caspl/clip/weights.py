"""Reading the weights of a CLIP from a file, without running anything that is in it."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..ground.errors import InputError, first_line
from ..ground.tensors.archives import TensorFile, TensorNote, Unknown, UnreadableError, opened
from ..ground.tensors.sealed import check_table


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name, those under "state_dict" if there is such an entry, without leading "module.".

    Raises InputError, naming the file, where none can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weight file at {path}; correct the path")
    try:
        if path.suffix == ".safetensors":
            check_table(path)
            weights = load_file(path)
        else:
            weights = _read_pickled_weights(path)
    except (SafetensorError, UnreadableError, ValueError) as error:
        raise InputError(
            f"{path} is not a weight file that can be read without running code ({first_line(error)}); expected an OpenAI "
            f"archive, a state dict or safetensors, not cut short"
        ) from error
    if not weights:
        raise InputError(
            f"{path} holds no tensors that can be read without running code; expected the state dict of a CLIP"
        )
    return {key.removeprefix("module."): value for key, value in weights.items()}


def _read_pickled_weights(path: Path) -> dict[str, Tensor]:
    with opened(path) as content:
        root = content.root
        if isinstance(root, Unknown):
            return _scripted_tensors(root, content)
        if isinstance(root, dict) and "state_dict" in root:
            root = root["state_dict"]
        found = root.items() if isinstance(root, dict) else ()
        return {str(key): content.tensor(value) for key, value in found if isinstance(value, TensorNote)}


def _scripted_tensors(root: Unknown, content: TensorFile) -> dict[str, Tensor]:
    """All tensors of a scripted module by their dotted names; its code is not looked at."""
    found: dict[str, Tensor] = {}

    def walk(module: Unknown, prefix: str) -> None:
        for name, value in module.state.items() if isinstance(module.state, dict) else ():
            if isinstance(value, TensorNote):
                found[f"{prefix}{name}"] = content.tensor(value)
            elif isinstance(value, Unknown):
                walk(value, f"{prefix}{name}.")

    walk(root, "")
    return found
