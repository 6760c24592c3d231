"""The plain CLIP with the class features beside it, for methods that learn text prompts only: OpenAI's layout."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ...clip.preprocessing import Preprocessing
from ...ground.errors import InputError
from ...ground.files import replacing
from ...ground.tensors.sealed import in_order
from ..predictor import Predictor
from .checked import facts, prepare, verify


def plain_facts(predictor: Predictor, features: Path) -> dict[str, str]:
    """The same for a plain CLIP, whose class features lie in the file `features`, and which network it is."""
    preprocessing: Preprocessing = predictor.preprocessing
    return facts(predictor) | {
        "mean": json.dumps(preprocessing.mean),
        "std": json.dumps(preprocessing.std),
        "input": "float32 [B, 3, height, width]: smaller edge resized, centre cut, RGB in [0, 1] minus mean, over std",
        "output": "exp(logit_scale) * image features [B, E], normalised, @ classifier.T are the logits [B, C]",
        "classifier": f"a matrix [C, E] in {features.name}",
        "fingerprint": predictor.backbone.fingerprint,
    }


def export_state_dict(predictor: Predictor, path: str | Path) -> float:
    """Write a CLIP in OpenAI's layout (safetensors) whose plain `encode_image` is the trained one, where that is possible.

    The class features [C, E], which hold all that text prompts have learned, are `classifier` in the file
    `<name>.classifier.safetensors` beside it, so that this one fits a CLIP exactly. Gives the largest difference of logits.

    Raises:
        InputError: there are prompts in the image tower, which have no place in CLIP's layout, or as `export_onnx`.
    """
    check_plain(predictor, path)
    classifier, images = prepare(predictor)
    path = Path(path).expanduser()
    features = path.with_name(f"{path.stem}.classifier.safetensors")
    weights = {key: value.contiguous() for key, value in predictor.backbone.model.state_dict().items()}
    about = plain_facts(predictor, features)
    with replacing(path) as temporary:
        temporary.write_bytes(in_order(save(weights, metadata=about)))
        with replacing(features) as beside:
            beside.write_bytes(in_order(save({"classifier": classifier.classifier.contiguous()}, metadata=about)))
            plain = replace(
                predictor.backbone, model=second_model(predictor.backbone.model, load_file(temporary), path)
            )
            matrix = load_file(beside)["classifier"]

            def again(images: Tensor) -> Tensor:
                image_features = plain.image_features(predictor.preprocessing.normalize(images))
                return plain.model.logit_scale.exp() * image_features @ matrix.T

            return verify(predictor, again, path)


def second_model(model: nn.Module, written: Mapping[str, Tensor], path: Path) -> nn.Module:
    """A copy of `model` with nothing in it but the tensors `written`. Raises InputError as `same_weights`."""
    same_weights(model, written, path)
    second = copy.deepcopy(model)
    for value in second.state_dict().values():
        value.fill_(float("nan") if value.is_floating_point() else -1)
    second.load_state_dict(written)
    return second


def same_weights(model: nn.Module, written: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError, naming `path`, where a tensor is not that of `model`; all of them, as images pass only one tower."""
    expected = model.state_dict()
    wrong = [
        name
        for name in expected.keys() | written.keys()
        if name not in expected or name not in written or not torch.equal(expected[name], written[name])
    ]
    if wrong:
        raise InputError(
            f"{path} was not written: {min(wrong)} in it is not the model's; write it again, to another disk if need be"
        )


def check_plain(predictor: Predictor, path: str | Path) -> None:
    """Raise InputError where `export_state_dict` can't do what it is asked for."""
    if Path(path).suffix != ".safetensors":
        raise InputError(f"a state dict is written as safetensors, but {path} has another ending; name it .safetensors")
    refuse_image_prompts(predictor, "plain CLIP's state dict")


def refuse_image_prompts(predictor: Predictor, what: str) -> None:
    """Raise InputError where there are prompts in the image tower."""
    if any(group.vision_length for group in predictor.prompts()):
        raise InputError(
            f"{predictor.source} has prompts in the image tower, which have no place in a {what}; use --onnx or --program"
        )
