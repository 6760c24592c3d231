"""Weight files of a CLIP as people have them, for the tests that read them."""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from torch import Tensor, nn

from caspl.clip.files.containers import opened_weights


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a file by their dotted names."""
    with opened_weights([Path(path)]) as weights:
        return {name: read() for name, read in weights.items()}


# Small, with heads of 64 channels, as OpenAI's have
SETTINGS = dict(
    embed_dim=32,
    vision_cfg=dict(image_size=32, patch_size=16, width=128, layers=2),
    text_cfg=dict(width=64, heads=1, layers=2, vocab_size=49408),
)


def make_clip(quick_gelu: bool = True, **vision) -> open_clip.CLIP:
    """A CLIP of random weights, always the same; `vision` is what its image tower has other than SETTINGS."""
    torch.manual_seed(0)
    settings = SETTINGS | {"vision_cfg": SETTINGS["vision_cfg"] | vision}
    return open_clip.CLIP(**settings, quick_gelu=quick_gelu).eval().requires_grad_(False)


def save_archive(model: open_clip.CLIP, path: Path) -> None:
    """A TorchScript archive with OpenAI's key names at the top, weights in half precision where OpenAI's are."""

    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    root = Root()
    open_clip.model.convert_weights_to_lp(model)
    for name, child in model.named_children():
        root.add_module(name, Inert.of(child))
    for name, value in model.named_parameters(recurse=False):
        root.register_parameter(name, value)
    for name, number in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
        root.register_buffer(name, torch.tensor(number))
    torch.jit.save(torch.jit.script(root), path)
    model.float()


class Inert(nn.Module):
    """The parameters of a module under their names, without its code."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @staticmethod
    def of(module: nn.Module) -> Inert:
        copy = Inert()
        for name, value in module.named_parameters(recurse=False):
            copy.register_parameter(name, value)
        for name, child in module.named_children():
            copy.add_module(name, Inert.of(child))
        return copy
