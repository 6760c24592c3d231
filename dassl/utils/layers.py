"""Counting and freezing parameters."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from caspl.ground.errors import InputError


def count_num_param(model: nn.Module | None = None, params: Iterable | None = None) -> int:
    """Return the number of parameters in `model`, or in `params`: tensors or an optimiser's groups.

    Raises:
        ValueError: neither is given.
    """
    if model is not None:
        params = model.parameters()
    if params is None:
        raise ValueError("count_num_param() needs a model or params")
    total = 0
    for entry in params:
        if isinstance(entry, dict):
            group = entry["params"]
            total += count_num_param(params=group) if isinstance(group, (list, tuple)) else group.numel()
        else:
            total += entry.numel()
    return total


def open_all_layers(model: nn.Module) -> None:
    """Put the whole model in training mode and let all its parameters learn."""
    model.train()
    model.requires_grad_(True)


def open_specified_layers(model: nn.Module, open_layers: str | list[str]) -> None:
    """Let only the named child modules learn, in training mode; freeze all others, in evaluation mode.

    Raises:
        InputError: the model has no child module of that name.
    """
    if isinstance(model, nn.DataParallel):
        model = model.module
    if isinstance(open_layers, str):
        open_layers = [open_layers]
    for layer in open_layers:
        if not hasattr(model, layer):
            children = ", ".join(name for name, _ in model.named_children())
            raise InputError(f"The model has no layer {layer}; its layers are {children}.")
    for name, module in model.named_children():
        module.train(name in open_layers)
        module.requires_grad_(name in open_layers)
