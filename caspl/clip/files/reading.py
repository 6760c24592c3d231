"""A path -> a CLIP: a file or a folder, of whatever maker."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor, nn

from ...ground.errors import InputError, first_line, listed
from ...ground.files import as_json
from . import hugging_face
from .building import MOST_BLOCKS, Facts, build, check_fit, fill, filled
from .containers import Weights, opened_weights
from .folders import (
    HUGGING_FACE,
    OPEN_CLIP,
    kind_of,
    preprocessor_of,
    read_json,
    weight_files,
)
from .said import TOKEN_IDS, contradictions, facts_in, facts_of_weights, model_named_in, with_all_tokens
from .search import Expected, Found, any_clip, find

SCALARS = {"logit_scale", "logit_bias"}
log = logging.getLogger(__name__)
_HINT = "for the weights of an open_clip model write MODEL:{}"


@dataclass(frozen=True)
class Read:
    """A CLIP out of files, in float32, and which of "activation" and "heads" nothing in them tells: OpenAI's are assumed.

    `named` is the model that a training program's checkpoint names in words, where it is one that is known here.
    """

    model: nn.Module
    assumed: frozenset[str] = frozenset()
    named: str = ""


def read_clip(path: Path) -> Read:
    """The CLIP of a weight file, or of a folder that `kind_of` knows.

    Raises InputError where there is none that can be read without running code, where it is incomplete or another network, and
    where files contradict one another.
    """
    kind, files, folder = None, [path], path.parent
    if path.is_dir() and (kind := kind_of(path)):
        files, folder = weight_files(path, kind), path
    if kind is OPEN_CLIP:
        return Read(_as_configured(folder / OPEN_CLIP.config, files, path))
    facts = _facts(folder) if kind else None  # these say of what class a model is, should it be one that is not read
    with opened_weights(files) as weights:
        found, tensors = _found(weights, path, any_clip, _HINT.format(path))
    if kind is None and found.layout is hugging_face.LAYOUT and (folder / HUGGING_FACE.config).is_file():
        facts = _facts(folder)
    elif kind is None and found.layout is not hugging_face.LAYOUT and (folder / OPEN_CLIP.config).is_file():
        return Read(_as_configured(folder / OPEN_CLIP.config, files, path))
    facts = facts or facts_in(files) or facts_of_weights(tensors) or Facts()
    return Read(build(tensors, facts, path), facts.assumed, model_named_in(path) if facts.assumed else "")


def fill_from(model: nn.Module, path: Path) -> nn.Module:
    """Put the weights of a file into `model`, of any class of open_clip.

    Raises InputError as `read_clip`, and where the file, or the configuration beside it, says that it is of another network.
    """
    found, tensors = _tensors_for(model, [path], path)
    beside = found.layout is hugging_face.LAYOUT and (path.parent / HUGGING_FACE.config).is_file()
    said = _facts(path.parent) if beside else facts_in([path]) or facts_of_weights(tensors)
    if said and (other := [*dict.fromkeys(contradictions(said, model))]):
        whose = f"the {HUGGING_FACE.config} beside {path}" if beside else f"{path}"
        raise InputError(
            f"{whose} says {listed(other)}; write {path.parent if beside else path} without a model's name"
        )
    fill(model, tensors)
    return model


def _found(weights: Weights, path: Path, expected: Expected, hint: str) -> tuple[Found, Mapping[str, Tensor]]:
    """The one CLIP in a file, and its tensors. Raises InputError as `find`."""
    others = {name: read for name, read in weights.items() if name != TOKEN_IDS}
    found = find(others, path, expected, hint)
    tensors = found.read(others)
    return found, with_all_tokens(tensors, weights[TOKEN_IDS]()) if TOKEN_IDS in weights else tensors


def _tensors_for(model: nn.Module, files: Sequence[Path], path: Path) -> tuple[Found, dict[str, Tensor]]:
    """The CLIP of `files` with its tensors for `model`, which may lie on no device, by its names and of its shapes."""
    expected = model.state_dict()
    with opened_weights(files) as weights:
        found, read = _found(weights, path, lambda *_: tuple(expected), "name the model whose weights they are")
        tensors = dict(read)
    for name in SCALARS & tensors.keys() & expected.keys():  # of one number, in a list or not
        if tensors[name].numel() == expected[name].numel():
            tensors[name] = tensors[name].reshape(expected[name].shape)
    check_fit(tensors, expected, path)
    return found, tensors


def _facts(folder: Path) -> Facts:
    """What Hugging Face's configurations in a folder say."""
    path, preprocessor = folder / HUGGING_FACE.config, preprocessor_of(folder)
    facts = hugging_face.facts_of(read_json(path), preprocessor, path)
    if (size := hugging_face.size_of(preprocessor or {})) not in (None, facts.image_size):
        log.info("%s: images of %s pixels, as its %s says, not %s", folder, facts.image_size, path.name, size)
    return facts


# ---------------------------------------------------------------------------------------------------------------------
# open_clip's configuration
# ---------------------------------------------------------------------------------------------------------------------
# What is of other libraries, which might fetch it, and what is computed at a size that only the file chooses
FOREIGN = ("timm_model_name", "hf_model_name", "hf_tokenizer_name", "pos_embed_type")


def _as_configured(config: Path, files: Sequence[Path], path: Path) -> nn.Module:
    """The model that open_clip's configuration describes, with the weights of `files`."""
    content = read_json(config)
    settings = content.get("model_cfg")
    towers = [settings.get(name) for name in ("vision_cfg", "text_cfg")] if isinstance(settings, dict) else [None]
    if not all(isinstance(tower, dict) for tower in towers):
        raise InputError(
            f'{config} has {as_json(settings)} under "model_cfg", expected both towers; take an unaltered file'
        )
    layers = [tower.get("layers") for tower in towers]
    if most := [value for value in layers if isinstance(value, int) and value > MOST_BLOCKS]:
        raise InputError(f"{config} has {most[0]:,} layers, expected at most {MOST_BLOCKS}; take an unaltered file")
    for key in FOREIGN:
        if value := next((tower[key] for tower in towers if tower.get(key)), None):
            raise InputError(
                f"{config} is of a model with {key} {as_json(value)}, expected open_clip's own towers; write MODEL:FILE "
                f"with the open_clip model and the weight file"
            )
    make = partial(_from_settings, {key: value for key, value in settings.items() if key != "custom_text"}, config)
    model = filled(make, lambda empty: _tensors_for(empty, files, path)[1], path)
    preprocessing = content.get("preprocess_cfg")
    preprocessing = preprocessing if isinstance(preprocessing, dict) else {}
    model.visual.image_mean = preprocessing.get("mean", open_clip.OPENAI_DATASET_MEAN)
    model.visual.image_std = preprocessing.get("std", open_clip.OPENAI_DATASET_STD)
    return model.eval()


def _from_settings(settings: Mapping[str, Any], config: Path) -> nn.Module:
    try:
        return open_clip.CLIP(**settings)
    except Exception as error:  # of settings that belong to no model, anything
        raise InputError(
            f"{config} describes no CLIP of open_clip ({type(error).__name__}: {first_line(error)}); take an unaltered file"
        ) from error
