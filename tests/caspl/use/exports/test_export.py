"""Exported files that are damaged on their way to the disk, or compute something else, are not kept."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from safetensors.torch import save as serialized

import caspl
from boosting_files import make_boosting, write_boosting
from caspl.__main__ import main
from caspl.clip.backbones import load_backbone
from caspl.ground.errors import InputError
from caspl.use.exports import checked, graphs, plain


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A CLIP with prompts in front of its texts alone."""
    path = tmp_path_factory.mktemp("result") / "boosting.safetensors"
    return caspl.load(write_boosting(path, make_boosting(vision=(0, 0))))


def test_a_second_model_computes_what_is_in_the_file(predictor, tmp_path):
    before = {name: value.clone() for name, value in predictor.backbone.model.state_dict().items()}
    assert plain.export_state_dict(predictor, tmp_path / "clip.safetensors") < 1e-4
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["clip.classifier.safetensors", "clip.safetensors"]
    assert all(torch.equal(value, before[name]) for name, value in predictor.backbone.model.state_dict().items())


@pytest.mark.parametrize(
    "name", ["visual.conv1.weight", "transformer.resblocks.0.mlp.c_fc.bias", "token_embedding.weight", "logit_scale"]
)
@pytest.mark.parametrize("damage", ["changed", "lost", "added"])
def test_a_damaged_state_dict_is_not_kept(name, damage, predictor, tmp_path, monkeypatch):
    """One tensor of the image tower, of the text tower, which images do not pass, or the scale."""

    def save(tensors, metadata):
        changed = dict(tensors)
        if name in tensors:
            value = changed.pop(name)
            changed |= {
                "changed": {name: value + 1e-3},
                "lost": {},
                "added": {name: value, f"{name}.more": value.clone()},
            }[damage]
        return serialized(changed, metadata)

    monkeypatch.setattr(plain, "save", save)
    with pytest.raises(InputError, match=f"clip.safetensors was not written: {name}.* in it is not the model's"):
        plain.export_state_dict(predictor, tmp_path / "clip.safetensors")
    assert not list(tmp_path.iterdir())


def test_damaged_class_features_are_not_kept(predictor, tmp_path, monkeypatch):
    def save(tensors, metadata):
        return serialized(
            {name: value.flip(0) if name == "classifier" else value for name, value in tensors.items()}, metadata
        )

    monkeypatch.setattr(plain, "save", save)
    with pytest.raises(InputError, match="clip.safetensors was not written: its logits differ from the model's"):
        plain.export_state_dict(predictor, tmp_path / "clip.safetensors")
    assert not list(tmp_path.iterdir())


def test_two_kinds_need_two_files(tmp_path, capsys):
    path = str(tmp_path / "x")
    assert main(["export", str(tmp_path), "--onnx", path, "--program", path]) == 2
    assert "the same file is named for two kinds" in capsys.readouterr().err


def test_a_link_to_itself_is_no_place(tmp_path, capsys):
    (tmp_path / "loop").symlink_to("loop")
    assert main(["export", str(tmp_path), "--program", str(tmp_path / "loop" / "x.pt2")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "loop" in err and "unexpected" not in err


@pytest.mark.slow
def test_an_archive_of_another_model_is_not_kept(predictor, tmp_path, monkeypatch):
    """What is exported is compared with the predictor, not with the module that was traced."""
    honest = checked.Classifier.forward
    monkeypatch.setattr(checked.Classifier, "forward", lambda self, images: honest(self, images) + 0.1)
    with pytest.raises(InputError, match="x.pt2 was not written: its logits differ from the model's by 0.1"):
        graphs.export_program(predictor, tmp_path / "x.pt2")
    monkeypatch.setattr(checked.Classifier, "forward", lambda self, images: honest(self, images)[:, :1])
    with pytest.raises(InputError, match="x.pt2 was not written: its logits differ from the model's by inf"):
        graphs.export_program(predictor, tmp_path / "x.pt2")
    assert not list(tmp_path.iterdir())


def test_a_state_dict_says_how_its_images_are_prepared(predictor, tmp_path):
    plain.export_state_dict(predictor, tmp_path / "clip.safetensors")
    with safe_open(tmp_path / "clip.safetensors", framework="pt") as file:
        facts = file.metadata()
    assert json.loads(facts["mean"]) == pytest.approx(predictor.preprocessing.mean)
    assert "minus mean, over std" in facts["input"] and "clip.classifier.safetensors" in facts["classifier"]


def test_a_state_dict_says_which_network_it_is(predictor, tmp_path):
    """Its weights alone would be taken to have heads of 64 channels, were they not well known."""
    plain.export_state_dict(predictor, path := tmp_path / "clip.safetensors")
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
    assert facts["fingerprint"] == predictor.backbone.fingerprint
    trained_on = tmp_path / "more.safetensors"
    save_file({name: value + 0.01 for name, value in load_file(path).items()}, trained_on, metadata=facts)
    assert load_backbone(str(trained_on)).fingerprint.split("/")[1:] == predictor.backbone.fingerprint.split("/")[1:]
