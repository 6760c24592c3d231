"""The folder for Hugging Face's transformers: the library loads it and answers as the predictor does; or nothing is written."""

import json
import os
import shutil

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch.nn.functional import normalize

import caspl
from boosting_files import make_boosting, write_boosting
from caspl.__main__ import main
from caspl.clip.backbones import Backbone, load_backbone
from caspl.clip.preprocessing import Preprocessing
from caspl.ground.errors import InputError
from caspl.prompting.learners import ConditionalContext, MetaNet, Prompts
from caspl.use.exports import clip_model
from caspl.use.exports.clip_model import CLASSIFIER, FILES, check_folder, export_transformers
from caspl.use.predictor import Predictor

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip(
    "transformers", reason="what is written for Hugging Face's library is not loaded without it"
)

TEXTS = ["a photo of the digit zero.", "Élan naïve café's 2,000", "日本語 😀", "  two   spaces "]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A CLIP with prompts in front of its texts alone."""
    path = tmp_path_factory.mktemp("result") / "boosting.safetensors"
    return caspl.load(write_boosting(path, make_boosting(vision=(0, 0))))


@pytest.fixture(scope="module")
def folder(predictor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "clip"
    assert export_transformers(predictor, folder) < 1e-4
    return folder


def pooled(answer):
    """Features as version 5 of the library gives them, or version 4."""
    return getattr(answer, "pooler_output", answer)


def pictures():
    """Images of several sizes whose middle is a whole pixel: the library rounds others to the other side."""
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 255, (h, w, 3), np.uint8)) for h, w in ((32, 32), (48, 64), (100, 100))]


# --- what is written -------------------------------------------------------------------------------------------------
@torch.no_grad()
def test_transformers_answers_as_the_predictor(predictor, folder):
    model, classifier = (
        transformers.CLIPModel.from_pretrained(folder).eval(),
        load_file(folder / CLASSIFIER)["classifier"],
    )
    images = torch.stack([predictor.prepare(image) for image in pictures()])
    features = normalize(pooled(model.get_image_features(images)), dim=-1)
    logits, expected = model.logit_scale.exp() * features @ classifier.T, predictor.logits(images)
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    tokens = predictor.backbone.tokenizer(TEXTS)
    texts, expected = pooled(model.get_text_features(tokens)), predictor.backbone.model.encode_text(tokens)
    assert (texts - expected).abs().max() < 1e-4 * expected.abs().max()


def test_its_processor_prepares_texts_and_images_alike(predictor, folder):
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    for text in TEXTS:
        ours = predictor.backbone.tokenizer([text])[0].tolist()
        assert (
            processor.tokenizer(text)["input_ids"] == ours[: ours.index(predictor.backbone.tokenizer.eot_token_id) + 1]
        )
    long = processor.tokenizer("many words " * 50, truncation=True)["input_ids"]
    assert len(long) == predictor.backbone.model.context_length
    pixels = processor(images=pictures(), return_tensors="pt")["pixel_values"]
    ours = torch.stack([predictor.prepare(image) for image in pictures()])
    levels = (pixels - ours).abs() * torch.tensor(predictor.preprocessing.std)[:, None, None] * 255
    assert levels.max() < 1.01 and levels.mean() < 0.01  # the library rounds otherwise where it resizes
    assert (
        type(transformers.AutoModel.from_pretrained(folder)) is transformers.CLIPModel
        and type(transformers.AutoProcessor.from_pretrained(folder)) is transformers.CLIPProcessor
    )


def test_it_comes_in_again_as_the_same_network(predictor, folder):
    assert load_backbone(str(folder)).fingerprint == predictor.backbone.fingerprint
    assert {entry.name for entry in folder.iterdir()} == FILES
    again = load_backbone(str(folder))
    assert again.mean == pytest.approx(predictor.preprocessing.mean) and again.assumed == frozenset()


@pytest.mark.parametrize(
    ("interpolation", "number"), [("nearest-exact", 0), ("lanczos", 1), ("bilinear", 2), ("bicubic", 3)]
)
def test_images_are_prepared_as_in_the_run(interpolation, number, predictor, tmp_path):
    own = Preprocessing((32, 32), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), interpolation)
    other = Predictor(predictor.backbone, [predictor.prompts], predictor.classnames, own)
    export_transformers(other, tmp_path / "x")
    settings = json.loads((tmp_path / "x/preprocessor_config.json").read_text())
    assert (settings["resample"], settings["image_mean"], settings["image_std"]) == (
        number,
        [0.1, 0.2, 0.3],
        [0.4, 0.5, 0.6],
    )


# --- what can't be ---------------------------------------------------------------------------------------------------
def conditional():
    return ConditionalContext(torch.randn(2, 64), None, MetaNet(64, 4, 64))


def with_model(change=None, **settings):
    """A backbone of another kind of CLIP, under the demo model's tokenizer."""

    def make():
        torch.manual_seed(0)
        vision = dict(image_size=32, patch_size=16, width=64, layers=1)
        text = dict(width=64, heads=1, layers=1, vocab_size=49408)
        model = open_clip.CLIP(
            **{"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, "quick_gelu": True} | settings
        )
        if change:
            change(model)
        size = model.visual.image_size
        size = size if isinstance(size, tuple) else (size, size)
        return Backbone("mine", model, open_clip.SimpleTokenizer(), size, (0.5,) * 3, (0.5,) * 3)

    return make


def with_relu6(model):
    for block in model.transformer.resblocks:
        block.mlp.gelu = torch.nn.ReLU6()


RESNET = dict(image_size=64, layers=(1, 1, 1, 1), width=16)
WIDE = dict(image_size=(32, 64), patch_size=16, width=64, layers=1)


@pytest.mark.parametrize(
    ("backbone", "learner", "message"),
    [
        (
            None,
            lambda: make_boosting(),
            "has prompts in the image tower, which have no place in a CLIPModel of transformers",
        ),
        (None, conditional, "encodes its classes anew for each image, so there is no static class matrix"),
        (
            with_model(vision_cfg=RESNET),
            None,
            "mine can't be a CLIPModel of transformers: .* image tower is a ModifiedResNet",
        ),
        (
            with_model(vision_cfg=WIDE),
            None,
            "mine can't be a CLIPModel of transformers: its images, 32 x 64, are not square",
        ),
        (
            with_model(with_relu6),
            None,
            "mine can't be a CLIPModel of transformers: the activation of its blocks is none of",
        ),
    ],
    ids=["image prompts", "CoCoOp", "ResNet", "not square", "activation"],
)
def test_refused_with_the_reason(backbone, learner, message, tmp_path):
    backbone = backbone() if backbone else load_backbone("demo/student")
    learner = learner() if learner else Prompts([torch.randn(2, 64)], trainable=False)
    preparation = Preprocessing(backbone.image_size, backbone.mean, backbone.std)
    predictor = Predictor(backbone, [learner], ["zero", "one"], preparation, source="x", method="CoCoOp")
    with pytest.raises(InputError, match=message):
        export_transformers(predictor, tmp_path / "clip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["notes.txt"],
            "clip holds notes.txt, so it is not a folder that --transformers has written; name an empty or a new",
        ),
        ([*FILES, "notes.txt"], "clip holds notes.txt, so it"),
        (sorted(FILES - {CLASSIFIER}), "clip holds config.json, so it is not a folder"),
        ("a file", "--transformers writes a folder, but .*clip is a file; name another"),
        ([], None),
        (sorted(FILES), None),
    ],
)
def test_what_is_replaced(names, message, predictor, tmp_path, capsys):
    place = tmp_path / "clip"
    if names == "a file":
        place.write_text("x")
    else:
        place.mkdir()
        for name in names:
            (place / name).write_text("x")
    if message:
        with pytest.raises(InputError, match=message):
            check_folder(place)
        assert main(["export", predictor.source, "--transformers", str(place)]) == 2
        assert place.is_file() or sorted(entry.name for entry in place.iterdir()) == sorted(names)
    else:
        assert main(["export", predictor.source, "--transformers", str(place)]) == 0
        assert f"{place}: " in capsys.readouterr().out and load_backbone(str(place))
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip"]


def flipped(tensors):
    return {name: value.flip(0) if name == "classifier" else value for name, value in tensors.items()}


def bent(tensors):
    name = "text_model.encoder.layers.0.mlp.fc1.weight"
    return {**tensors, name: tensors[name] + 1e-3} if name in tensors else tensors


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flipped, "clip was not written: its logits differ from the model's"),
        (bent, "clip was not written: transformer.resblocks.0.mlp.c_fc.weight in it is not the model's"),
        (lambda tensors: {}, "is no complete CLIP|holds no tensors"),
    ],
)
def test_what_is_damaged_is_not_kept(damage, message, predictor, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "clip")
    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    monkeypatch.setattr(clip_model, "save", lambda tensors, metadata: serialized(damage(tensors), metadata))
    with pytest.raises(InputError, match=message):
        export_transformers(predictor, tmp_path / "clip")
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip"]
    assert {entry.name: entry.read_bytes() for entry in (tmp_path / "clip").iterdir()} == before


def test_a_configuration_of_another_network_is_not_kept(predictor, tmp_path, monkeypatch):
    honest = clip_model._as_clip_model

    def other(predictor):
        config, preprocessor, tensors = honest(predictor)
        return config | {"text_config": config["text_config"] | {"num_attention_heads": 4}}, preprocessor, tensors

    monkeypatch.setattr(clip_model, "_as_clip_model", other)
    with pytest.raises(
        InputError, match="clip was not written: what is read from it is .*/4[+]2/32x32, expected .*/2[+]2/32x32"
    ):
        export_transformers(predictor, tmp_path / "clip")
    assert not list(tmp_path.iterdir())
