"""`CLIPModel` of Hugging Face's transformers and open_clip's CLIP, each as the other. The library itself is not needed.

The two are the same network with other names. Hugging Face keeps queries, keys and values apart, which open_clip joins, and
the two projections transposed. What tensors do not tell (heads, activations, image size) stands in its `config.json`, and how
images are normalised in `preprocessor_config.json`.

    tensors -> tensors    LAYOUT, split
    config  -> facts      facts_of
    model   -> both       to_hugging_face
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor

from ...ground.errors import InputError
from ...ground.files import as_json
from ..blocks import check_blocks
from .building import ACTIVATIONS, EOT, Facts, TowerFacts, activation_of, is_plain
from .layouts import INSIDE, Layout

# ---------------------------------------------------------------------------------------------------------------------
# Tensors
# ---------------------------------------------------------------------------------------------------------------------
NAMES = {
    "logit_scale": "logit_scale",
    "text_projection": "text_projection.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.proj": "visual_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # sic
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
TRANSPOSED = ("text_projection", "visual.proj")
PARTS = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
PARTS["attn.out_proj"] = "self_attn.out_proj"
BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)")
JOINED = "attn.in_proj"


def sources(name: str) -> tuple[str, ...]:
    """The names in Hugging Face's layout of what a tensor of open_clip's CLIP is made of; none where it has no place for it."""
    name = name.removeprefix(INSIDE)
    if name in NAMES:
        return (NAMES[name],)
    if not (found := BLOCK.fullmatch(name)):
        return ()
    tower, index, part, kind = found.groups()
    block = f"{'vision' if tower else 'text'}_model.encoder.layers.{index}"
    if part == JOINED:
        return tuple(f"{block}.self_attn.{letter}_proj.{kind}" for letter in "qkv")
    return (f"{block}.{PARTS[part]}.{kind}",) if part in PARTS else ()


def join(name: str, tensors: Sequence[Tensor]) -> Tensor:
    """The tensor `name` of open_clip's CLIP, from those that `sources` names."""
    if len(tensors) > 1:
        return torch.cat(list(tensors))
    return tensors[0].T.contiguous() if name.removeprefix(INSIDE) in TRANSPOSED else tensors[0]


def split(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """A tensor of open_clip's CLIP as Hugging Face has it: the inverse of `join`."""
    names = sources(name)
    parts = tensor.chunk(len(names)) if len(names) > 1 else [tensor.T if name in TRANSPOSED else tensor]
    return dict(zip(names, (part.detach().contiguous() for part in parts), strict=True))


LAYOUT = Layout("Hugging Face's layout", sources, join)

# ---------------------------------------------------------------------------------------------------------------------
# config.json and preprocessor_config.json
# ---------------------------------------------------------------------------------------------------------------------
# What a key that is not there stands for: older versions of the library wrote only what differs (CLIPConfig, CLIPTextConfig and
# CLIPVisionConfig of transformers)
_TOWER = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
TEXT_DEFAULTS = {
    **_TOWER,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_attention_heads": 8,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "eos_token_id": EOT,
}
VISION_DEFAULTS = {
    **_TOWER,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
}
PROJECTION = 512
LEGACY_EOT = 2  # in configurations before transformers 4.31, and meant as: the largest token, which is [EOS]
LARGEST_SIZE = 2**20


def facts_of(config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None, path: object) -> Facts:
    """What a `config.json`, called `path` in errors, and a `preprocessor_config.json` tell of a `CLIPModel`.

    Raises InputError for a configuration of another class of model, or one that open_clip's CLIP can't follow.
    """
    kind, made = config.get("model_type"), config.get("architectures")
    if kind != "clip" and (kind, made) != (None, ["CLIPModel"]):
        made = made or [kind]
        raise InputError(
            f"{path} is of a {as_json(made[0] if isinstance(made, list) else made)} (model_type {as_json(kind)}), expected a "
            f'CLIPModel with both towers (model_type "clip"); name such a model'
        )
    text, vision = (_section(config, name, path) for name in ("text_config", "vision_config"))
    end = text.get("eos_token_id", EOT)
    if end not in (EOT, LEGACY_EOT, [EOT]):
        raise InputError(
            f"{path} has eos_token_id {as_json(end)}, expected {EOT} as CLIP's tokenizer has it; texts for another tokenizer "
            f"can't be encoded, name another model"
        )
    width = config.get("projection_dim", PROJECTION)
    sizes = {"projection_dim": width if width is not None else PROJECTION}
    mean, std = _normalisation(preprocessor or {})
    return Facts(
        text=_tower(text, TEXT_DEFAULTS, "text_config", path),
        vision=_tower(vision, VISION_DEFAULTS, "vision_config", path),
        image_size=_whole(vision, VISION_DEFAULTS, "image_size", "vision_config", path),
        mean=mean,
        std=std,
        sizes={
            "embed_dim": _whole(sizes, sizes, "projection_dim", "it", path),
            **{
                ours: _whole(section, defaults, theirs, where, path)
                for where, section, defaults, names in (
                    ("text_config", text, TEXT_DEFAULTS, TEXT_SIZES),
                    ("vision_config", vision, VISION_DEFAULTS, VISION_SIZES),
                )
                for ours, theirs in names.items()
            },
        },
    )


TEXT_SIZES = {
    "text_width": "hidden_size",
    "text_mlp": "intermediate_size",
    "text_layers": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
}
VISION_SIZES = {
    "vision_width": "hidden_size",
    "vision_mlp": "intermediate_size",
    "vision_layers": "num_hidden_layers",
    "patch_size": "patch_size",
    "channels": "num_channels",
}


def _section(config: Mapping[str, Any], name: str, path: object) -> Mapping[str, Any]:
    """A tower's part; old files may have it under `<name>_dict`, which then counts alone, as it does for the library."""
    key = f"{name}_dict" if config.get(f"{name}_dict") is not None else name
    section = config.get(key)
    if section is not None and not isinstance(section, dict):
        raise InputError(
            f"{path} has {as_json(section)} under {key}, expected a tower's settings; take an unaltered file"
        )
    return section or {}


def _tower(section: Mapping[str, Any], defaults: Mapping[str, Any], where: str, path: object) -> TowerFacts:
    act = section.get("hidden_act", defaults["hidden_act"])
    if not isinstance(act, str) or act not in ACTIVATIONS:
        raise InputError(
            f"{path} has hidden_act {as_json(act)} in {where}, expected one of {', '.join(ACTIVATIONS)}; name another model"
        )
    eps = section.get("layer_norm_eps", defaults["layer_norm_eps"])
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps < 1:
        raise InputError(
            f"{path} has layer_norm_eps {as_json(eps)} in {where}, expected a number between 0 and 1; take an unaltered file"
        )
    return TowerFacts(_whole(section, defaults, "num_attention_heads", where, path), act, float(eps))


def _whole(section: Mapping[str, Any], defaults: Mapping[str, Any], key: str, where: str, path: object) -> int:
    value = section.get(key, defaults[key])
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_SIZE:
        raise InputError(
            f"{path} has {key} {as_json(value)} in {where}, expected a whole number of 1 to {LARGEST_SIZE:,}; take an "
            f"unaltered file"
        )
    return value


def _normalisation(preprocessor: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if preprocessor.get("do_normalize", True) is False:
        return (0.0,) * 3, (1.0,) * 3
    return (
        preprocessor.get("image_mean") or open_clip.OPENAI_DATASET_MEAN,
        preprocessor.get("image_std") or open_clip.OPENAI_DATASET_STD,
    )


def size_of(preprocessor: Mapping[str, Any]) -> int | str | None:
    """The side of the square images that a preprocessor cuts, or what stands there instead; None where nothing does."""
    size = preprocessor.get("crop_size")
    height, width = (size.get("height"), size.get("width")) if isinstance(size, dict) else (size, size)
    return height if height == width and isinstance(height, int | None) else as_json(size)


# ---------------------------------------------------------------------------------------------------------------------
# The other way
# ---------------------------------------------------------------------------------------------------------------------
def to_hugging_face(
    model: torch.nn.Module, mean: Sequence[float], std: Sequence[float], name: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """`config.json`, `preprocessor_config.json` and the tensors of open_clip's CLIP `model` as a `CLIPModel`.

    `mean` and `std` are those of the images that it takes; errors call it `name`. The tensors keep their precision.

    Raises InputError for a network that is no `CLIPModel`: another class, an image tower that is no ViT, blocks or poolings
    that the library's class has not.
    """
    if not isinstance(model, open_clip.CLIP) or not isinstance(model.visual, VisionTransformer):
        tower = type(getattr(model, "visual", model)).__name__
        raise InputError(
            f"{name} can't be a CLIPModel of transformers: it is a {type(model).__name__} whose image tower is a {tower}, "
            f"expected open_clip's CLIP with a ViT"
        )
    if not is_plain(model):
        raise InputError(f"{name} can't be a CLIPModel of transformers: its mask or its poolings are not those of CLIP")
    check_blocks(model.transformer, "text", name)
    check_blocks(model.visual.transformer, "image", name)
    weights = {key: value for key, value in model.state_dict().items() if key != "logit_bias"}
    if strange := [key for key in weights if not sources(key)]:
        raise InputError(f"{name} can't be a CLIPModel of transformers, which has no place for {strange[0]}")
    size, patch = model.visual.image_size, model.visual.patch_size
    if size[0] != size[1] or patch[0] != patch[1]:
        raise InputError(
            f"{name} can't be a CLIPModel of transformers: its images, {size[0]} x {size[1]}, are not square"
        )
    embed_dim = model.text_projection.shape[1]
    context_length, _ = model.positional_embedding.shape
    text = {
        "model_type": "clip_text_model",
        **_written(model.transformer, model.ln_final, embed_dim, name),
        "vocab_size": model.token_embedding.weight.shape[0],
        "max_position_embeddings": context_length,
        "bos_token_id": EOT - 1,
        "eos_token_id": EOT,
        "pad_token_id": EOT,
    }
    vision = {
        "model_type": "clip_vision_model",
        **_written(model.visual.transformer, model.visual.ln_post, embed_dim, name),
        "num_channels": model.visual.conv1.weight.shape[1],
        "image_size": size[0],
        "patch_size": patch[0],
    }
    config = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": embed_dim,
        "logit_scale_init_value": float(model.logit_scale.detach()),
        "text_config": text,
        "vision_config": vision,
    }
    tensors = {theirs: part for key, value in weights.items() for theirs, part in split(key, value).items()}
    tensors["logit_scale"] = tensors["logit_scale"].reshape(())
    return config, _preprocessor(size[0], mean, std), tensors


def _written(transformer: torch.nn.Module, norm: torch.nn.Module, embed_dim: int, name: str) -> dict[str, Any]:
    block = transformer.resblocks[0]
    act = activation_of(transformer)
    if act is None:
        raise InputError(f"{name} can't be a CLIPModel of transformers: the activation of its blocks is none of its")
    return {
        "hidden_size": block.attn.embed_dim,
        "intermediate_size": block.mlp.c_fc.weight.shape[0],
        "num_hidden_layers": len(transformer.resblocks),
        "num_attention_heads": block.attn.num_heads,
        "hidden_act": act,
        "layer_norm_eps": norm.eps,
        "projection_dim": embed_dim,
    }


def _preprocessor(size: int, mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,  # PIL's bicubic
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(std),
        "do_convert_rgb": True,
    }
