"""Hugging Face's CLIPModel as transformers itself saves it: the same features, whatever the sizes, and back again."""

import json
import shutil

import open_clip
import pytest
import torch
import torch.nn.functional as F

from caspl.clip.backbones import load_backbone
from caspl.clip.files.hugging_face import to_hugging_face
from caspl.ground.errors import InputError
from weight_files import make_clip

transformers = pytest.importorskip(
    "transformers", reason="what Hugging Face's library saves is not compared without it"
)

TEXT = dict(hidden_size=64, intermediate_size=150, num_hidden_layers=2, num_attention_heads=2)
VISION = dict(
    hidden_size=96, intermediate_size=200, num_hidden_layers=3, num_attention_heads=4, image_size=32, patch_size=8
)


def make(text=(), vision=(), **settings):
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config=TEXT | dict(text), vision_config=VISION | dict(vision), projection_dim=24, **settings
    )
    model = transformers.CLIPModel(config).eval().requires_grad_(False)
    for name, value in model.named_parameters():  # as they are made, they say nothing: zeros and ones
        if "bias" in name or "norm" in name:
            value.add_(torch.randn_like(value) * 0.1)
    return model


MODELS = {
    "unequal towers": {},
    "another mlp": dict(text=dict(intermediate_size=77), vision=dict(intermediate_size=131)),
    "gelu": dict(text=dict(hidden_act="gelu"), vision=dict(hidden_act="gelu")),
    "gelu in one tower": dict(vision=dict(hidden_act="gelu")),
    "tanh": dict(text=dict(hidden_act="gelu_pytorch_tanh"), vision=dict(hidden_act="gelu_new")),
    "relu": dict(text=dict(hidden_act="relu"), vision=dict(hidden_act="silu")),
    "another epsilon": dict(text=dict(layer_norm_eps=1e-3), vision=dict(layer_norm_eps=1e-2)),
    "[EOS] as once": dict(text=dict(eos_token_id=2)),
    "heads of 96": dict(vision=dict(num_attention_heads=1)),
    "a long context": dict(text=dict(max_position_embeddings=100)),
    "a border beyond the patches": dict(vision=dict(image_size=37)),
    "more tokens": dict(text=dict(vocab_size=49410)),
}


@pytest.fixture(scope="module")
def model():
    return make()


def save(model, folder, **how):
    model.save_pretrained(folder, **how)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size=32, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
    ).save_pretrained(folder)
    return str(folder)


def as_features(output):
    return F.normalize(output if isinstance(output, torch.Tensor) else output.pooler_output, dim=-1)


@torch.no_grad()
def assert_same_features(backbone, theirs, within=1e-5):
    torch.manual_seed(1)
    images = torch.randn(2, 3, *backbone.image_size)
    texts = backbone.tokenizer(["a photo of a cat.", "two dogs"])
    same = F.normalize(backbone.model.encode_text(texts), dim=-1) - as_features(theirs.get_text_features(texts))
    assert same.abs().max() < within
    same = backbone.image_features(images) - as_features(theirs.get_image_features(images))
    assert same.abs().max() < within
    scales = backbone.model.logit_scale, theirs.logit_scale
    assert torch.allclose(*scales, atol=within)


@pytest.mark.parametrize("kind", MODELS)
def test_a_folder(kind, tmp_path):
    theirs = make(**MODELS[kind])
    backbone = load_backbone(save(theirs, tmp_path))
    assert_same_features(backbone, theirs)
    assert not backbone.assumed
    assert (backbone.mean, backbone.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    backbone.check_student()
    there_and_back(backbone, theirs, tmp_path / "again")


def there_and_back(backbone, theirs, folder):
    """What is written is what `transformers` had, to the bit, and it is read back as the same network."""
    config, preprocessor, tensors = to_hugging_face(backbone.model, backbone.mean, backbone.std, backbone.name)
    expected = theirs.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    loaded = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    loaded.load_state_dict(tensors)
    assert_same_features(backbone, loaded)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    torch.save(tensors, folder / "pytorch_model.bin")
    again = load_backbone(str(folder))
    assert (again.fingerprint, again.mean, again.std) == (backbone.fingerprint, backbone.mean, backbone.std)


def sharded(model, folder):
    save(model, folder, max_shard_size="5MB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return str(folder)


def pickled(model, folder, name="pytorch_model.bin", half=False):
    save(model, folder)
    (folder / "model.safetensors").unlink()
    ids = {f"{tower}_model.embeddings.position_ids": torch.arange(77)[None] for tower in ("text", "vision")}
    state = {key: value.half() if half else value for key, value in model.state_dict().items()}
    torch.save(state | ids, folder / name)  # older versions of the library saved the positions, too
    return str(folder)


def pickled_in_shards(model, folder):
    pickled(model, folder)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    places = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(state)}
    for place in set(places.values()):
        torch.save({name: value for name, value in state.items() if places[name] == place}, folder / place)
    (folder / "pytorch_model.bin").unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return str(folder)


def one_file(model, folder):
    return save(model, folder) + "/model.safetensors"


def old_configuration(model, folder):
    """As versions before 4.27 wrote it: towers under other keys, too, and defaults left out."""
    save(model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vision_config_dict"] = config.pop("vision_config")
    config["vision_config"] = {"hidden_size": 1, "hidden_act": "gelu"}
    for key in ("layer_norm_eps", "max_position_embeddings", "vocab_size", "hidden_act", "eos_token_id"):
        config["text_config"].pop(key)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


CONTAINERS = {
    "shards": sharded,
    "a pickle": pickled,
    "a pickle in half precision": lambda model, folder: pickled(model, folder, half=True),
    "pickles in shards": pickled_in_shards,
    "one file": one_file,
    "one pickle of another name": lambda model, folder: pickled(model, folder, "x.pt") + "/x.pt",
    "an old configuration": old_configuration,
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_same_network_in_any_container(kind, model, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "other").mkdir()
    backbone = load_backbone(CONTAINERS[kind](model, tmp_path / "other"))
    assert backbone.fingerprint == load_backbone(save(model, tmp_path / "plain")).fingerprint
    assert_same_features(backbone, model, 1e-3 if "half" in kind else 1e-5)


def test_without_its_configuration_what_is_assumed_is_said(tmp_path):
    theirs = make(text=dict(num_attention_heads=1), vision=dict(hidden_size=128, num_attention_heads=2))
    path = tmp_path / "model" / "model.safetensors"
    save(theirs, tmp_path / "model")
    known = load_backbone(str(path))
    shutil.move(path, tmp_path / "alone.safetensors")
    alone = load_backbone(str(tmp_path / "alone.safetensors"))
    assert (known.assumed, alone.assumed) == (frozenset(), {"activation", "heads"})
    assert alone.fingerprint == known.fingerprint  # of this model it is right
    assert_same_features(alone, theirs)


def test_openais_weights_as_hugging_face_converts_them(tmp_path):
    """Their conversion of OpenAI's files is the same network as the file."""
    ours = make_clip()
    torch.save(ours.state_dict(), tmp_path / "clip.pt")
    plain = load_backbone(str(tmp_path / "clip.pt"))
    config, _, tensors = to_hugging_face(ours, plain.mean, plain.std, "x")
    theirs = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    theirs.load_state_dict(tensors)
    (tmp_path / "folder").mkdir()
    backbone = load_backbone(save(theirs, tmp_path / "folder"))
    assert backbone.fingerprint == plain.fingerprint
    assert_same_features(backbone, theirs)


@pytest.mark.parametrize(
    "text, vision",
    [
        (dict(hidden_act="gelu"), {}),
        (dict(num_attention_heads=4), {}),
        ({}, dict(num_attention_heads=2)),
        ({}, dict(hidden_act="gelu")),
        (dict(layer_norm_eps=1e-6), {}),
        ({}, dict(layer_norm_eps=1e-3)),
    ],
)
def test_another_network_of_the_same_weights(text, vision, model, tmp_path):
    for name, (more_text, more_vision) in {"a": ({}, {}), "b": (text, vision)}.items():
        (tmp_path / name).mkdir()
        save(model, tmp_path / name)
        config = json.loads((tmp_path / name / "config.json").read_text())
        config["text_config"] |= more_text
        config["vision_config"] |= more_vision
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    a, b = (load_backbone(str(tmp_path / name)).fingerprint for name in "ab")
    assert a.split("/")[0] == b.split("/")[0] and a != b


def setting(**changes):
    """A change of config.json: `text_hidden_size=3` is in the tower's own part."""

    def change(config):
        for key, value in changes.items():
            tower, _, inner = key.partition("__")
            if inner:
                config[f"{tower}_config"][inner] = value
            else:
                config[key] = value
        return config

    return change


WRONG = {
    "SigLIP": (
        setting(model_type="siglip", architectures=["SiglipModel"]),
        'is of a "SiglipModel" .model_type "siglip"',
    ),
    "CLIPSeg": (setting(model_type="clipseg", architectures=["CLIPSegModel"]), 'is of a "CLIPSegModel"'),
    "one tower": (setting(model_type="clip_vision_model", architectures=None), 'model_type "clip_vision_model"'),
    "no type": (setting(model_type=None, architectures=[]), "expected a CLIPModel with both towers"),
    "another tokenizer": (setting(text__eos_token_id=102), "has eos_token_id 102, expected 49407"),
    "another activation": (
        setting(vision__hidden_act="xielu"),
        'hidden_act "xielu" in vision_config, expected one of quick',
    ),
    "no activation": (setting(text__hidden_act=["gelu"]), r'hidden_act \["gelu"\] in text_config'),
    "heads that do not divide": (setting(vision__num_attention_heads=7), "can't have 7 heads in its image tower of 96"),
    "no heads": (
        setting(vision__num_attention_heads=0),
        "num_attention_heads 0 in vision_config, expected a whole number",
    ),
    "heads in words": (setting(text__num_attention_heads="two"), 'num_attention_heads "two" in text_config'),
    "epsilon": (setting(text__layer_norm_eps=0), "layer_norm_eps 0 in text_config, expected a number between"),
    "other widths": (setting(text__hidden_size=128), "does not fit its configuration: text_width is 64, expected 128"),
    "other mlps": (setting(vision__intermediate_size=300), "vision_mlp is 200, expected 300"),
    "other layers": (setting(vision__num_hidden_layers=2), "vision_layers is 3, expected 2"),
    "other patches": (setting(vision__patch_size=16), "patch_size is 8, expected 16"),
    "another image size": (setting(vision__image_size=64), r"positional_embedding is \(17, 96\), expected \(65, 96\)"),
    "oblong images": (
        setting(vision__image_size=[32, 64]),
        r"image_size \[32, 64\] in vision_config, expected a whole",
    ),
    "an absurd image size": (setting(vision__image_size=2**20), "does not fit the model|make no sense"),
    "another projection": (setting(projection_dim=25), "embed_dim is 24, expected 25"),
    "no tower": (setting(text_config="x"), 'has "x" under text_config'),
    "a list": (lambda config: [config], "holds .* expected settings by name"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_configurations_that_are_refused(kind, model, tmp_path):
    change, message = WRONG[kind]
    save(model, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    for name in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(InputError, match=message) as caught:
            load_backbone(str(name))
        assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_configuration_without_its_type(model, tmp_path):
    save(model, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(setting(model_type=None)(json.loads(path.read_text()))))
    assert_same_features(load_backbone(str(tmp_path)), model)


def test_parts_of_a_model(model, tmp_path):
    save(model, tmp_path, max_shard_size="100KB")
    first, second, *_ = sorted(tmp_path.glob("model-*.safetensors"))
    with pytest.raises(InputError, match="it is one of \\d+ in which a model lies: name their folder"):
        load_backbone(str(first))
    with pytest.raises(InputError, match="JSON; where it lies beside a model, name their folder"):
        load_backbone(str(tmp_path / "model.safetensors.index.json"))
    second.unlink()
    with pytest.raises(InputError, match=f"no weight file at {second}, one of \\d+ in which the model lies; fetch it"):
        load_backbone(str(tmp_path))


def test_models_of_one_tower_are_refused(tmp_path):
    config = make().config
    kinds = {
        "vision": (transformers.CLIPVisionModelWithProjection, config.vision_config, "lacks .*text"),
        "text": (transformers.CLIPTextModelWithProjection, config.text_config, "lacks .*vision|lacks .*visual"),
    }
    for name, (kind, settings, message) in kinds.items():
        kind(settings).save_pretrained(tmp_path / name)
        with pytest.raises(InputError, match="expected a CLIPModel with both towers"):
            load_backbone(str(tmp_path / name))
        (tmp_path / name / "config.json").unlink()
        with pytest.raises(InputError, match=message):
            load_backbone(str(tmp_path / name / "model.safetensors"))


@pytest.mark.parametrize(
    "places, message",
    [
        (
            {"logit_scale": "../model.safetensors"},
            'names the file "../model.safetensors", expected one in the same folder',
        ),
        ({"logit_scale": "/etc/passwd"}, 'names the file "/etc/passwd"'),
        ({"logit_scale": "..\\model.safetensors"}, "names the file"),
        ({"logit_scale": "C:model.safetensors"}, "names the file"),
        ({"logit_scale": ".."}, "names the file"),
        ({"logit_scale": ""}, "names the file"),
        ({"logit_scale": "a/b.safetensors"}, "names the file"),
        ({"logit_scale": 3}, "has no .weight_map."),
        ({}, "has no .weight_map."),
        (["x"], "has no .weight_map."),
        ({"logit_scale": "gone.safetensors"}, "no weight file at .*gone.safetensors"),
    ],
)
def test_an_index_names_files_beside_it(places, message, model, tmp_path):
    folder = tmp_path / "model"
    save(model, folder)
    shutil.move(folder / "model.safetensors", tmp_path / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(InputError, match=message):
        load_backbone(str(folder))


@pytest.mark.parametrize("text", ["", "{", '{"weight_map": {}, "weight_map": {}}', "[" * 100_000, "null"])
def test_broken_configurations(text, model, tmp_path):
    save(model, tmp_path)
    for name in ("preprocessor_config.json", "config.json"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=f"{name} (cannot be read|holds null, expected settings)") as caught:
            load_backbone(str(tmp_path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, mean, std",
    [
        ({"do_normalize": False}, (0.0,) * 3, (1.0,) * 3),
        ({"image_mean": None, "image_std": None}, open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
    ],
)
def test_how_images_are_normalised(change, mean, std, model, tmp_path):
    save(model, tmp_path)
    path = tmp_path / "preprocessor_config.json"
    content = {key: value for key, value in (json.loads(path.read_text()) | change).items() if value is not None}
    for stored in (content, {"image_processor": content}):  # the second is a processor's of newer versions
        path.write_text(json.dumps(stored))
        backbone = load_backbone(str(tmp_path))
        assert (backbone.mean, backbone.std) == (mean, std)
        path.unlink()
        path = tmp_path / "processor_config.json"


@pytest.mark.parametrize("size, told", [(32, None), (64, "64"), ({"height": 64, "width": [3]}, "height"), ([], "[]")])
def test_a_preprocessor_of_other_images_is_told(size, told, model, tmp_path, caplog):
    save(model, tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"crop_size": size}))
    with caplog.at_level("INFO"):
        assert load_backbone(str(tmp_path)).image_size == (32, 32)
    lines = [line for line in caplog.messages if "images of 32 pixels, as its config.json says" in line]
    assert len(lines) == bool(told) and all(told in line for line in lines)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(layers=(1, 1, 1, 1), patch_size=None, image_size=64, width=64), "whose image tower is a ModifiedResNet"),
        (dict(no_ln_pre=True), "its mask or its poolings are not those of CLIP"),
        (dict(pool_type="avg"), "its mask or its poolings are not those of CLIP"),
        (dict(ls_init_value=0.1), "no place for visual.transformer.resblocks.0.ls_1.gamma"),
        (dict(image_size=(32, 64)), "32 x 64, are not square"),
    ],
)
def test_networks_that_are_no_clip_model(settings, message):
    with pytest.raises(InputError, match=f"tiny can't be a CLIPModel of transformers.*{message}"):
        to_hugging_face(make_clip(**settings), (0.5,) * 3, (0.5,) * 3, "tiny")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "ViT-L-14"])
def test_true_shapes(name, tmp_path):
    """Of ViT-B/16, and of ViT-L/14 with GELU: in, out, and in again."""
    torch.manual_seed(0)
    model = open_clip.create_model(name, pretrained=None, load_weights=False).eval().requires_grad_(False)
    config, _, tensors = to_hugging_face(model, (0.5,) * 3, (0.5,) * 3, name)
    theirs = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    theirs.load_state_dict(tensors, assign=True)
    del tensors
    theirs.save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path))
    assert_same_features(backbone, theirs)
    assert torch.equal(backbone.model.visual.proj, model.visual.proj)
