"""The two tiny CLIPs that the project carries, so that the whole method runs with no download.

`demo/student` and `demo/teacher` were trained by scripts/pretrain_demo_clips.py on rendered glyphs. The files hold
half-precision weights and only those rows of the token embedding that the captions used; every other token of CLIP's
vocabulary has the zero vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ...ground.files import replacing

CONTEXT_LENGTH = 48
VOCABULARY = 49408  # CLIP's
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Architecture:
    """Shape of one demo CLIP: images are square, `image_size` pixels a side."""

    embed_dim: int
    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    image_size: int = 32
    patch_size: int = 4
    head_width: int = 32

    def arguments(self, vocab_size: int) -> dict:
        """The keyword arguments of `open_clip.CLIP` for this shape."""
        vision = dict(
            image_size=self.image_size,
            patch_size=self.patch_size,
            width=self.vision_width,
            layers=self.vision_layers,
            head_width=self.head_width,
        )
        text = dict(
            context_length=CONTEXT_LENGTH,
            vocab_size=vocab_size,
            width=self.text_width,
            heads=self.text_width // self.head_width,
            layers=self.text_layers,
        )
        return dict(embed_dim=self.embed_dim, vision_cfg=vision, text_cfg=text)


ARCHITECTURES = {
    "student": Architecture(embed_dim=64, vision_width=64, vision_layers=4, text_width=64, text_layers=3),
    "teacher": Architecture(embed_dim=96, vision_width=128, vision_layers=6, text_width=96, text_layers=4),
}


def save_demo_model(name: str, model: open_clip.CLIP, token_ids: torch.Tensor, path: Path | None = None) -> Path:
    """Write `model`, whose embedding rows belong to CLIP's tokens `token_ids`, as half-precision safetensors."""
    path = path or FOLDER / f"{name}.safetensors"
    tensors = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors | {"token_ids": token_ids.to(torch.int32)}))
    return path


def load_demo_model(name: str) -> open_clip.CLIP:
    """The demo CLIP `name` ("student" or "teacher") in float32, with CLIP's full vocabulary."""
    model = build(name)
    model.load_state_dict(with_all_tokens(load_file(FOLDER / f"{name}.safetensors")))
    return model


def build(name: str) -> open_clip.CLIP:
    """The network of the demo CLIP `name`, with random weights."""
    return open_clip.CLIP(**ARCHITECTURES[name].arguments(vocab_size=VOCABULARY), quick_gelu=True)


def with_all_tokens(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a file of `save_demo_model` in float32, with zeros for the tokens that it leaves out."""
    weights = {key: value.float() for key, value in tensors.items() if key != "token_ids"}
    rows = weights["token_embedding.weight"]
    weights["token_embedding.weight"] = torch.zeros(VOCABULARY, rows.shape[1])
    weights["token_embedding.weight"][tensors["token_ids"].long()] = rows
    return weights
