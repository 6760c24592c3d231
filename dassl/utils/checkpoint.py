"""Model files: written in one step, with plain values only, and read without executing anything."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from caspl.ground.errors import InputError, first_line, listed
from caspl.ground.files import regular, replacing
from caspl.ground.tensors.archives import DTYPES
from caspl.ground.tensors.checksum import with_checksum
from caspl.ground.tensors.shapes import differences, shapes_of
from caspl.ground.tensors.torch_files import models_beside, read_entries
from caspl.ground.tensors.values import MOST_EPOCHS, impossible, shown, whole

from .errors import MissingFileError
from .states import check_state, optimizer_problems, scheduler_problems

logger = logging.getLogger(__name__)


def save_plain(state: Any, path: str | Path) -> None:
    """Write `state` with torch.save in one step, so that torch.load(weights_only=True) reads it, without a GPU, too.

    Tensors of another device go to the CPU, NumPy values become PyTorch's and Python's. A dictionary gets one entry more,
    `checksum`, which `load_checkpoint` compares.

    Raises:
        TypeError: something in `state` would need unpickling; the message gives its place.
        OSError: `path` can't be written.
    """
    content = io.BytesIO()
    plain = _plain(state, "state")
    torch.save(with_checksum(plain) if isinstance(plain, dict) else plain, content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())  # a full disk then says so, which torch.save does not


def _plain(value: Any, place: str) -> Any:
    """Return `value` with nothing in it but tensors, numbers, texts and containers of them."""
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and value.dtype in DTYPES:
        value = value.cpu()
        return value if value.numel() <= _stored(value) else value.contiguous()
    if value is None or isinstance(value, (torch.Size, torch.dtype, torch.device, Counter)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, Mapping) and not any(isinstance(key, tuple) for key in value):
        kind = OrderedDict if isinstance(value, OrderedDict) else dict
        return kind((key, _plain(item, f"{place}[{key!r}]")) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(_plain(item, f"{place}[{index}]") for index, item in enumerate(value))
    raise TypeError(
        f"{place} is a {type(value).__module__}.{type(value).__name__}, which a checkpoint cannot hold; "
        "store tensors, numbers, texts, lists and dictionaries"
    )


def _stored(value: torch.Tensor) -> int:
    """How many numbers the storage of a tensor has; an expanded tensor has more, which its file would not."""
    return value.untyped_storage().nbytes() // value.element_size()


def save_checkpoint(
    state: dict[str, Any],
    save_dir: str,
    is_best: bool = False,
    remove_module_from_keys: bool = True,
    model_name: str = "",
) -> None:
    """Write a model file to `save_dir`, and its name to the text file `checkpoint` there, as Dassl 0.6.3.

    Args:
        state: at least `state_dict` and `epoch` (how many are finished); see `TrainerBase.save_model`.
        save_dir: folder, made if needed.
        is_best: also copy the file to `model-best.pth.tar`.
        remove_module_from_keys: drop a leading "module." from the names in `state_dict`.
        model_name: file name; "" = `model.pth.tar-<epoch>`.
    """
    if remove_module_from_keys:
        names = OrderedDict((name.removeprefix("module."), value) for name, value in state["state_dict"].items())
        state = {**state, "state_dict": names}
    path = os.path.join(save_dir, model_name or f"model.pth.tar-{state['epoch']}")
    save_plain(state, path)
    logger.info(f"Checkpoint saved to {path}")

    # Written second: a process killed in between leaves a name that still leads to a whole file
    with replacing(os.path.join(save_dir, "checkpoint")) as temporary:
        temporary.write_text(f"{os.path.basename(path)}\n", encoding="utf-8")

    if is_best:
        best = os.path.join(save_dir, "model-best.pth.tar")
        with replacing(best) as temporary:
            shutil.copyfile(path, temporary)
        logger.info(f'Best checkpoint saved to "{best}"')


def load_checkpoint(fpath: str | Path, remedy: str = "copy it again, or delete it") -> dict[str, Any]:
    """Return the content of a model file, with all tensors on the CPU.

    Unlike Dassl 0.6.3 the file cannot execute code, and where it has a checksum its content is compared with it. `remedy`
    ends the sentence about a file that is damaged.

    Raises:
        MissingFileError: there is no such file; the sentence names the model files beside it.
        InputError: the file is damaged, of another kind, or can only be read by unpickling objects.
    """
    if fpath is None:
        raise ValueError("File path is None")
    path = Path(fpath)
    if path.is_dir():
        raise InputError(f"{fpath} is a folder; a model file is expected.")
    if not path.exists():
        raise MissingFileError(f"There is no file {fpath}{models_beside(path)}.")
    content, objects = read_entries(path, remedy)
    if objects:
        raise InputError(
            f"{fpath} contains pickled objects ({listed(objects)}) beside weights, and reading those could execute code; save "
            f"it again with weights and plain values only."
        )
    return content


def load_into(model: nn.Module, state_dict: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Load weights strictly.

    Raises:
        InputError: names, shapes or types do not fit the model, or a number is not finite; the sentence names `source`
            and the first misfits.
    """
    own = model.state_dict()
    found = state_dict if isinstance(state_dict, Mapping) else {}
    problems = differences(shapes_of(found), shapes_of(own)) or _wrong_values(found, own)
    if not problems:
        try:
            model.load_state_dict(state_dict)
            return
        except RuntimeError as error:
            problems = [" ".join(str(error).split())]
    raise InputError(f"{source} does not fit the model: {listed(problems)}") from None


def _wrong_values(found: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> list[str]:
    """A phrase for each of the weights `found` that would be rounded to another kind of number, or is not finite."""
    learned = {name: value for name, value in found.items() if own[name].is_floating_point()}
    return impossible(learned, sys.float_info.max)


def resume_from_checkpoint(
    fdir: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> int:
    """Load the newest model file of folder `fdir` into the model and, where given, the optimiser and the schedule.

    Returns:
        The number of finished epochs.

    Raises:
        InputError: the text file `checkpoint` is missing or empty, or the file it names cannot be used.
    """
    pointer = Path(fdir) / "checkpoint"
    try:
        name = regular(pointer, 2**16).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    if not name:
        raise InputError(
            f"Cannot resume from {fdir}: the text file {pointer}, which names the newest model file, is missing or "
            f"empty{models_beside(pointer)}; write the name into it, or delete the folder to train from scratch."
        )
    other = f"write the name of another file in {fdir} into {pointer}, or delete the folder to train from scratch"
    if os.path.basename(name) != name or len(name.split()) > 1 or len(name) > 255 or name in (os.curdir, os.pardir):
        raise InputError(
            f'{pointer} says "{first_line(name, 60)}", expected the name of a model file beside it; {other}'
        )
    path = os.path.join(fdir, name)
    logger.info(f'Loading checkpoint from "{path}"')
    checkpoint = load_checkpoint(path, remedy=f"delete it, and {other}")
    if not isinstance(checkpoint, dict) or not {"state_dict", "epoch"} <= checkpoint.keys():
        raise InputError(f"{path} has no state_dict and epoch, so training cannot resume from it; {other}")
    check_state(_resuming_problems(checkpoint, optimizer, scheduler), path, other)
    load_into(model, checkpoint["state_dict"], path)
    logger.info("Loaded model weights")
    if optimizer is not None and checkpoint.get("optimizer") is not None:
        optimizer.load_state_dict(checkpoint["optimizer"])
        logger.info("Loaded optimizer")
    if scheduler is not None and checkpoint.get("scheduler") is not None:
        scheduler.load_state_dict(checkpoint["scheduler"])
        logger.info("Loaded scheduler")
    logger.info(f"Previous epoch: {checkpoint['epoch']}")
    return checkpoint["epoch"]


def _resuming_problems(checkpoint: dict[str, Any], optimizer: Any, scheduler: Any) -> Iterator[str]:
    """What is wrong with what a model file holds beside weights."""
    if not whole(checkpoint["epoch"], 0, MOST_EPOCHS):
        yield f"epoch is {shown(checkpoint['epoch'])}, expected 0 or more"
    if optimizer is not None and checkpoint.get("optimizer") is not None:
        yield from optimizer_problems(checkpoint["optimizer"], optimizer, "optimizer")
    if scheduler is not None and checkpoint.get("scheduler") is not None:
        yield from scheduler_problems(checkpoint["scheduler"], scheduler, "scheduler", MOST_EPOCHS)


def load_pretrained_weights(model: nn.Module, weight_path: str) -> None:
    """Load those weights of a file whose names and shapes fit the model, and say which do not, as Dassl 0.6.3.

    A leading "module." in names is ignored. When nothing fits there is a warning.
    """
    checkpoint = load_checkpoint(weight_path)
    weights = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(weights, dict):
        raise InputError(f"{weight_path} holds no weights by their names; give a model file")
    present = model.state_dict()
    matched, discarded = OrderedDict(), []
    for name, value in weights.items():
        name = str(name).removeprefix("module.")
        if name in present and isinstance(value, torch.Tensor) and present[name].size() == value.size():
            matched[name] = value
        else:
            discarded.append(name)
    if problems := _wrong_values(matched, present):
        raise InputError(f"{weight_path}: {listed(problems)}; take another file")
    model.load_state_dict({**present, **matched})
    if not matched:
        warnings.warn(f"Nothing in {weight_path} fits the model; compare the names of the weights", stacklevel=2)
        return
    logger.info(f"Successfully loaded pretrained weights from {weight_path}")
    if discarded:
        logger.info(f"Weights left out because name or shape does not fit: {discarded}")
