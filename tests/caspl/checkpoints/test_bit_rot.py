"""One changed bit in a file is seen, or changes nothing: model files, records, the feature store."""

import json
import random
import re
from dataclasses import asdict

import pytest
import torch
from dassl.utils import load_checkpoint, save_checkpoint
from safetensors.torch import save_file

from attack.damage import flipped
from boosting_files import make_boosting, make_header
from caspl.checkpoints.family import read_checkpoint
from caspl.checkpoints.headers import BoostingHeader, read_header
from caspl.checkpoints.record import read_record, write_record
from caspl.clip.feature_store import FeatureStore
from caspl.ground.errors import InputError
from caspl.ground.tensors.checksum import checksum


def model_file(folder):
    torch.manual_seed(0)
    optimizer = {"state": {0: {"momentum_buffer": torch.randn(3, 4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    state = {"state_dict": {"ctx": torch.randn(3, 4)}, "epoch": 3, "optimizer": optimizer, "val_result": 81.5}
    save_checkpoint(state, str(folder))
    return folder / "model.pth.tar-3"


def record(folder):
    prompts = make_boosting()
    write_record(folder / "boosting.safetensors", make_header(prompts), dict(prompts.named_parameters()))
    return folder / "boosting.safetensors"


def whole_record(path):
    header, tensors = read_record(path, BoostingHeader)
    return {"header": asdict(header), "tensors": tensors}


FILES = {
    "model file, by dassl": (model_file, load_checkpoint),
    "model file, by caspl": (model_file, read_checkpoint),
    "record": (record, whole_record),
    "header of a record": (record, lambda path: asdict(read_header(path, BoostingHeader))),
}


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits(name, tmp_path):
    make, read = FILES[name]
    path = make(tmp_path)
    content, written = path.read_bytes(), read(path)
    bits = random.Random(0).sample(range(8 * len(content)), 200)
    refused = 0
    for bit in bits:
        path.write_bytes(flipped(content, bit))
        try:
            found = read(path)
        except InputError as error:
            assert path.name in str(error) and "\n" not in str(error)
            refused += 1
            continue
        if isinstance(found, dict):  # else the pickle ended early, and whoever asked for entries finds none
            # a changed name of the checksum's own entry leaves one more entry, and all others as they were
            assert checksum({key: found.get(key) for key in written}) == checksum(written)
    assert refused > (150 if "record" in name else 80)


@pytest.mark.parametrize("make", [model_file, record])
def test_equal_content_is_the_same_file(make, tmp_path):
    first = make(tmp_path / "a").read_bytes()
    assert make(tmp_path / "b").read_bytes() == first


def test_a_file_of_upstream_has_no_checksum_and_is_read(tmp_path):
    path = model_file(tmp_path)
    content = torch.load(path, weights_only=True)
    assert content.pop("checksum") == checksum(content)
    content["epoch"] = 4
    torch.save(content, path)
    assert load_checkpoint(path)["epoch"] == read_checkpoint(path)["epoch"] == 4
    torch.save({**content, "checksum": "0" * 64}, path)
    for read in (load_checkpoint, read_checkpoint):
        with pytest.raises(
            InputError, match="tar-3 is cut short, damaged .*not what was written, as its checksum says"
        ):
            read(path)


def test_features_of_a_damaged_store_are_computed_again(tmp_path, caplog):
    image, store = tmp_path / "image.png", FeatureStore(tmp_path / "store")
    image.write_text("x")
    features = torch.nn.functional.normalize(torch.randn(1, 4, generator=torch.Generator().manual_seed(0)))
    asked = []

    def get():
        return store.get({"network": "x"}, [str(image)], lambda: asked.append(1) or features)

    get()
    (path,) = (tmp_path / "store").iterdir()
    good = path.read_bytes()
    changed = bytearray(good)
    changed[-2] ^= 1
    nan = good[:-4] + b"\xff\xff\xff\x7f"
    for number, content in enumerate((bytes(changed), nan, good[:-4], b"", b"\xff" * 64), start=2):
        path.write_bytes(content)
        assert torch.equal(get(), features) and len(asked) == number
        assert "is damaged and will be replaced" in caplog.text
        caplog.clear()
        assert path.read_bytes() == good
    assert torch.equal(get(), features) and len(asked) == 6


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        (torch.full((1, 4), float("nan")), "has nan"),
        (torch.full((1, 4), 7.0), "has 7, expected finite numbers of at most 1.01"),
        (torch.zeros(2, 4), r"it has the shape \(2, 4\), expected 1 rows"),
        (torch.zeros(1), "it has the shape"),
        (torch.zeros(1, 4, dtype=torch.int32), "is int32"),
    ],
)
def test_stores_without_a_checksum_are_looked_at(features, problem, tmp_path, caplog):
    image, store = tmp_path / "image.png", FeatureStore(tmp_path / "store")
    image.write_text("x")
    store.get({}, [str(image)], lambda: torch.ones(1, 4) / 2)
    (path,) = (tmp_path / "store").iterdir()
    save_file({"features": features}, path, metadata={"facts": json.dumps({})})
    assert torch.equal(store.get({}, [str(image)], lambda: torch.ones(1, 4) / 2), torch.ones(1, 4) / 2)
    assert re.search(f"is damaged and will be replaced .*{problem}", caplog.text)
