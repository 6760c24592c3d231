"""`hf:org/name`: only what a CLIPModel needs is fetched, once, and a repository that is none is one sentence."""

import io
import json

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from caspl.clip.backbones import load_backbone
from caspl.clip.files.hugging_face import to_hugging_face
from caspl.clip.models import is_known
from caspl.ground.errors import InputError
from little_hub import COMMIT, of_its_own, serving
from weight_files import make_clip

NAME = "labs/clip"
BESIDE = {"README.md": b"", "tf_model.h5": b"x" * 99, "optimizer.pt": b"x" * 99, "open_clip_config.json": b"{}"}


@pytest.fixture(scope="module")
def content():
    """The files of a repository, and the fingerprint of its network."""
    config, preprocessor, tensors = to_hugging_face(make_clip(), (0.5,) * 3, (0.4,) * 3, "x")
    half = len(tensors) // 2
    shards = {"a.safetensors": dict(list(tensors.items())[:half]), "b.safetensors": dict(list(tensors.items())[half:])}
    index = {"weight_map": {name: shard for shard, part in shards.items() for name in part}}
    return {
        "config.json": json.dumps(config).encode(),
        "preprocessor_config.json": json.dumps(preprocessor).encode(),
        "model.safetensors": save(tensors),
        "model.safetensors.index.json": json.dumps(index).encode(),
        **{name: save(part) for name, part in shards.items()},
    }


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    return of_its_own(tmp_path / "home", monkeypatch)


@pytest.fixture
def server(monkeypatch):
    with serving(monkeypatch) as server:
        yield server


def fetched(server):
    return [path.rpartition("/")[2] for method, path in server.requests if method == "GET" and path.count("/") > 3]


WHOLE = ("config.json", "preprocessor_config.json", "model.safetensors")
SHARDED = ("config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors")


@pytest.mark.parametrize("files", [WHOLE, SHARDED], ids=["whole", "in shards"])
@pytest.mark.parametrize("revision", ["", "@v1", f"@{COMMIT}"])
def test_only_what_is_needed_is_fetched_and_only_once(files, revision, content, server, home):
    server.add(NAME, {name: content[name] for name in files} | BESIDE)
    backbone = load_backbone(f"hf:{NAME}{revision}")
    assert backbone.fingerprint.endswith("/quickgelu/1+2/32x32") and not backbone.assumed
    assert backbone.std == ((0.4,) * 3 if files == WHOLE else backbone.std)
    assert sorted(set(fetched(server)) & {*BESIDE, *content}) == sorted(files)
    server.requests.clear()
    assert load_backbone(f"hf:{NAME}{revision}").fingerprint == backbone.fingerprint
    assert not set(fetched(server)) & {*BESIDE, *content}
    constants.HF_HUB_OFFLINE = True
    assert load_backbone(f"hf:{NAME}{revision}").fingerprint == backbone.fingerprint


def test_the_hub_may_be_down(content, server):
    server.add(NAME, {name: content[name] for name in WHOLE})
    first = load_backbone(f"hf:{NAME}").fingerprint
    server.down = True
    assert load_backbone(f"hf:{NAME}").fingerprint == first


CLIP = json.dumps({"model_type": "clip"}).encode()
SIGLIP = json.dumps({"model_type": "siglip", "architectures": ["SiglipModel"]}).encode()
OUTSIDE = json.dumps({"weight_map": {"logit_scale": "../../../../secret"}}).encode()


@pytest.mark.parametrize(
    "name, files, message",
    [
        ("hf:org", {}, '"hf:org" names no repository of the Hub; expected hf:org/name or hf:org/name@revision'),
        ("hf:", {}, '"hf:" names no repository'),
        ("hf:../../etc/passwd", {}, "names no repository"),
        ("hf:labs/none", {}, "no repository labs/none"),
        (f"hf:{NAME}@v9", WHOLE, 'has no revision "v9"'),
        (
            f"hf:{NAME}",
            {"config.json": SIGLIP},
            'config.json of labs/clip is of a "SiglipModel" .*expected a CLIPModel',
        ),
        (f"hf:{NAME}", (), "labs/clip has no config.json, expected a CLIPModel .* is written hf-hub:labs/clip"),
        (f"hf:{NAME}", ("config.json",), "labs/clip has no weights, expected model.safetensors or pytorch_model.bin"),
        (f"hf:{NAME}", SHARDED[:3], "labs/clip has no b.safetensors, which its model.safetensors.index.json names"),
        (f"hf:{NAME}", {"config.json": CLIP, "model.safetensors.index.json": OUTSIDE}, "names the file .*same folder"),
    ],
)
def test_repositories_that_are_refused(name, files, message, content, server):
    server.add(NAME, files if isinstance(files, dict) else {file: content[file] for file in files})
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(name)
    assert "\n" not in str(caught.value)


def test_without_network(content, server):
    server.add(NAME, {name: content[name] for name in WHOLE})
    constants.HF_HUB_OFFLINE = True
    with pytest.raises(InputError, match=f"hf:{NAME} is not in the cache .*unset HF_HUB_OFFLINE"):
        load_backbone(f"hf:{NAME}")


def test_a_file_may_name_a_folder_here_and_no_repository(content, tmp_path):
    for name in WHOLE:
        (tmp_path / name).write_bytes(content[name])
    assert is_known(str(tmp_path)) and not is_known(f"hf:{NAME}") and not is_known(str(tmp_path.parent))


def test_a_pickle_of_the_hub_runs_nothing(content, server):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('code was run')",))

    stream = io.BytesIO()
    torch.save({"logit_scale": Bomb()}, stream)
    server.add(NAME, {"config.json": content["config.json"], "pytorch_model.bin": stream.getvalue()})
    with pytest.raises(InputError, match="holds no tensors that can be read without running code"):
        load_backbone(f"hf:{NAME}")
