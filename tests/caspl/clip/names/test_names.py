"""What a name stands for, and what is said about one that stands for nothing. Nothing is fetched."""

import logging
import re

import open_clip
import pytest
import torch

from caspl.clip import models
from caspl.clip.backbones import load_backbone
from caspl.clip.fingerprint import mismatch
from caspl.clip.models import is_known, load_model
from caspl.clip.names.known import is_model, split
from caspl.clip.names.suggestions import unknown
from caspl.ground.errors import InputError


# --- MODEL:SOURCE ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ViT-B-16:openai", ("ViT-B-16", "openai")),
        ("ViT-B-16:/tmp/a:b.pt", ("ViT-B-16", "/tmp/a:b.pt")),
        (r"ViT-B-16:C:\clip.pt", ("ViT-B-16", r"C:\clip.pt")),
        ("ViT-B/16:clip.pt", ("ViT-B/16", "clip.pt")),
        ("ViT-L/14@336px:clip.pt", ("ViT-L/14@336px", "clip.pt")),
        ("demo/student:clip.pt", ("demo/student", "clip.pt")),
        ("ViT-S-16-alt-quickgelu:clip.pt", ("ViT-S-16-alt-quickgelu", "clip.pt")),
        ("ViT-B-61:openai", ("ViT-B-61", "openai")),
        *(
            (whole, ("", whole))
            for whole in (r"C:\clip.pt", "C:/clip.pt", "/tmp/a:b.pt", "~/a:b", "hf:org/name", "clip.pt")
        ),
        *((whole, ("", whole)) for whole in ("hf-hub:org/name", "hub:org/name", "https://host/clip.pt", "a b:c")),
    ],
)
def test_model_and_source(name, parts):
    assert split(name) == parts
    assert is_model(parts[0]) == (parts[0] not in ("", "ViT-B-61"))


# --- unknown names ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ViT-B/61", "ViT-B/16"),
        ("vit-b/16", "ViT-B/16"),
        ("ViT-B16", "ViT-B/16"),
        ("ViT_B/16", "ViT-B/16"),
        ("vitb16", "ViT-B/16"),
        ("ViT-B/16/", "ViT-B/16"),
        ("ViT-B/32 ", "ViT-B/32"),
        ("openai/ViT-B/16", "ViT-B/16"),
        ("openai/ViT-B-32", "ViT-B/32"),
        ("CLIP-ViT-B/32", "ViT-B/32"),
        ("clip-vit-base-patch16", "ViT-B/16"),
        ("vit_base_patch16_224", "ViT-B/16"),
        ("ViT-L-14@336px", "ViT-L/14@336px"),
        ("ViT-L/14@336", "ViT-L/14@336px"),
        ("clip-vit-large-patch14-336", "ViT-L/14@336px"),
        ("rn50", "RN50"),
        ("ResNet-101", "RN101"),
        ("Demo_Student", "demo/student"),
        ("ViT-H/14", "ViT-H-14:laion2b_s32b_b79k"),
    ],
)
def test_a_name_written_otherwise(name, meant):
    assert f"(do you mean {meant}?)" in unknown(name)


@pytest.mark.parametrize(
    "name", ["foo", "banana", "clip", "ViT", "resnet", "student net", "dino_vits16", "deit-tiny", "x", "ViT-X/99", "0"]
)
def test_nothing_far_fetched(name):
    said = unknown(name)
    assert "do you mean" not in said and "choose one of demo/student" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        # the Hub's
        ("openai/clip-vit-base-patch16", r"for a repository of the Hub write hf:openai/clip-vit-base-patch16$"),
        ("laion/CLIP-ViT-B-16-laion2B-s34B-b88K", r"write hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K$"),
        ("wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M", r"write hf:wkcn/\S+ .*CLIPModel.* or hf-hub:wkcn/\S+ .*open_clip"),
        ("huggingface.co/openai/clip-vit-base-patch32", r"an address; write hf:openai/clip-vit-base-patch32$"),
        ("s3://bucket/clip.pt", r"an address, from which nothing is fetched; download the file"),
        ("gs://bucket/clip", r"an address, from which nothing is fetched; download the file"),
        ("https://huggingface.co/openai/clip-vit-base-patch32/tree/main", r"write hf:openai/clip-vit-base-patch32$"),
        ("hub:org/name@main", r"hub: is for boosting prompts; write hf:org/name .* or hf-hub:org/name "),
        # paths
        (r"C:\models\clip.pt", r"there is no file at C:\\models\\clip.pt; correct the path$"),
        ("C:/models/clip.pt", r"there is no file at C:/models/clip.pt"),
        (r"\\server\clip.pt", r"there is no file at \\\\server\\clip.pt"),
        ("./x.pt", r"there is no file at x.pt"),
        ("~/no-such-clip.pt", r"there is no file at /.*/no-such-clip.pt"),
        ("~nobody-here/x.pt", r"there is no file at ~nobody-here/x.pt"),
        ("weights/clip.safetensors", r"there is no file at weights/clip.safetensors .there is no folder weights.;"),
        ("some/where/else", r"there is no file at some/where/else"),
        ("here/clpi.pt", r"there is no file at here/clpi.pt .do you mean here/clip.pt.."),
        ("here/x", r"there is no file at here/x; correct"),
        ("model.bin", r"there is no file at model.bin"),
        ("file:///tmp/x.pt", r'expected a path without "file://"; write /tmp/x.pt$'),
        ("local-dir:/tmp/x", r'expected a path without "local-dir:"; write /tmp/x$'),
        ("HF:org/name", r"expected small letters before the colon; write hf:org/name$"),
        ("Hf-Hub:org/name", r"write hf-hub:org/name$"),
        ("ViT-B/16:model", r"model is a folder that says itself what model it holds; write model$"),
        ("demo/student:here", r"here is no file; expected a model folder"),
        ("https://host/clip.pt", r"an address, from which nothing is fetched; download"),
        # folders
        (
            "here",
            r'a folder that holds no CLIP ."clip.pt".; expected a model folder .*config.json with model.safetensors',
        ),
        ("run", r"boosting.safetensors in it is what a run has learned, not a CLIP"),
        ("empty", r"it is empty"),
        # models
        ("ViT-B-16", r"an open_clip model without weights; add a tag, as in ViT-B-16:openai$"),
        ("ViT-S-16-alt", r"has no weights; give a file, as in ViT-S-16-alt:/path/to/weights$"),
        ("ViT-S-16-alt-quickgelu", r"give a file, as in ViT-S-16-alt-quickgelu:/path"),
        (
            "ViT-B-16:laion2b",
            r"neither a file nor a tag of ViT-B-16 .do you mean ViT-B-16:laion2b_s34b_b88k..; its tags are",
        ),
        ("ViT-B-16:LAION400M-e31", r"do you mean ViT-B-16:laion400m_e31.."),
        ("ViT-B-16:nowhere", r"neither a file nor a tag of ViT-B-16; its tags are .*laion"),
        ("ViT-B/16:gone.pt", r"there is no file at gone.pt"),
        ("ViT-B-16:here/clpi.pt", r"do you mean here/clip.pt"),
        ("ViT-S-16-alt:gone", r"there is no file at gone"),
        ("ViT-B-16:", r"nothing after the colon; give a file, as in ViT-B-16:/path"),
        ("demo/student:gone", r"there is no file at gone"),
        ("demo/pupil", r"no demo model is called demo/pupil; there are demo/student, demo/teacher$"),
        ("ViT-B-61:openai", r"open_clip has no model ViT-B-61 .do you mean ViT-B-16:openai..$"),
        ("strange:openai", r"open_clip has no model strange$"),
        ("", r'^is "", expected the name of a CLIP, such as ViT-B/16, or the path'),
        ("  ", r"expected the name of a CLIP"),
    ],
)
def test_near_in_kind(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, file in (
        ("here", "clip.pt"),
        ("run", "boosting.safetensors"),
        ("model", "config.json"),
        ("empty", None),
    ):
        (tmp_path / folder).mkdir()
        if file:
            (tmp_path / folder / file).write_text("x")
    (tmp_path / "model" / "model.safetensors").touch()
    assert re.search(said, unknown(name)), unknown(name)
    with pytest.raises(InputError, match="^backbone is "):
        load_backbone(name)


def test_a_file_whose_name_has_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine:clip.pt").write_text("x")
    with pytest.raises(InputError, match="mine:clip.pt is not a weight file"):
        load_backbone("mine:clip.pt")


# --- activations -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "quick"),
    [
        ("ViT-B-16:openai", True),
        ("ViT-B-32:laion400m_e32", True),
        ("ViT-H-14:dfn5b", True),
        ("ViT-B-16-quickgelu:openai", True),
        ("ViT-B-16:laion2b_s34b_b88k", False),
        ("roberta-ViT-B-32:laion2b_s12b_b32k", False),  # its configuration says so itself
    ],
)
def test_tags_have_the_activation_that_they_were_trained_with(name, quick, monkeypatch):
    """open_clip lists OpenAI's, DFN's and MetaCLIP's weights under names without QuickGELU, too, and only warns."""
    asked = {}

    def create(architecture, pretrained, force_quick_gelu):
        asked[architecture, pretrained] = force_quick_gelu
        raise OSError("that is all")

    monkeypatch.setattr("caspl.ground.quiet._answers", lambda address: False)
    monkeypatch.setattr(open_clip, "create_model", create)
    with pytest.raises(InputError, match="that is all"):
        load_model(name)
    architecture, tag = name.split(":")
    forced = bool(open_clip.get_model_config(architecture).get("quick_gelu")) or quick
    assert asked == {(architecture, tag): forced}


def openai_shaped(name="ViT-S-16-alt"):
    torch.manual_seed(0)
    return models.build_open_clip(name).state_dict()


@pytest.mark.slow
def test_quickgelu_behind_any_name(tmp_path):
    torch.save(openai_shaped(), tmp_path / "w.pt")
    plain, quick = (load_backbone(f"ViT-S-16-alt{end}:{tmp_path / 'w.pt'}") for end in ("", "-quickgelu"))
    assert plain.fingerprint.replace("/gelu/", "/quickgelu/") == quick.fingerprint
    other = mismatch(plain.name, plain.fingerprint, quick.name, quick.fingerprint)
    assert other.said == "the same weights computed otherwise, activation gelu there and quickgelu here"
    assert other.name == plain.name and other.remedy == f"write {plain.name}"
    assert is_known(quick.name)


def test_weights_that_are_filled_in_next_are_not_missed(caplog):
    with caplog.at_level(logging.DEBUG):
        models.build_open_clip("ViT-S-16-alt")
        assert "No pretrained" not in caplog.text
        logging.warning("No pretrained weights loaded by somebody else")
    assert "somebody else" in caplog.text


# --- another network -------------------------------------------------------------------------------------------------
HASH, OTHER = "0123456789abcdef", "f" * 16


@pytest.mark.parametrize(
    ("there", "here", "said", "remedy"),
    [
        (
            ("ViT-B-32:laion2b_e16", f"{HASH}/gelu/8+12/224x224"),
            ("/tmp/clip.pt", f"{HASH}/quickgelu/8+12/224x224"),
            "the same weights computed otherwise, activation gelu there and quickgelu here",
            "write ViT-B-32:/tmp/clip.pt",
        ),
        (
            ("ViT-B/16", f"{HASH}/quickgelu/8+12/224x224"),
            ("ViT-B-16:/tmp/clip.pt", f"{HASH}/gelu/8+12/224x224"),
            "the same weights computed otherwise, activation quickgelu there and gelu here",
            "write ViT-B/16:/tmp/clip.pt",
        ),
        (
            ("RN50", f"{HASH}/quickgelu+relu/8+32/224x224"),
            ("RN50:/tmp/clip.pt", f"{HASH}/gelu+relu/8+32/224x224"),
            "the same weights computed otherwise, activation quickgelu+relu there and gelu+relu here",
            "write RN50-quickgelu:/tmp/clip.pt",
        ),
        (
            ("demo/student", f"{HASH}/quickgelu/2+2/32x32"),
            ("w.pt", f"{HASH}/quickgelu/1+1/32x32"),
            "the same weights computed otherwise, text heads 2 there and 1 here, image heads 2 there and 1 here",
            "write demo/student:w.pt",
        ),
        (
            ("/a/w.pt", f"{HASH}/quickgelu/2+2/32x32"),
            ("ViT-B-16:/a/w.pt", f"{HASH}/gelu/2+2/32x32"),
            "the same weights computed otherwise, activation quickgelu there and gelu here",
            "write /a/w.pt",
        ),
        (
            ("/a/w.pt", f"{HASH}/quickgelu/2+2/32x32"),
            ("/a/w.pt", f"{HASH}/gelu/2+2/32x32"),
            "the same weights computed otherwise, activation quickgelu there and gelu here",
            "write MODEL:/a/w.pt with the name of the model that has these",
        ),
        (
            ("/a/model", f"{HASH}/quickgelu/2+2/32x32/eps1e-06+1e-05"),
            ("/b/model", f"{HASH}/quickgelu/2+2/32x32"),
            "the same weights computed otherwise, text epsilon 1e-06 there and 1e-05 here",
            "write /a/model",
        ),
        (
            ("demo/student", f"{HASH}/quickgelu/2+2/32x32"),
            ("demo/teacher", f"{OTHER}/quickgelu/3+4/32x32"),
            f"network demo/student ({HASH}/quickgelu/2+2/32x32) there and demo/teacher ({OTHER}/quickgelu/3+4/32x32) here",
            "choose demo/student",
        ),
        (  # as a file that somebody has altered may have it
            ("demo/student", f"{HASH}/"),
            ("demo/student", f"{HASH}/quickgelu/3+4/32x32"),
            f"network demo/student ({HASH}/) there and demo/student ({HASH}/quickgelu/3+4/32x32) here",
            "bring back what was demo/student then",
        ),
    ],
)
def test_what_is_other(there, here, said, remedy):
    other = mismatch(*there, *here)
    assert (other.said, other.remedy) == (said, remedy)
    assert mismatch(*there, here[0], there[1]) is None and mismatch(there[0], HASH, *there) is None
