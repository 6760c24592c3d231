"""Which CLIPs there are, which a file may name, and what weights that can't be used, or a bad repository, end in."""

import json
import zipfile

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from caspl.clip import backbones, models
from caspl.clip.backbones import load_backbone
from caspl.clip.models import is_known
from caspl.ground.errors import InputError, QuantityError
from weight_files import read_weights


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=32,
        vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=1),
        text_cfg=dict(width=64, heads=1, layers=1, vocab_size=49408),
        quick_gelu=True,
    )
    return {key: value.detach() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ["demo/student", "demo/teacher", *models.OPENAI_NAMES, "ViT-B-16:laion2b_s34b_b88k"])
def test_known_names(name):
    assert is_known(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "demo/../x",
        "hf-hub:org/name",
        "ViT-B-16",
        "ViT-B-16:/tmp/w.pt",
        "ViT-B-16:nowhere",
        "/tmp/w.pt",
        "local-dir:/tmp",
        ".",
    ],
)
def test_names_that_a_file_may_not_choose(name):
    assert not is_known(name)


# --- numbers that no weights have ------------------------------------------------------------------------------------
def filled(value):
    return lambda tensor: torch.full_like(tensor, value)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("visual.proj", filled(float("nan")), "visual.proj has nan, expected finite numbers of at most 1e.06 in size"),
        ("token_embedding.weight", filled(float("inf")), "token_embedding.weight has inf, expected finite"),
        ("ln_final.weight", filled(-1e30), r"ln_final.weight has 1e\+30, expected finite"),
        ("visual.proj", lambda t: t.double() + 1e300, "visual.proj has inf, expected finite"),
        ("visual.proj", lambda t: t.to(torch.int32), "visual.proj is torch.int32, expected floating-point numbers"),
        ("logit_scale", filled(50.0), r"exp\(logit_scale\) is 5.18e\+21, expected 0.01 to 10000"),
        ("logit_scale", filled(-50.0), r"exp\(logit_scale\) is 1.93e-22, expected 0.01 to 10000"),
        ("logit_scale", filled(2000.0), r"exp\(logit_scale\) is inf, expected"),
    ],
)
def test_weights_that_cannot_be_used(key, change, message, weights, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save(weights | {key: change(weights[key])}, path)
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_open_clips_weights_are_looked_at_too(monkeypatch):
    model = open_clip.create_model("ViT-S-16-alt", pretrained=None, load_weights=False)
    model.visual.proj.data.fill_(float("nan"))
    monkeypatch.setattr(models.open_clip, "create_model", lambda *_, **__: model)
    with pytest.raises(
        QuantityError, match="^backbone is hf-hub:org/name, whose weights can't be used: visual.proj has nan"
    ):
        load_backbone("hf-hub:org/name")


# --- shapes that belong to no model ----------------------------------------------------------------------------------
LONG = 10**9


@pytest.mark.parametrize(
    "change",
    [
        {"visual.conv1.weight": torch.zeros(())},
        {"visual.conv1.weight": torch.zeros(LONG, 0, 16, 16)},
        {"visual.positional_embedding": torch.zeros(LONG, 0)},
        {"positional_embedding": torch.zeros(LONG, 0)},
        {"positional_embedding": torch.zeros(0, 64)},
        {"token_embedding.weight": torch.zeros(LONG, 0)},
        {"ln_final.weight": torch.zeros(3)},
        {"text_projection": torch.zeros(64)},
        {"transformer.resblocks": torch.zeros(1)},
        {f"transformer.resblocks.{i}.x": torch.zeros(1) for i in range(500)},
        {f"x{i}": torch.zeros(1) for i in range(5000)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_layouts_that_are_none(change, weights, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save(weights | change, path)
    with pytest.raises(
        InputError,
        match="clip.pt (is no (complete )?CLIP|does not (fit the model|say how many)|is of (another network|texts)|holds 5,0..)"
        "|_embedding is empty",
    ):
        load_backbone(str(path))


def test_tables_that_are_too_long(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes((2**30).to_bytes(8, "little") + b"{")
    with pytest.raises(InputError, match="x.safetensors is not a weight file .*its table is 1,073,741,824 bytes long"):
        read_weights(path)
    save_file({"x": torch.zeros(1)}, path)
    assert read_weights(path)["x"].shape == (1,)


# --- repositories that open_clip cannot read -------------------------------------------------------------------------
def raising(error):
    def create(*_, **__):
        raise error

    return create


ERRORS = [
    (KeyError("model_cfg"), "can't be read .KeyError: 'model_cfg'"),
    (TypeError("CLIP() got an unexpected keyword"), "can't be read .TypeError: CLIP"),
    (AttributeError("'NoneType' object has no attribute 'get'"), "can't be read .AttributeError"),
    (AssertionError(), "can't be read .AssertionError"),
    (IndexError("list index out of range"), "can't be read .IndexError"),
    (ZeroDivisionError("division by zero"), "can't be read .ZeroDivisionError"),
    (RecursionError("maximum recursion depth exceeded"), "could not be fetched"),
    (MemoryError(), "can't be read .MemoryError"),
    (zipfile.BadZipFile("File is not a zip file"), "can't be read .BadZipFile"),
    (json.JSONDecodeError("Expecting value", "", 0), "could not be fetched .Expecting value"),
    (RuntimeError("Error(s) in loading state_dict:\n\tsize mismatch"), "could not be fetched"),
    (OSError("we couldn't connect\nto the Hub"), "could not be fetched .we couldn't connect"),
    (ImportError("no module timm"), "can't be read without a package"),
]


@pytest.mark.parametrize(("error", "message"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_bad_repositories(error, message, monkeypatch):
    monkeypatch.setattr(models.open_clip, "create_model", raising(error))
    with pytest.raises(InputError, match=f"the weights of hf-hub:org/name {message}") as caught:
        load_backbone("hf-hub:org/name")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": None},
        {"size": 0},
        {"size": 10**9},
        {"size": (32, 32, 3)},
        {"size": 32, "mean": None},
        {"size": 32, "mean": "abc"},
        {"size": 32, "mean": (0.5, 0.5)},
        {"size": 32, "std": (0.0, 0.5, 0.5)},
        {"size": 32, "std": (float("nan"), 0.5, 0.5)},
    ],
)
def test_settings_that_make_no_sense(settings, monkeypatch):
    monkeypatch.setattr(backbones.open_clip, "get_model_preprocess_cfg", lambda model: settings)
    with pytest.raises(
        InputError, match="the settings of demo/student (make no sense|can't be read|could not be fetched)"
    ):
        load_backbone("demo/student")
