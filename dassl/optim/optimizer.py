"""Building an optimiser from the OPTIM node."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from dassl.config.defaults import choices_of
from torch import nn
from yacs.config import CfgNode

from caspl.ground.errors import InputError, nearest, unknown_name

AVAI_OPTIMS = choices_of("OPTIM.NAME")


def build_optimizer(
    model: nn.Module | Iterable, optim_cfg: CfgNode, param_groups: Iterable | None = None
) -> torch.optim.Optimizer:
    """Return the optimiser that OPTIM.NAME names, as Dassl 0.6.3.

    All parameters are handed over, frozen ones too; those without a gradient are skipped in each step. `radam` is
    PyTorch's own.

    Args:
        model: a module, or parameters, or groups of them.
        optim_cfg: the OPTIM node.
        param_groups: parameters or groups to optimise in place of those of `model`.

    Raises:
        InputError: an unknown optimiser, or with STAGED_LR a name in NEW_LAYERS that is no child of the model.
        TypeError: STAGED_LR with something else than a module.
    """
    name = optim_cfg.NAME
    if name not in AVAI_OPTIMS:
        raise InputError(unknown_name(name, AVAI_OPTIMS, what="optimiser in OPTIM.NAME"))
    if param_groups is not None:
        if optim_cfg.STAGED_LR:
            warnings.warn("OPTIM.STAGED_LR has no effect on parameter groups given by the trainer", stacklevel=2)
    elif optim_cfg.STAGED_LR:
        param_groups = _staged_groups(model, optim_cfg)
    else:
        param_groups = model.parameters() if isinstance(model, nn.Module) else model

    common: dict[str, Any] = dict(lr=optim_cfg.LR, weight_decay=optim_cfg.WEIGHT_DECAY)
    betas = (optim_cfg.ADAM_BETA1, optim_cfg.ADAM_BETA2)
    if name == "sgd":
        return torch.optim.SGD(
            param_groups,
            momentum=optim_cfg.MOMENTUM,
            dampening=optim_cfg.SGD_DAMPNING,
            nesterov=optim_cfg.SGD_NESTEROV,
            **common,
        )
    if name == "rmsprop":
        return torch.optim.RMSprop(param_groups, momentum=optim_cfg.MOMENTUM, alpha=optim_cfg.RMSPROP_ALPHA, **common)
    if name == "radam":
        return torch.optim.RAdam(param_groups, betas=betas, **common)
    if name == "adamw":
        return torch.optim.AdamW(param_groups, betas=betas, **common)
    return torch.optim.Adam(param_groups, betas=betas, amsgrad=name == "amsgrad", **common)


def _staged_groups(model: nn.Module | Iterable, optim_cfg: CfgNode) -> list[dict[str, Any]]:
    """Return two groups: the base layers at a reduced rate, and the layers named in NEW_LAYERS at the full rate."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"OPTIM.STAGED_LR needs a module, but build_optimizer() was given a {type(model).__name__}")
    if isinstance(model, nn.DataParallel):
        model = model.module
    new_layers = optim_cfg.NEW_LAYERS
    new_layers = [new_layers] if isinstance(new_layers, str) else list(new_layers)
    children = dict(model.named_children())
    for layer in new_layers:
        if layer not in children:
            raise InputError(
                f"OPTIM.NEW_LAYERS names {layer}, which is not among the model's layers {', '.join(children)} "
                f"(do you mean {nearest(layer, children)}?)."
            )
    base = [p for name, child in children.items() if name not in new_layers for p in child.parameters()]
    new = [p for name, child in children.items() if name in new_layers for p in child.parameters()]
    return [{"params": base, "lr": optim_cfg.LR * optim_cfg.BASE_LR_MULT}, {"params": new}]
