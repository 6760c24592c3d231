"""Models of open_clip by their shapes: which of them have those of a network, but compute otherwise with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import open_clip
from open_clip.transformer import VisionTransformer

from .. import demo
from ..files.building import HEAD_WIDTH
from .known import QUICKGELU, open_clip_model

SHAPES = {
    "vision_cfg": {"image_size": 224, "patch_size": 16, "width": 768, "layers": 12, "mlp_ratio": 4.0},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "layers": 12, "mlp_ratio": 4.0},
}
PLAIN = {"head_width", "heads", "layers", *SHAPES["vision_cfg"], *SHAPES["text_cfg"]}  # settings of a plain CLIP


def otherwise(model: str) -> str:
    """What the model MODEL has in place of QuickGELU and heads of 64 channels, as a phrase; "" for a model with just these."""
    known = open_clip_model(model)
    if known is None:  # a demo model
        return "heads of 32 channels"
    settings = open_clip.get_model_config(known.config)
    vision, text = settings["vision_cfg"], settings["text_cfg"]
    image_heads = vision.get("head_width", HEAD_WIDTH)
    text_heads = text.get("width", 512) // text.get("heads", 8)
    found = [] if known.quickgelu else ["GELU"]
    found += [
        f"{tower} heads of {n} channels"
        for tower, n in (("text", text_heads), ("image", image_heads))
        if n != HEAD_WIDTH
    ]
    return " and ".join(found)


def of_the_same_shape(model: open_clip.CLIP) -> str:
    """The shortest name of a model, open_clip's or ours, that has the shapes of `model` (with a ViT), but is `otherwise`."""
    if not isinstance(model.visual, VisionTransformer):
        return ""
    shape = _shape(model)
    demos = {f"demo/{short}": of.arguments(demo.VOCABULARY) for short, of in demo.ARCHITECTURES.items()}
    plain = [name for name in open_clip.list_models() if not name.endswith(QUICKGELU)]
    known = demos | {name: open_clip.get_model_config(name) for name in plain}
    alike = [name for name, settings in known.items() if _configured(settings) == shape and otherwise(name)]
    return min(alike, key=len, default="")


def _shape(model: open_clip.CLIP) -> tuple[Any, ...]:
    visual, text = model.visual, model.transformer
    return (
        model.text_projection.shape[1],
        *(visual.image_size[0], visual.patch_size[0], visual.conv1.weight.shape[0], len(visual.transformer.resblocks)),
        visual.transformer.resblocks[0].mlp.c_fc.weight.shape[0],
        *(model.context_length, model.vocab_size, model.positional_embedding.shape[1], len(text.resblocks)),
        text.resblocks[0].mlp.c_fc.weight.shape[0],
    )


def _configured(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """As `_shape`, from a configuration; () for one with what a plain CLIP has not."""
    found = [settings["embed_dim"]]
    for tower, defaults in SHAPES.items():
        own = settings[tower]
        if own.keys() - PLAIN or settings.keys() - {"embed_dim", "quick_gelu", *SHAPES}:
            return ()
        *sizes, ratio = (own.get(key, default) for key, default in defaults.items())
        width = own.get("width", defaults["width"])
        found += [*sizes, int(width * ratio)]
    return tuple(found)
