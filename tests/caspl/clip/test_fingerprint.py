"""What a fingerprint sees, and what it does not: the same network in our classes, a host's, in half precision."""

import re

import open_clip
import pytest
import torch
from torch import nn

import host_clip
from caspl.clip.backbones import Backbone, load_backbone
from caspl.clip.fingerprint import fingerprint_of, same_network
from caspl.host.graft import HostCLIP

VISION = dict(image_size=32, patch_size=16, width=32, layers=2, head_width=16)
RESNET = dict(image_size=64, layers=(1, 1, 1, 1), width=8, head_width=16)


def make_model(vision=VISION, quick_gelu=True, heads=2):
    torch.manual_seed(0)
    text = dict(width=32, heads=heads, layers=2, vocab_size=100)
    return open_clip.CLIP(embed_dim=16, vision_cfg=dict(vision), text_cfg=text, quick_gelu=quick_gelu).eval()


def fingerprint(model, size=(32, 32)):
    return Backbone("x", model, None, size, (), ()).fingerprint


def test_it_can_be_read():
    assert re.fullmatch("[0-9a-f]{16}/quickgelu/2[+]2/32x32", fingerprint(make_model()))
    assert load_backbone("demo/teacher").fingerprint.split("/")[1:] == ["quickgelu", "3+4", "32x32"]


@pytest.mark.parametrize(
    "other, size",
    [
        (lambda: make_model(quick_gelu=False), (32, 32)),
        (lambda: make_model(heads=4), (32, 32)),
        (lambda: make_model(VISION | {"head_width": 8}), (32, 32)),
        (make_model, (64, 32)),
    ],
    ids=["activation", "text heads", "image heads", "image size"],
)
def test_the_same_weights_in_another_network(other, size):
    ours, theirs = fingerprint(make_model()), fingerprint(other(), size)
    assert ours.split("/")[0] == theirs.split("/")[0]  # the weights are the same
    assert ours != theirs
    assert not same_network(ours, theirs)


@pytest.mark.slow
def test_of_a_named_model_with_a_file(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(open_clip.create_model("RN50", pretrained=None, load_weights=False).state_dict(), path)
    plain, quick = (load_backbone(f"{name}:{path}").fingerprint for name in ("RN50", "RN50-quickgelu"))
    assert plain.split("/")[1:] == ["gelu+relu", "8+32", "224x224"]
    assert quick == plain.replace("gelu+relu", "quickgelu+relu")


class OldResNet(open_clip.model.ModifiedResNet):
    """Written otherwise, as in some checkouts: one activation for the whole stem, `input_resolution` for the image size."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.relu = nn.ReLU(inplace=True)
        del self.act1, self.act2, self.act3, self.image_size
        self.input_resolution = 64


def host_resnet(model):
    vision = OldResNet(layers=(1, 1, 1, 1), output_dim=16, heads=16, image_size=64, width=8)
    host = host_clip.CLIP(vision, embed_dim=16, width=32, layers=2, heads=2, positions=77, vocabulary=100)
    host.load_state_dict(model.state_dict())
    return host


def test_a_hosts_resnet_is_the_same_network():
    model = make_model(RESNET)
    expected = fingerprint(model, (64, 64))
    assert expected.endswith("/quickgelu+relu/2+16/64x64")
    assert HostCLIP.of(host_resnet(model), "x") == HostCLIP("x", expected, 32, 0)
    assert HostCLIP.of(host_resnet(model).half(), "x").fingerprint == expected
    other = make_model(RESNET, quick_gelu=False)
    assert not same_network(HostCLIP.of(host_resnet(other), "x").fingerprint, fingerprint(other, (64, 64)))


class TanhBlock(host_clip.Block):
    def __init__(self, *settings):
        super().__init__(*settings)
        self.mlp.gelu = nn.GELU(approximate="tanh")


class AdapterBlock(host_clip.Block):
    """A patch that adds a small network, with heads and an activation, beside CLIP's own parts."""

    def __init__(self, width, *settings):
        super().__init__(width, *settings)
        self.adapter = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, width))
        self.more = nn.MultiheadAttention(width, 1)


def test_patched_blocks_of_a_host():
    plain = load_backbone("demo/student").fingerprint
    assert (
        HostCLIP.of(host_clip.make_clip(text_block=AdapterBlock, vision_block=AdapterBlock), "x").fingerprint == plain
    )
    tanh = HostCLIP.of(host_clip.make_clip(text_block=TanhBlock), "x").fingerprint
    assert tanh == plain.replace("quickgelu", "gelutanh+quickgelu")


@pytest.mark.parametrize(
    "timm_name, facts",
    [
        ("vit_tiny_patch16_224", "gelu/2+3/64x64"),
        ("convnext_atto", "gelu/2+none/64x64"),
        ("resnet18", "gelu+relu/2+none/64x64"),
    ],
)
def test_of_any_model_of_open_clip(timm_name, facts):
    vision = dict(timm_model_name=timm_name, timm_pool="avg", timm_proj="linear", image_size=64)
    text = dict(width=32, heads=2, layers=1, vocab_size=100)
    model = open_clip.CustomTextCLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
    assert fingerprint_of(model, (64, 64)).partition("/")[2] == facts


def test_the_hash_alone_is_compared_with_the_hash():
    """As files written before there was more in a fingerprint have it."""
    new = fingerprint(make_model())
    old = new.split("/")[0]
    assert same_network(old, new) and same_network(new, old) and same_network(old, old)
    assert not same_network("0" * 16, new)
    assert not same_network(new, "unknown")
