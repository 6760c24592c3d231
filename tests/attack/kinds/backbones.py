"""Folders of a CLIP whose configuration, index or weights are hostile, damaged or of another model; as --backbone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..cases import Case
from ..sound import Sound
from .torch_files import hostile

NAN, INF = float("nan"), float("inf")
TOWERS = ("text_config", "vision_config")
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
OF_ONE = {"text_config": ("vocab_size", "max_position_embeddings"), "vision_config": ("image_size", "patch_size")}
NO_SIZE = (None, "8", 1.5, True, [], {}, 0, -1, 10**30, NAN)
OTHERS: dict[str, tuple[Any, ...]] = {
    "hidden_act": (None, 17, "os.system", ["gelu"], {}),
    "layer_norm_eps": (None, "1e-5", 0, -1, NAN, INF, 10**400),
}
TOP: dict[str, tuple[Any, ...]] = {
    "model_type": (None, "siglip", "clipseg", "../clip", 17, ["clip"]),
    "text_config": ("x", [], 17, True),
    "vision_config": ("x", [[]]),
    "projection_dim": ("x", 0, -1, 1.5, 10**30),
    "auto_map": ({"AutoModel": "evil.Evil"},),  # code beside a model, which nobody imports
}
TEXTS = ("", "{", "null", "[]", "[" * 100_000, '{"model_type": "clip", "model_type": "clip"}', "\0", "\ufeff{}")
PLACES = ("../w.bin", "/etc/passwd", "..", "", ".", "a/b", "..\\w.bin", "C:w.bin", "\0", "x" * 5000, None, 17, ["a"])
MODELS: tuple[tuple[str, Any], ...] = (
    ("no model_cfg", {}),
    ("model_cfg a list", {"model_cfg": []}),
    ("no towers", {"model_cfg": {}}),
    ("a tower a text", {"model_cfg": {"embed_dim": 8, "vision_cfg": "x", "text_cfg": {}}}),
    (
        "a tower of another library",
        {"model_cfg": {"embed_dim": 8, "vision_cfg": {"timm_model_name": "x"}, "text_cfg": {}}},
    ),
    ("a tower of the Hub", {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"hf_model_name": "org/x"}}}),
    ("layers without end", {"model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": 10**9}, "text_cfg": {}}}),
    ("an absurd width", {"model_cfg": {"embed_dim": 8, "vision_cfg": {"width": 2**40}, "text_cfg": {}}}),
    ("an absurd image", {"model_cfg": {"embed_dim": 8, "vision_cfg": {"image_size": 10**7}, "text_cfg": {}}}),
    ("absurd positions", {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"context_length": 10**7}}}),
    (
        "computed positions",
        {"model_cfg": {"embed_dim": 8, "vision_cfg": {"pos_embed_type": "sin_cos_2d"}, "text_cfg": {}}},
    ),
    ("an unknown setting", {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}, "__class__": 1}}),
)


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    argv = sound.digits("CoOp", "--backbone", "model")

    def case(what: str, make: Callable[[Path], None], *names: str) -> Case:
        return Case("backbone's folder", "train", what, argv, ("model", *names), make)

    for what, config in configurations():
        yield case(what, partial(folder, config=json.dumps(config)), "config.json")
    for text in TEXTS:
        yield case(f"config.json {text[:20]!r}", partial(folder, config=text), "config.json")
    for place in PLACES:
        yield case(f"an index to {str(place)[:20]!r}", partial(with_index, places={"logit_scale": place}))
    for places in ({}, [], "x", None, {"logit_scale": "pytorch_model.bin.index.json"}):
        yield case(f"an index {places!r}", partial(with_index, places=places))
    for what, make in hostile():
        yield case(f"weights: {what}", partial(folder, weights=make))
    twice = partial(saved, content=doubling(60))
    for what, make in (("held twice, 60 levels", twice), ("5,000 levels", partial(nested, levels=5_000))):
        yield case(f"weights in dictionaries, {what}", partial(folder, weights=make))
    for what, config in MODELS:
        yield case(f"open_clip: {what}", partial(of_open_clip, config=config), "open_clip_config.json")


def configurations() -> Iterator[tuple[str, dict]]:
    """A configuration of a CLIPModel with one thing in it that can't be."""
    for key, values in TOP.items():
        for value in values:
            yield f"{key} {shown(value)}", {"model_type": "clip", key: value}
    for tower in TOWERS:
        for key, values in {**dict.fromkeys((*SIZES, *OF_ONE[tower]), NO_SIZE), **OTHERS}.items():
            for value in values:
                yield f"{tower}.{key} {shown(value)}", {"model_type": "clip", tower: {key: value}}


def shown(value: Any) -> str:
    return repr(value)[:20]


def folder(path: Path, config: str = '{"model_type": "clip"}', weights: Callable[[Path], None] | None = None) -> None:
    model = path / "model"
    model.mkdir()
    (model / "config.json").write_text(config, encoding="utf-8")
    (weights or partial(saved, content={}))(model / "pytorch_model.bin")


def with_index(path: Path, places: Any) -> None:
    folder(path)
    (path / "model" / "pytorch_model.bin").rename(path / "w.bin")
    (path / "model" / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


def of_open_clip(path: Path, config: Any) -> None:
    (path / "model").mkdir()
    (path / "model" / "open_clip_config.json").write_text(json.dumps(config))
    saved(path / "model" / "open_clip_pytorch_model.bin", {"logit_scale": 1.0})


def saved(path: Path, content: Any) -> None:
    import torch

    torch.save(content, path)


def doubling(levels: int) -> dict:
    node: dict = {}
    for _ in range(levels):
        node = {"a": node, "b": node}
    return node


def nested(path: Path, levels: int) -> None:
    """Dictionaries in one another, as Python's own writer of pickles gives up on them."""
    content = b"\x80\x02" + b"}X\x01\0\0\0a" * levels + b"}" + b"s" * levels + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
