"""The file from which an interrupted run continues as if nothing had happened."""

from __future__ import annotations

import logging
import math
import os
import random
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from dassl.utils.checkpoint import load_checkpoint, load_into, save_plain
from dassl.utils.states import check_state, misfits, optimizer_problems, scheduler_problems

from caspl.ground import texts
from caspl.ground.errors import InputError
from caspl.ground.files import regular
from caspl.ground.keys import flat
from caspl.ground.quiet import quiet
from caspl.ground.tensors.values import shown, whole
from caspl.ground.yaml_files import load_yaml

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from .trainer import SimpleTrainer

logger = logging.getLogger(__name__)

FILE_NAME = "resume.pth.tar"
_FORMAT = 1
_FIELDS = {"format", "epoch", "models", "optimizers", "schedulers", "random", "best_result", "extra", "config"}

# Keys that may change between a run and its continuation: none of them changes the numbers of training, beyond rounding
_FREE_KEYS = {
    "OUTPUT_DIR",
    "RESUME",
    "VERBOSE",
    "LOGGER",
    "USE_CUDA",
    "DATASET.ROOT",
    "MODEL.TEXT_STORE",
    "DATALOADER.CACHE",
    "OPTIM.ACCUMULATE",
    "TRAIN.MEMORY",
    "TRAIN.PRINT_FREQ",
    "TRAIN.CHECKPOINT_FREQ",
    "TRAIN.RESUME_FREQ",
    "TRAINER.CASPL.TEACHER_STORE",
    "TRAINER.CASPL.TEACHER_STORE_GB",
    "TRAINER.COCOOP.MEMORY",
}

# Keys that may change after a divergence, too: none of them changes what has been trained before
_CALMING_KEYS = re.compile(r"OPTIM\.(LR|WARMUP_CONS_LR|WARMUP_MIN_LR)|TRAINER\.\w+\.PREC")


def save_run(trainer: SimpleTrainer, path: str, finished: int) -> None:
    """Write everything that decides how training goes on after `finished` epochs, in one step.

    Fields: `epoch` (finished epochs), `models`, `optimizers` and `schedulers` (states by model name; None where there
    is none), `random` (see `random_state`), `best_result` (percent; -inf before the first), `extra`
    (`trainer.extra_state()`), `config` (YAML text). The file can be read with torch.load(weights_only=True).

    Raises DivergedError, and writes nothing, where something in it is not finite.
    """
    trainer.check_models()
    save_plain(
        {
            "format": _FORMAT,
            "epoch": finished,
            "models": {name: model.state_dict() for name, model in trainer._models.items()},
            "optimizers": {name: _state(optim) for name, optim in trainer._optims.items()},
            "schedulers": {name: _state(sched) for name, sched in trainer._scheds.items()},
            "random": random_state(),
            "best_result": float(trainer.best_result),
            "extra": trainer.extra_state(),
            "config": trainer.cfg.dump(),
        },
        path,
    )


def mark_diverged(path: str, said: str) -> int:
    """Note in the file that training has diverged after it, so that it goes on at another rate; its finished epochs."""
    state = load_checkpoint(path)
    save_plain({**state, "diverged": said}, path)
    return state["epoch"]


def load_run(trainer: SimpleTrainer, path: str) -> dict[str, Any] | None:
    """Load what `save_run` wrote into the trainer; the random states are left to the caller.

    Returns:
        The content of the file, or None when it is from before the first epoch of a run with another configuration,
        of which nothing would be lost.

    Raises:
        InputError: the file is damaged, of another configuration, or of other models.
    """
    remedy = _without(trainer, path)
    state = load_checkpoint(path, remedy)
    if not isinstance(state, dict) or not state.keys() >= _FIELDS or not whole(state["format"], _FORMAT, _FORMAT):
        raise InputError(f"{path} is not a file to resume from; {remedy}")
    try:
        different = _differences(state["config"], trainer.cfg.dump(), trainer.defaults, trainer.idle_keys())
    except (ValueError, AttributeError):
        raise InputError(f"{path}: config is {shown(state['config'])}, expected a configuration; {remedy}") from None
    if different and whole(state["epoch"], 0, 0):
        logger.info(f"{path} is from before the first epoch of a run with another configuration; it is not used")
        return None
    calming = [key for key in different if "diverged" in state and _CALMING_KEYS.fullmatch(key)]
    calmed = [different.pop(key) for key in calming]
    if different:
        raise InputError(_other_configuration(trainer, path, state, different))
    check_state(_problems(state, trainer), path, remedy)
    if list(state["models"]) != list(trainer._models):
        raise InputError(
            f"{path} holds the models {', '.join(state['models'])}, but the trainer has "
            f"{', '.join(trainer._models)}; choose another --output-dir, or delete the file to start anew."
        )
    for name, model in trainer._models.items():
        load_into(model, state["models"][name], f"{path} ({name})")
        optim, sched = trainer._optims[name], trainer._scheds[name]
        if calmed and optim is not None and state["optimizers"][name] is not None:
            _load_at_new_rates(optim, sched, state["optimizers"][name], state["epoch"])
            continue
        for part, own in (("optimizers", optim), ("schedulers", sched)):
            if own is not None and state[part][name] is not None:
                own.load_state_dict(state[part][name])
    trainer.best_result = state["best_result"]
    trainer.load_extra_state(state["extra"])
    if calmed:
        logger.info(f"The run has diverged; it goes on with another setting: {'; '.join(calmed)}")
    return state


def _problems(state: dict[str, Any], trainer: SimpleTrainer) -> Iterator[str]:
    """What is wrong with the fields of a file whose configuration is the trainer's, a phrase each."""
    if not whole(state["epoch"], 0, trainer.max_epoch):
        yield f"epoch is {shown(state['epoch'])}, expected 0 to MAX_EPOCH, {trainer.max_epoch}"
    best = state["best_result"]
    if type(best) is not float or math.isnan(best) or best == math.inf:
        yield f"best_result is {shown(best)}, expected a number"
    if not isinstance(state["extra"], dict):
        yield f"extra is {shown(state['extra'])}, expected a dictionary"
    yield from _random_problems(state["random"])
    for field in ("models", "optimizers", "schedulers"):
        if not isinstance(state[field], dict) or state[field].keys() != state["models"].keys():
            yield f"{field} is {shown(state[field])}, expected one entry for each model"
            return
    longest = trainer.max_epoch + max(trainer.cfg.OPTIM.WARMUP_EPOCH, 0) + 1
    for name in trainer._models.keys() & state["models"].keys():
        optimizer, scheduler = trainer._optims[name], trainer._scheds[name]
        if optimizer is not None and state["optimizers"][name] is not None:
            yield from optimizer_problems(state["optimizers"][name], optimizer, f"optimizers.{name}")
        if scheduler is not None and state["schedulers"][name] is not None:
            yield from scheduler_problems(state["schedulers"][name], scheduler, f"schedulers.{name}", longest)


def _random_problems(state: Any) -> Iterator[str]:
    """The same of the states of random generators. They are set for a moment, since only the generators know."""
    present = random_state()
    if not isinstance(state, dict) or not state.keys() >= {"python", "numpy", "torch", "cuda"}:
        yield f"random is {shown(state)}, expected the states of four random generators"
        return
    if found := [*misfits(state["numpy"], present["numpy"], "random.numpy")]:  # NumPy itself takes any position
        yield from found
        return
    if not whole(state["numpy"][2], 0, len(state["numpy"][1])):
        yield f"random.numpy[2] is {shown(state['numpy'][2])}, expected 0 to {len(state['numpy'][1])}"
        return
    try:
        restore_random_state(state)
    except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
        yield f"random is refused by a generator ({str(error)[:80]})"
    finally:
        restore_random_state(present)


def _without(trainer: SimpleTrainer, path: str) -> str:
    """What is to be done about a file that is of no use, and what then happens."""
    folder = Path(path).parent
    pointers = [folder / name / "checkpoint" for name in trainer._models]
    if trainer._models and all(pointer.is_file() for pointer in pointers):
        return (
            f"delete it, and training goes on from the newest model file in {pointers[0].parent}, with other random numbers; "
            f"delete {folder} to train from scratch"
        )
    return "delete it, and training starts from scratch"


def _load_at_new_rates(optim: Optimizer, sched: LRScheduler | None, stored: dict[str, Any], finished: int) -> None:
    """Give a new optimiser the stored momentum, but the rates that a run of its configuration has by now.

    The new schedule is stepped through the `finished` epochs, as such a run has done.
    """
    fresh = [{name: value for name, value in group.items() if name != "params"} for group in optim.param_groups]
    optim.load_state_dict(stored)
    for group, values in zip(optim.param_groups, fresh, strict=True):
        group.update(values)
    with quiet():  # it warns that no step was made
        for _ in range(finished if sched is not None else 0):
            sched.step()


def _other_configuration(trainer: SimpleTrainer, path: str, state: dict[str, Any], different: dict[str, str]) -> str:
    """The sentence about a file of a run with another configuration, and every way on that there is."""
    ways = "restore these values, choose another --output-dir, or delete the file to start anew"
    prompts = trainer.starting_point(os.path.dirname(path), state["epoch"])
    if "OPTIM.MAX_EPOCH" in different and prompts:
        ways += f"; to train what it has learned on, give MODEL.INIT_WEIGHTS {prompts} and another --output-dir"
    if "diverged" in state:
        ways += "; since it has diverged, its learning rates and PREC may change, and nothing else"
    return f"{path} belongs to a run with another configuration: {'; '.join(different.values())}; {ways}."


def _state(part: Any) -> dict[str, Any] | None:
    return None if part is None else part.state_dict()


def random_state() -> dict[str, Any]:
    """Return the states of all random generators, as tensors, numbers and tuples."""
    kind, keys, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Set all random generators as `random_state` found them; devices that are not there are left out."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        for index, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state, index)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


def _differences(stored: str, present: str, defaults: Mapping[str, Any], idle: Collection[str] = ()) -> dict[str, str]:
    """Compare two configurations: each key whose change could change the numbers, and a phrase with both values.

    A key that there was not yet when the run began changes nothing where it has its default, and one of `idle` never.
    """
    old, new = (flat(load_yaml(text)) for text in (stored, present))
    added = [key for key in new if key not in old and not (key in defaults and defaults[key] == new[key])]
    return {
        key: f"{key} was {_shown(old, key)} and is now {_shown(new, key)}"
        for key in [*old, *added]
        if not _is_free(key) and key not in idle and (key not in old or key not in new or old[key] != new[key])
    }


def _shown(values: dict[str, Any], key: str) -> str:
    return texts.shown(values[key]) if key in values else "not set"


def _is_free(key: str) -> bool:
    return key in _FREE_KEYS or (key.startswith("TEST.") and key != "TEST.FINAL_MODEL")


def resume_path(directory: str) -> str:
    """Return the path of the file in the folder of a run."""
    return os.path.join(directory, FILE_NAME)


def goes_on_from(folder: Path) -> Iterator[Path]:
    """The files in the folder of a run that a continuation reads, whatever is in them."""
    found = [folder / FILE_NAME, *folder.glob("*/model-best.pth.tar"), *folder.glob("*/checkpoint")]
    for pointer in found[1:]:
        with suppress(OSError, UnicodeDecodeError, ValueError):
            name = regular(pointer, 2**16).read_text(encoding="utf-8").strip() if pointer.name == "checkpoint" else ""
            found += [pointer.with_name(name)] if name and os.path.basename(name) == name else []
    yield from dict.fromkeys(path for path in found if path.is_file())
