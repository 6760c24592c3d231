"""What the repositories of the family, as they come from GitHub, need on current packages and on a CPU.

Their code runs as it is. Around it weights come from a file, nothing goes to a GPU, packages of which nothing is used may be
missing, and what newer PyTorch no longer takes from Dassl's schedules is taken. Used in processes of their own, with their
checkout and Dassl in front of this checkout on Python's path, so that `clip`, `train`, `trainers` and `dassl` are theirs.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.optim import lr_scheduler

UNUSED = ("gdown", "dassl.data.datasets.dg.wilds")


def install(weights: str | Path, *, full_precision: bool = False) -> None:
    """Before anything of theirs is imported. `full_precision`: nothing becomes fp16, whatever they ask for."""
    for name in UNUSED:
        module = sys.modules.setdefault(name, types.ModuleType(name))
        module.__getattr__, module.__all__ = lambda wanted: None, []
    _take_verbose()
    torch.jit.load = _refuse
    torch.Tensor.cuda = torch.nn.Module.cuda = _same
    if full_precision:
        torch.Tensor.half = torch.nn.Module.half = _same
    importlib.import_module("clip.clip")._download = lambda *_, **__: str(weights)


def configuration(words: Sequence[str]):
    """What their train.py makes of --flags and values, followed by keys and values."""
    behind = next(place for place in range(0, len(words), 2) if not words[place].startswith("--"))
    flags = {flag[2:].replace("-", "_"): value for flag, value in zip(words[:behind:2], words[1:behind:2], strict=True)}
    flags["seed"] = int(flags["seed"])
    return importlib.import_module("train").setup_cfg(_Taken(**flags, opts=list(words[behind:])))


class _Taken(types.SimpleNamespace):
    """What train.py's setup_cfg reads."""

    def __getattr__(self, name: str) -> str:
        return ""


def _same(self, *_, **__):
    return self


def _refuse(*_, **__):
    raise RuntimeError("no JIT archive")


def _take_verbose() -> None:
    plain = lr_scheduler.LRScheduler.__init__
    if "verbose" in inspect.signature(plain).parameters:
        return

    def quiet(self, optimizer, last_epoch=-1, verbose=False):
        plain(self, optimizer, last_epoch)

    lr_scheduler.LRScheduler.__init__ = quiet


def prompts_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What the model of one of their trainers has learned, under their names."""
    kept = {
        k: v for k, v in model.state_dict().items() if any(word in k for word in ("ctx", "VPT", "prompt", "meta_net"))
    }
    return {k: v for k, v in kept.items() if "ZS_image" not in k and "token_" not in k}
