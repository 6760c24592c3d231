"""Weight files of a CLIP as people have them, for the tests that read them."""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from torch import Tensor

from caspl.clip.files.containers import opened_weights


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a file by their dotted names."""
    with opened_weights([Path(path)]) as weights:
        return {name: read() for name, read in weights.items()}


def make_clip(quick_gelu: bool = True, width: int = 128, text_width: int = 64, **vision) -> open_clip.CLIP:
    """A small CLIP of random weights with heads of 64 channels, as OpenAI's have."""
    torch.manual_seed(0)
    vision = dict(image_size=32, patch_size=16, width=width, layers=2) | vision
    text = dict(width=text_width, heads=text_width // 64, layers=2, vocab_size=49408)
    model = open_clip.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=text, quick_gelu=quick_gelu)
    return model.eval().requires_grad_(False)
