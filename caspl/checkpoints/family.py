"""Released checkpoints of the CoOp family: reading them safely, and their names for prompts in terms of ours.

The family saves a whole CLIP wherever prompts are parameters of its towers (MaPLe, IVLP, VPT, PromptSRC, CasPL), and only
the prompt learner otherwise. Names are those of KaiyangZhou/CoOp, htyao89/KgCoOp, BeierZhu/Prompt-align,
muzairkhattak/multimodal-prompt-learning, muzairkhattak/PromptSRC and megvii-research/CasPL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..ground.errors import InputError, listed
from ..ground.tensors.torch_files import models_beside, read_entries
from ..ground.tensors.values import LARGEST_PROMPT, MOST_EPOCHS, impossible, shown, whole
from ..prompting.learners import Prompts

# Buffers that hold the embedded class names of the run; ours are made from the class names of the dataset at hand.
CLASS_BUFFERS = ("token_prefix", "token_suffix", "token_midffix")
# Methods whose prompts are free parameters of the towers, so that our learner is `caspl.prompting.learners.Prompts`.
IN_TOWERS = ("IVLP", "VPT", "PromptSRC")
# Parameters that a released learner has and never uses.
UNUSED = {"KgCoOp": ("bias_vectors", "meta_net.")}
WHOLE_MODEL = ("prompt_learner.", "prompt_learner_teacher.", "image_encoder.", "text_encoder.")
FROZEN = (
    "image_encoder.",
    "text_encoder.",
    "logit_scale",
    "prompt_learner_teacher.",
    "prompt_learner.ZS_image_encoder.",
)

REMEDY = "expected a model.pth.tar-<epoch>, copy or download it again"
_TOWERS = {"text": "text", "image": "vision"}
_FIRST_VISION = re.compile(r"image_encoder\.VPT(_FIRST)?")
_DEEPER = re.compile(r"(text|image)_encoder\.transformer\.resblocks\.(\d+)\.VPT_shallow(_FIRST)?")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The entries of a model file of Dassl, tensors on the CPU, read without running what is pickled in it.

    Entries that hold objects of other classes than tensors, numbers, texts and their containers are left out: the
    schedule, in which Dassl pickles a scheduler with its optimiser. `state_dict` is there and holds tensors only.

    Raises InputError for a file that is missing, a folder, damaged, cut short, of another kind, or without state_dict.
    """
    path = Path(path).expanduser()
    check_is_file(path)
    entries, _ = read_entries(path, REMEDY)
    if not isinstance(entries, dict):
        entries = {}
    state = entries.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        held = ", ".join(map(str, list(entries)[:3])) or "nothing readable without running code"
        raise InputError(f"{path} has no state_dict of tensors, it holds {held}; expected a model.pth.tar-<epoch>")
    epoch = entries.get("epoch")
    if epoch is not None and not whole(epoch, 0, MOST_EPOCHS):
        raise InputError(f"{path}: epoch is {shown(epoch)}, expected 0 to {MOST_EPOCHS}; {REMEDY}")
    return entries


def check_is_file(path: Path) -> None:
    """Raise InputError, with the model files that are there, unless `path` is a file."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a model file in it, such as model.pth.tar-<epoch>")
    if not path.exists():
        raise InputError(f"there is no file {path}{models_beside(path)}; check the path, or the epoch (--load-epoch)")


def released_prompts(state_dict: Mapping[str, Tensor], *, method: str) -> dict[str, Tensor]:
    """The prompts of a released checkpoint, in float32 but for whole numbers, under the names of our learner of `method`.

    `method` is a trainer's name without "CasPL_": CoOp, CoCoOp, MaPLe, IVLP, VPT, PromptSRC, KgCoOp, ProGrad. It is
    needed because the published CasPL puts the same parameters into the towers whether its learner uses them or not.
    With boosting prompts in the file, names begin with `adapting.` and `boosting.`. Frozen weights and class buffers are
    left out; what belongs to no method here stays, for the trainer to name what does not fit. So do our own names.
    """
    state = _without_class_buffers(state_dict)
    if not any(key.startswith(WHOLE_MODEL) for key in state):
        unused = UNUSED.get(method, ())
        return {key: _float(value) for key, value in state.items() if not key.startswith(unused)}
    learner, in_towers, boosting = {}, {}, {}
    for key, value in state.items():
        name, boosts = _place(key)
        if name:
            (boosting if boosts else in_towers)[name] = value
        elif key == "prompt_learner.ctx" and method in IN_TOWERS:
            learner["text.0"] = value
        elif not key.startswith(FROZEN):
            learner[key.removeprefix("prompt_learner.")] = value
    if method in IN_TOWERS or not boosting:  # else they are CasPL's random leftovers
        learner |= in_towers
    if boosting:
        learner = {f"adapting.{name}": value for name, value in learner.items()}
        learner |= {f"boosting.{name}": value for name, value in boosting.items()}
    return {name: _float(value) for name, value in learner.items()} or state


def _float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _without_class_buffers(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix("module."): value
        for key, value in state_dict.items()
        if key.rsplit(".", 1)[-1] not in CLASS_BUFFERS
    }


def _place(key: str) -> tuple[str, bool]:
    """Our name, `text.<block>` or `vision.<block>`, of a prompt of the towers, and whether it boosts; "" for other keys."""
    if match := _DEEPER.fullmatch(key):
        return f"{_TOWERS[match[1]]}.{int(match[2])}", bool(match[3])
    if match := _FIRST_VISION.fullmatch(key):
        return "vision.0", bool(match[1])
    return ("text.0", True) if key == "prompt_learner_teacher.ctx" else ("", False)


def official_class_count(state_dict: Mapping[str, Tensor]) -> int | None:
    """How many classes phase 1 of the published CasPL was run on; None where the file does not tell."""
    for key, value in state_dict.items():
        if key.removeprefix("module.") == "prompt_learner_teacher.token_prefix":  # [C, 1, D]
            return len(value)
    return None


def boosting_from_official(state_dict: Mapping[str, Tensor], source: str | Path, *, trainable: bool = False) -> Prompts:
    """The boosting prompts, frozen unless `trainable`, of phase 1 of the published CasPL (`CasPL/model.pth.tar-20`).

    The untrained parameters beside them (`VPT`, `VPT_shallow`) are passed over. Raises InputError, naming `source`, for a
    checkpoint of another kind and for prompts that leave out a block, differ in shape within a tower or are not finite.
    """
    state = _without_class_buffers(state_dict)
    towers: dict[str, dict[int, Tensor]] = {"text": {}, "vision": {}}
    for key, value in state.items():
        name, boosts = _place(key)
        if boosts:
            tower, block = name.split(".")
            towers[tower][int(block)] = value
    _check_kind(state, any(towers.values()), source)
    for tower, entries in towers.items():
        _check_blocks(tower, entries, source)
    prompts = {f"{tower}.{block}": value for tower, entries in towers.items() for block, value in entries.items()}
    if problems := impossible(prompts, LARGEST_PROMPT):
        raise InputError(f"{source} holds no prompts that can be used: {listed(problems)}; take an unaltered file")
    text, vision = ([value for _, value in sorted(entries.items())] for entries in towers.values())
    return Prompts(text, vision, trainable=trainable)


def _check_kind(state: Mapping[str, Tensor], boosts: bool, source: str | Path) -> None:
    expected = "expected that of CasPL's phase 1, CasPL/model.pth.tar-20"
    if boosts and "prompt_learner.ctx" in state:
        raise InputError(
            f"{source} is a checkpoint of phase 2: it holds prompt_learner.ctx beside the boosting prompts; {expected} "
            f"(that of phase 2 needs no conversion, see --model-dir)"
        )
    if boosts:
        return
    if any(key.startswith(("text.", "vision.")) for key in state):
        kind = "is a checkpoint of this program, whose boosting prompts are in the boosting.safetensors that its run leaves"
    elif any("compound_prompts_text" in key for key in state):
        kind = "is a checkpoint of MaPLe and holds no boosting prompts"
    elif any(key.rsplit(".", 1)[-1] == "ctx" or _place(key)[0] for key in state):
        kind = "is a checkpoint of a prompt learner and holds no boosting prompts"
    else:
        kind = "holds no boosting prompts"
    raise InputError(f"{source} {kind} (prompt_learner_teacher.ctx, VPT_FIRST, VPT_shallow_FIRST); {expected}")


def _check_blocks(tower: str, entries: Mapping[int, Tensor], source: str | Path) -> None:
    missing = sorted(set(range(max(entries, default=-1) + 1)) - entries.keys())
    if missing:
        raise InputError(
            f"{source} has {tower} prompts for blocks {', '.join(map(str, sorted(entries)))}, but "
            f"{_official_key(tower, missing[0])} is missing; expected one for each block from 0 on, take an unaltered file"
        )
    shapes = {block: tuple(value.shape) for block, value in sorted(entries.items())}
    odd = [block for block, shape in shapes.items() if len(shape) != 2 or shape != shapes[0]]
    if odd:
        raise InputError(
            f"{source}: {_official_key(tower, odd[0])} has shape {shapes[odd[0]]}, {_official_key(tower, 0)} {shapes[0]}; "
            f"expected the same (tokens, width) in all blocks, take an unaltered file"
        )


def _official_key(tower: str, block: int) -> str:
    if block:
        return f"{'text' if tower == 'text' else 'image'}_encoder.transformer.resblocks.{block}.VPT_shallow_FIRST"
    return "prompt_learner_teacher.ctx" if tower == "text" else "image_encoder.VPT_FIRST"
