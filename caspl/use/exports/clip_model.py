"""A folder for transformers: the plain CLIP as a `CLIPModel`, its processor, and the class features beside it.

    model, processor = CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)
    classifier = safetensors.torch.load_file(f"{folder}/classifier.safetensors")["classifier"]  # [C, E]
    pixels = processor(images=images, return_tensors="pt")["pixel_values"]
    features = torch.nn.functional.normalize(model.get_image_features(pixels).pooler_output, dim=-1)
    logits = model.logit_scale.exp() * features @ classifier.T

All that text prompts have learned is in the class features, so only methods that learn nothing else can be written like this.
The library itself is not needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor

from ...clip.backbones import load_backbone
from ...clip.files.hugging_face import to_hugging_face
from ...ground.errors import InputError
from ...ground.files import replacing_folder
from ...ground.tensors.sealed import in_order
from ..predictor import Predictor
from .checked import prepare, verify
from .plain import plain_facts, refuse_image_prompts, same_weights

WEIGHTS, CLASSIFIER = "model.safetensors", "classifier.safetensors"
START, END = "<|startoftext|>", "<|endoftext|>"  # as transformers calls [SOS] and [EOS]
TOKENIZER = ("vocab.json", "merges.txt", "tokenizer_config.json")
FILES = {"config.json", "preprocessor_config.json", WEIGHTS, CLASSIFIER, *TOKENIZER}


def export_transformers(predictor: Predictor, folder: str | Path) -> float:
    """Write the folder, in place of an older one, and give the largest difference of logits from the predictor's.

    What is written is read by `load_backbone`: every tensor, the activation and the heads have to be the predictor's.

    Raises:
        InputError: there are prompts in the image tower, which have no place in a `CLIPModel`; the CLIP is none; `folder` holds
            something else; or as `export_onnx`.
    """
    folder = Path(folder).expanduser()
    check_transformers(predictor, folder)
    classifier, _ = prepare(predictor)
    backbone = predictor.backbone
    config, preprocessor, tensors = _as_clip_model(predictor)
    about = plain_facts(predictor, folder / CLASSIFIER)
    with replacing_folder(folder) as temporary:
        for name, content in {"config.json": config, "preprocessor_config.json": preprocessor}.items():
            _write_json(temporary / name, content)
        _write_tokenizer(temporary, backbone.tokenizer)
        (temporary / WEIGHTS).write_bytes(in_order(save(tensors, metadata={"format": "pt"} | about)))
        features = {"classifier": classifier.classifier.contiguous()}
        (temporary / CLASSIFIER).write_bytes(in_order(save(features, metadata={"format": "pt"} | about)))
        again, matrix = load_backbone(str(temporary)), load_file(temporary / CLASSIFIER)["classifier"]
        same_weights(backbone.model, again.model.state_dict(), folder)
        if again.fingerprint != backbone.fingerprint:
            raise InputError(
                f"{folder} was not written: what is read from it is {again.fingerprint}, expected {backbone.fingerprint}; "
                f"report this with the name of the CLIP"
            )

        def logits(images: Tensor) -> Tensor:
            pixels = predictor.preprocessing.normalize(images)
            return again.model.logit_scale.exp() * again.image_features(pixels) @ matrix.T

        return verify(predictor, logits, folder)


def check_transformers(predictor: Predictor, folder: str | Path) -> None:
    """Raise InputError where `export_transformers` can't do what it is asked for."""
    check_folder(folder)
    refuse_image_prompts(predictor, "CLIPModel of transformers")
    _as_clip_model(predictor)


def check_folder(folder: str | Path) -> None:
    """Raise InputError unless nothing, an empty folder, or one of `export_transformers` is there."""
    folder = Path(folder).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--transformers writes a folder, but {folder} is a file; name another")
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if names and (names - FILES or CLASSIFIER not in names):
        raise InputError(
            f"{folder} holds {min(names - FILES or names)}, so it is not a folder that --transformers has written; name an "
            f"empty or a new one"
        )


def _as_clip_model(predictor: Predictor) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    backbone, preparation = predictor.backbone, predictor.preprocessing
    config, preprocessor, tensors = to_hugging_face(backbone.model, preparation.mean, preparation.std, backbone.name)
    resample = Image.Resampling[preparation.interpolation.removesuffix("-exact").upper()]
    return config, preprocessor | {"resample": int(resample)}, tensors


def _write_tokenizer(folder: Path, tokenizer: open_clip.SimpleTokenizer) -> None:
    """CLIP's vocabulary, out of open_clip's tokenizer, under the names of transformers."""
    special = {tokenizer.sot_token_id: START, tokenizer.eot_token_id: END}
    vocabulary, merges, settings = TOKENIZER
    _write_json(folder / vocabulary, {special.get(index, token): index for token, index in tokenizer.encoder.items()})
    ranked = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in ranked)]
    (folder / merges).write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    length = {"model_max_length": tokenizer.context_length}
    _write_json(folder / settings, {"tokenizer_class": "CLIPTokenizer", **length, **names})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
