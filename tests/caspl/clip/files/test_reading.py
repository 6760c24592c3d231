"""One network in every file that people have it in: the same features, the same fingerprint. And files that are refused."""

import json
import logging
from collections import OrderedDict

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from caspl.clip.backbones import load_backbone
from caspl.clip.files.containers import opened_weights
from caspl.clip.files.hugging_face import split
from caspl.clip.files.reading import fill_from
from caspl.ground.errors import InputError
from caspl.ground.tensors.archives import TensorFile
from weight_files import SETTINGS, make_clip, save_archive

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def under(prefix, state):
    return OrderedDict((f"{prefix}{key}", value) for key, value in state.items())


def state_of(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def text_inside(state):
    text = ("transformer", "token_embedding", "ln_final", "positional_embedding", "text_projection")
    return {f"text.{key}" if key.startswith(text) else key: value for key, value in state.items()}


def hugging_face(state):
    return {theirs: part for key, value in state.items() for theirs, part in split(key, value).items()}


def trained():
    """The state of an optimizer that has made a step, as training checkpoints have it beside the weights."""
    copy = make_clip().requires_grad_(True)
    optimizer = torch.optim.AdamW(copy.parameters(), lr=0.0)
    sum(parameter.sum() for parameter in copy.parameters()).backward()
    optimizer.step()
    return optimizer.state_dict()


class Settings(dict):
    """Stands for Lightning's AttributeDict: a class that no reader knows."""


class Callback:
    def __init__(self):
        self.best = torch.ones(3)


def saved(make):
    """A writer of what `make` gives for a model's state."""
    return lambda model, path: torch.save(make(state_of(model)), path)


def lightning(prefix):
    return saved(
        lambda state: {
            "epoch": 3,
            "global_step": 12,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": under(prefix, state) | {"criterion.weight": torch.ones(2)},
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"ModelCheckpoint": Callback()},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 0.1}]}],
            "lr_schedulers": [],
            "hyper_parameters": Settings(lr=0.1),
        }
    )


def open_clip_checkpoint(model, path):
    entries = {"epoch": 3, "name": "run", "state_dict": under("module.", state_of(model)), "optimizer": trained()}
    torch.save(entries | {"scaler": {"scale": 65536.0, "_growth_tracker": 0}}, path)


def scripted(model, path, half=False):
    torch.jit.script(model.half() if half else model).save(str(path))
    model.float()


def traced(model, path):
    inputs = (torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long))
    torch.jit.trace(model, inputs, check_trace=False).save(str(path))


def ema(state):
    return {"epoch": 1, "state_dict": under("model.", state), "ema": under("model.", state)}


FILES = {
    "a state dict": saved(dict),
    "before PyTorch 1.6": lambda model, path: torch.save(state_of(model), path, _use_new_zipfile_serialization=False),
    "safetensors": lambda model, path: save_file(state_of(model), path),
    "half precision": saved(lambda state: {key: value.half() for key, value in state.items()}),
    "double precision": saved(lambda state: {key: value.double() for key, value in state.items()}),
    "open_clip's training": open_clip_checkpoint,
    "Lightning, model.": lightning("model."),
    "Lightning, clip_model.": lightning("clip_model."),
    "Lightning, net._orig_mod.": lightning("net._orig_mod."),
    "_orig_mod.": saved(lambda state: under("_orig_mod.", state)),
    "_orig_mod.module.": saved(lambda state: {"model": under("_orig_mod.module.", state)}),
    "compiled parts": saved(
        lambda state: {key.replace("transformer.", "transformer._orig_mod."): value for key, value in state.items()}
    ),
    "blocks in FSDP": saved(
        lambda state: {
            key.replace("resblocks.1.", "resblocks.1._checkpoint_wrapped_module._fsdp_wrapped_module."): value
            for key, value in state.items()
        }
    ),
    "module.model.": saved(lambda state: {"net": under("module.model.", state)}),
    "model_state_dict": saved(lambda state: {"model_state_dict": state, "loss": 0.3}),
    "a wrapper of no known name": saved(lambda state: {"a": {"b": {"c": under("what.ever.", state)}}, "step": 3}),
    "a dictionary of an unknown class": saved(lambda state: Settings(model=Settings(under("module.", state)))),
    "in a tuple": saved(lambda state: (state, 3)),
    "in a list": saved(lambda state: {"models": [under("module.", state)]}),
    "twice the same": saved(ema),
    "text tower under text.": saved(text_inside),
    "Hugging Face's names under clip.": saved(lambda state: {"model": under("clip.", hugging_face(state))}),
    "scale in a list": saved(lambda state: state | {"logit_scale": state["logit_scale"].reshape(1)}),
    "a whole module": lambda model, path: torch.save(model, path),
    "a whole module in a checkpoint": lambda model, path: torch.save({"model": model, "epoch": 1}, path),
    "OpenAI's archive": save_archive,
    "scripted by open_clip": scripted,
    "scripted in half precision": lambda model, path: scripted(model, path, half=True),
    "traced by open_clip": traced,
}


@pytest.fixture(scope="module")
def model():
    return make_clip()


@pytest.fixture(scope="module")
def fingerprint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "clip.pt"
    torch.save(model.state_dict(), path)
    return load_backbone(str(path)).fingerprint


def assert_same_features(backbone, model, within):
    torch.manual_seed(1)
    images, texts = torch.randn(2, 3, 32, 32), open_clip.SimpleTokenizer()(["a cat.", "two dogs."])
    with torch.no_grad():
        for ours, theirs in (
            (backbone.encode_images(images), model.encode_image(images)),
            (backbone.model.encode_text(texts), model.encode_text(texts)),
        ):
            assert (F.normalize(ours, dim=-1) - F.normalize(theirs, dim=-1)).abs().max() < within


@pytest.mark.parametrize("kind", FILES)
def test_the_same_network_in_any_file(kind, fingerprint, tmp_path, caplog):
    path = tmp_path / "clip.pt"
    FILES[kind](make_clip(), path)
    backbone = load_backbone(str(path))
    assert backbone.fingerprint == fingerprint
    assert backbone.assumed == {"activation", "heads"}
    backbone.check_student()
    assert_same_features(backbone, make_clip(), 1e-3 if "half" in kind or "archive" in kind else 1e-5)


NAMED = ["open_clip's training", "Lightning, net._orig_mod.", "text tower under text.", "scripted by open_clip"]


@pytest.mark.parametrize("kind", [*NAMED, "Hugging Face's names under clip.", "a whole module"])
@pytest.mark.parametrize("custom", [False, True])
def test_the_same_files_for_a_named_model(kind, custom, tmp_path):
    """As MODEL:FILE reads them; some of open_clip's models keep their text tower under text., whatever the file does."""
    source, path = make_clip(), tmp_path / "clip.pt"
    FILES[kind](source, path)
    target = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**SETTINGS, quick_gelu=True).eval()
    fill_from(target, path)
    images, texts = torch.randn(2, 3, 32, 32), open_clip.SimpleTokenizer()(["a cat.", "two dogs."])
    with torch.no_grad():
        assert torch.allclose(target.encode_image(images), source.encode_image(images), atol=1e-5)
        assert torch.allclose(target.encode_text(texts), source.encode_text(texts), atol=1e-5)


def test_a_named_model_and_a_file_of_custom_texts(tmp_path):
    path = tmp_path / "clip.pt"
    torch.jit.script(open_clip.CustomTextCLIP(**SETTINGS).eval()).save(str(path))
    assert load_backbone(str(path)).text_blocks == 2


FURTHER = {
    "classifier.weight": torch.ones(2, 2),
    "prompt_learner.ctx": torch.ones(4, 8),
    "attn_mask": torch.ones(77, 77),
    "input_resolution": torch.tensor(224),
    "text_model.embeddings.position_ids": torch.arange(77)[None],
}


def test_what_stands_beside_a_clip_is_named_in_one_line(model, fingerprint, tmp_path, caplog):
    path = tmp_path / "clip.pt"
    torch.save({"state_dict": under("model.", state_of(model)) | FURTHER, "optimizer": trained()}, path)
    with caplog.at_level(logging.INFO):
        assert load_backbone(str(path)).fingerprint == fingerprint
    lines = [line for line in caplog.messages if "clip.pt" in line and "does not say its" not in line]
    assert lines == [
        f"{path}: ignored beside the CLIP: optimizer.state; state_dict.attn_mask; state_dict.classifier.weight; "
        f"state_dict.input_resolution; state_dict.prompt_learner.ctx"
    ]


def without(*keys):
    return lambda state: {key: value for key, value in state.items() if key not in keys}


def changed(key, change):
    return lambda state: state | {key: change(state.get(key))}


REFUSED = {
    "no image projection": (
        without("visual.proj"),
        "is no complete CLIP: in OpenAI's layout it lacks visual.proj; for",
    ),
    "no tensor of a block": (
        without("transformer.resblocks.0.ln_1.weight", "transformer.resblocks.1.mlp.c_fc.bias"),
        "it lacks transformer.resblocks.0.ln_1.weight; transformer.resblocks.1.mlp.c_fc.bias; for",
    ),
    "no text tower": (
        lambda state: {"model": {key: value for key, value in state.items() if key.startswith("visual")}},
        r'under "model." it lacks positional_embedding; text_projection; logit_scale and \d+ more',
    ),
    "half of it in another dictionary": (
        lambda state: {
            "image": {key: value for key, value in state.items() if key.startswith("visual")},
            "text": {key: value for key, value in state.items() if not key.startswith("visual")},
        },
        'under "(image|text)." it lacks',
    ),
    "no tensor at all": (lambda state: {"epoch": 3}, "holds no tensors"),
    "another thing": (lambda state: {"fc.weight": torch.ones(2)}, "none of its tensors is named as those of a CLIP"),
    "learned prompts": (
        lambda state: {"state_dict": {"ctx": torch.ones(4, 8), "token_prefix": torch.ones(2, 1, 8)}},
        "it holds learned prompts, which a run takes by --model-dir; name the CLIP",
    ),
    "an adapter": (
        lambda state: {"base_model.model.q_proj.lora_A.weight": torch.ones(2, 8)},
        r"it holds an adapter, not what it adapts; merge it into its CLIP \(merge_and_unload of peft\)",
    ),
    "the same name behind a wrapper": (
        lambda state: without("ln_final.bias")(state) | {"a._orig_mod.x": torch.ones(1), "a.x": torch.ones(1)},
        "it lacks ln_final.bias",
    ),
    "two networks": (
        lambda state: {"state_dict": state, "ema": {key: value * 0.5 for key, value in state.items()}},
        r'holds 2 complete CLIPs, under "(ema|state_dict)." and "(ema|state_dict).".*save the one that you mean',
    ),
    "layer scale": (
        lambda state: state | {f"visual.transformer.resblocks.{i}.ls_1.gamma": torch.ones(128) for i in (0, 1)},
        "is of another network than a plain CLIP: its towers have visual.transformer.resblocks.0.ls_1.gamma; visual",
    ),
    "deep prompts": (
        changed("transformer.resblocks.1.VPT_shallow", lambda _: torch.ones(2, 64)),
        "its towers have transformer.resblocks.1.VPT_shallow",
    ),
    "images that are no square": (
        changed("visual.positional_embedding", lambda value: torch.cat([value, value[:2]])),
        "6 image patches make no square",
    ),
    "a text as long as a book": (
        changed("positional_embedding", lambda value: torch.zeros(5000, 64)),
        "is of texts of 5,000 tokens, expected at most 4,096",
    ),
    "positions of other images": (
        changed("visual.positional_embedding", lambda value: value[:, :64]),
        r"visual.positional_embedding is \(5, 64\), expected \(5, 128\)",
    ),
    "heads of no known width": (lambda state: make_clip(width=96).state_dict(), "96 channels are no heads of 64"),
    "whole numbers": (
        changed("visual.proj", lambda value: value.int()),
        "visual.proj is torch.int32, expected floating",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind, model, tmp_path):
    change, message = REFUSED[kind]
    path = tmp_path / "clip.pt"
    torch.save(change(state_of(model)), path)
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_other_mlps_and_resnets(tmp_path):
    for name, model in {
        "mlp": make_clip(mlp_ratio=2.7),
        "resnet": make_clip(width=64, layers=(1, 2, 1, 1), patch_size=None, image_size=64),
    }.items():
        torch.save(model.state_dict(), tmp_path / f"{name}.pt")
        loaded = load_backbone(str(tmp_path / f"{name}.pt")).model
        assert loaded.state_dict().keys() == model.state_dict().keys()
        assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())
        assert loaded.visual.image_size in (model.visual.image_size, 64)


def test_a_tensor_is_read_when_it_is_asked_for(model, tmp_path, monkeypatch):
    path = tmp_path / "clip.pt"
    open_clip_checkpoint(model, path)
    with opened_weights([path]) as weights:
        assert len(weights) > 3 * len(model.state_dict())
    read, own = [], TensorFile.tensor
    monkeypatch.setattr(TensorFile, "tensor", lambda self, note: read.append(note) or own(self, note))
    load_backbone(str(path))
    assert len(read) == len(model.state_dict())


# --- containers that would take for ever -----------------------------------------------------------------------------
def doubling(levels):
    node = {"x": torch.ones(1)}
    for _ in range(levels):
        node = {"a": node, "b": node}
    return node


def deep(levels):
    node = {"x": torch.ones(1)}
    for _ in range(levels):
        node = {"a": node}
    return node


@pytest.mark.parametrize(
    "content", [doubling(40), deep(80)], ids=["dictionaries held twice", "dictionaries in one another"]
)
def test_dictionaries_without_end(content, tmp_path):
    torch.save(content, tmp_path / "clip.pt")
    with pytest.raises(InputError, match="its dictionaries hold more than any checkpoint does"):
        load_backbone(str(tmp_path / "clip.pt"))


# --- open_clip's folders ---------------------------------------------------------------------------------------------
def write_open_clip_folder(folder, model, weights="open_clip_model.safetensors", **changes):
    folder.mkdir(exist_ok=True)
    settings = {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
    } | changes
    content = {"model_cfg": settings, "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / weights) if weights.endswith("safetensors") else torch.save(state, folder / weights)
    return folder


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin", "other.pt"])
def test_open_clips_folders(weights, model, fingerprint, tmp_path):
    folder = write_open_clip_folder(tmp_path / "model", model, weights)
    backbone = load_backbone(str(folder / weights if weights == "other.pt" else folder))
    assert backbone.fingerprint == fingerprint and not backbone.assumed
    assert (backbone.mean, backbone.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    other = write_open_clip_folder(tmp_path / "gelu", model, weights, quick_gelu=False)
    backbone = load_backbone(str(other / weights if weights == "other.pt" else other))
    assert backbone.fingerprint == fingerprint.replace("quickgelu", "gelu")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"embed_dim": 31}, r"does not fit the model: text_projection is \(64, 32\), expected \(64, 31\)"),
        ({"embed_dim": "x"}, "describes no CLIP of open_clip .TypeError"),
        ({"unheard_of": 3}, "describes no CLIP of open_clip .TypeError"),
        (
            {"vision_cfg": {"timm_model_name": "vit_base"}},
            'timm_model_name "vit_base", expected open_clip.s own towers',
        ),
        ({"text_cfg": {"hf_model_name": "bert"}}, 'hf_model_name "bert", expected open_clip.s own towers'),
        ({"text_cfg": None}, 'under "model_cfg", expected both towers'),
        ({"text_cfg": {"layers": 10**9}}, "has 1,000,000,000 layers, expected at most 341"),
        ({"text_cfg": {"width": 10**8, "layers": 2}}, "does not fit the model: .*100000000"),
        (
            {"text_cfg": {"context_length": 10**6, "layers": 2}},
            "is of texts of 1,000,000 tokens, expected at most 4,096",
        ),
    ],
)
def test_open_clips_folders_that_are_refused(changes, message, model, tmp_path):
    folder = write_open_clip_folder(tmp_path / "model", model, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(str(folder))
    assert "\n" not in str(caught.value)
