"""What a name of a CLIP stands for. Nothing is opened or fetched here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from .. import demo

OPENAI_NAMES = ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px")
DEMO_NAMES = tuple(f"demo/{short}" for short in demo.ARCHITECTURES)
QUICKGELU = "-quickgelu"
SCHEME = re.compile(r"(hf|hf-hub|hub|local-dir|file|https?):", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:[\\/]")  # of Windows
WEIGHT_FILE = re.compile(r"\.(pt|pth|bin|ckpt|safetensors|tar|tar-\d+|zip|onnx|pt2|npz|h5|msgpack)$", re.IGNORECASE)


@dataclass(frozen=True)
class Model:
    """MODEL of MODEL:SOURCE: one of open_clip's configurations, perhaps with QuickGELU in place of its own activation."""

    config: str
    quickgelu: bool

    @property
    def tags(self) -> list[str]:
        """open_clip's tags for it, which are listed under names with and without QuickGELU, whatever was trained."""
        return [tag for model, tag in open_clip.list_pretrained() if model == self.config]


def open_clip_model(name: str) -> Model | None:
    """What MODEL stands for: a name of open_clip or OpenAI, and any name of open_clip with "-quickgelu". None for no model."""
    if (
        name in _configs()
    ):  # RN50 and its like among them, which are OpenAI's names, too: there it is open_clip's network
        return Model(name, bool(open_clip.get_model_config(name).get("quick_gelu")))
    if name in OPENAI_NAMES:
        return Model(quickgelu_config(name), True)
    plain = name.removesuffix(QUICKGELU)
    return Model(plain, True) if plain != name and plain in _configs() else None


def tags_of(name: str) -> list[str]:
    """open_clip's tags that may be SOURCE in MODEL:SOURCE."""
    model = open_clip_model(name)
    return model.tags if model else []


def is_model(name: str) -> bool:
    """Whether a name may be MODEL in MODEL:FILE."""
    return name in DEMO_NAMES or open_clip_model(name) is not None


def quickgelu_config(openai_name: str) -> str:
    """OpenAI's weights were trained with QuickGELU, which open_clip builds only under the name that says so."""
    return openai_name.replace("@336px", "-336").replace("/", "-") + QUICKGELU


def split(name: str) -> tuple[str, str]:
    """MODEL and SOURCE of MODEL:SOURCE, where MODEL may also be none that there is; "" and `name` for other forms."""
    model, colon, source = name.partition(":")
    if not colon or DRIVE.match(name) or SCHEME.match(name):
        return "", name
    return (model, source) if is_model(model) or not set(model) & set("/\\~ ") else ("", name)


def like_a_path(name: str) -> bool:
    """Whether a name can only be meant as a path: it begins as one, is one of Windows, or ends as weight files do."""
    return bool(re.match(r"[.~/\\]", name) or DRIVE.match(name) or "\\" in name or WEIGHT_FILE.search(name))


def trained_with_quickgelu(model: Model, tag: str) -> bool:
    """Whether the network of these weights has QuickGELU: their own word counts where the model's name does not say so."""
    return model.quickgelu or bool(get_pretrained_cfg(model.config, tag).get("quick_gelu"))


def named_for(model: str, path: str) -> str:
    """MODEL:FILE, if `model` (of a CLIP's whole name, which may have a source of its own) can be told; else ""."""
    own = model if model in (*DEMO_NAMES, *OPENAI_NAMES) else split(model)[0]
    if model in OPENAI_NAMES and model in _configs():
        own = quickgelu_config(model)
    return f"{own}:{path}" if own and is_model(own) else ""


def file_of(path: str) -> Path:
    """Where a name that is a path leads to. Unlike Path's own, a home of nobody is a folder of that name."""
    return Path(os.path.expanduser(path))


@cache
def _configs() -> frozenset[str]:
    return frozenset(open_clip.list_models())
