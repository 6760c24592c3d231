"""SplitDataset as a whole, on a small dataset: from the root folder to Dassl's lists."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from dassl.data.datasets import DATASET_REGISTRY

from caspl.datasets.files import storage
from caspl.datasets.files.keys import class_subset
from caspl.datasets.files.registry import register
from caspl.ground.errors import InputError


def lists(dataset) -> list[list[tuple]]:
    return [
        [(os.path.relpath(item.impath, dataset.image_dir), item.label, item.classname) for item in items]
        for items in (dataset.train_x, dataset.val, dataset.test)
    ]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "images" not in path.parts}


def test_split_is_made_once_and_then_read(tmp_path, toy, make_cfg, caplog):
    folder = toy.write(tmp_path)
    random.seed(1)
    made = toy(make_cfg(tmp_path))
    assert [len(items) for items in lists(made)] == [20, 8, 12]
    assert (made.num_classes, made.classnames) == (4, ["ant", "bee", "cat", "dog"])
    assert "is NOT the published split: results are not comparable" in caplog.text
    assert f"Saved split to {folder}/split_zhou_Toy.json" in caplog.messages
    caplog.clear()
    assert lists(toy(make_cfg(tmp_path))) == lists(made)
    assert caplog.messages == [f"Reading split from {folder}/split_zhou_Toy.json"]


def test_fewshot_lists_do_not_depend_on_the_split_being_new(tmp_path, toy, make_cfg):
    folder = toy.write(tmp_path)
    new = lists(toy(make_cfg(tmp_path, shots=2)))
    for path in (folder / "split_fewshot").iterdir():
        path.unlink()
    assert lists(toy(make_cfg(tmp_path, shots=2))) == new


def test_nothing_is_written_without_need(tmp_path, toy, make_cfg):
    folder = toy.write(tmp_path)
    toy(make_cfg(tmp_path, shots=2))
    (folder / ".caspl.lock").unlink(missing_ok=True)
    toy(make_cfg(tmp_path))
    toy(make_cfg(tmp_path, shots=2, subset="new"))
    toy(make_cfg(tmp_path, shots=2, seed=-1))
    assert files(folder) == {"split_zhou_Toy.json", "split_fewshot", "split_fewshot/shot_2-seed_1.json"}


def test_subsets_share_one_draw(tmp_path, toy, make_cfg):
    toy.write(tmp_path)
    every, base, new = (lists(toy(make_cfg(tmp_path, shots=2, subset=subset))) for subset in ("all", "base", "new"))
    assert base == [[item for item in items if item[1] < 2] for items in every]
    assert new == [[(path, label - 2, name) for path, label, name in items if label >= 2] for items in every]
    assert toy(make_cfg(tmp_path, subset="new")).classnames == ["cat", "dog"]


def test_moved_folder_keeps_working(tmp_path, toy, make_cfg, caplog):
    toy.write(tmp_path / "here")
    before = toy(make_cfg(tmp_path / "here", shots=2))
    (tmp_path / "here").rename(tmp_path / "there")
    caplog.clear()
    after = toy(make_cfg(tmp_path / "there", shots=2))
    assert lists(after) == lists(before)
    assert after.train_x[0].impath.startswith(str(tmp_path / "there"))
    assert any(message.startswith("Loading preprocessed") for message in caplog.messages)
    for path in (tmp_path / "there").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()


def test_changed_split_redraws(tmp_path, toy, make_cfg, caplog):
    folder = toy.write(tmp_path)
    toy(make_cfg(tmp_path, shots=2))
    path = folder / "split_zhou_Toy.json"
    split = json.loads(path.read_text())
    split["train"].reverse()
    path.write_text(json.dumps(split))
    toy(make_cfg(tmp_path, shots=2))
    assert "drawn anew: it was drawn from another split" in caplog.text


def test_read_only_folder(tmp_path, toy, make_cfg, monkeypatch, caplog):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    folder = toy.write(tmp_path)
    monkeypatch.setattr(storage, "replacing", refuse)
    monkeypatch.setattr(os, "open", refuse)
    for _ in range(2):
        random.seed(1)
        dataset = toy(make_cfg(tmp_path, shots=2, subset="base"))
        assert [len(items) for items in lists(dataset)] == [4, 4, 6]
    assert sum("cannot be written to (Permission denied)" in message for message in caplog.messages) == 1
    assert files(folder) == set()


def test_home_and_relative_roots(tmp_path, toy, make_cfg, monkeypatch):
    toy.write(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for root in ("~/data", "data"):
        assert toy(make_cfg(root)).dataset_dir == str(tmp_path / "data" / "toy-set")


# --- mistakes --------------------------------------------------------------------------------------------------------
def test_root_errors(tmp_path, toy, make_cfg):
    with pytest.raises(InputError, match=r"DATASET\.ROOT is empty, expected the folder that holds.*; pass --root DATA"):
        toy(make_cfg(""))
    with pytest.raises(InputError, match=r"the root .*nowhere is not a folder, expected .*toy-set/; correct --root"):
        toy(make_cfg(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"dataset folder .*/toy-set is missing, expected it in the root; extract"):
        toy(make_cfg(tmp_path))


def test_root_on_the_wrong_level(tmp_path, toy, make_cfg):
    folder = toy.write(tmp_path / "data")
    with pytest.raises(InputError, match=rf"one level too low, .* the dataset itself; pass --root {tmp_path}/data$"):
        toy(make_cfg(folder))
    with pytest.raises(InputError, match=rf"level too high, the folder lies in data/; pass --root {tmp_path}/data$"):
        toy(make_cfg(tmp_path))
    folder.rename(tmp_path / "data" / "other")
    with pytest.raises(InputError, match=r"too low, .*other looks like the dataset itself; rename it to toy-set"):
        toy(make_cfg(tmp_path / "data" / "other"))
    (tmp_path / "data" / "other").rename(tmp_path / "data" / "ToySet")
    with pytest.raises(InputError, match="toy-set is missing, found ToySet/, expected toy-set/; rename it"):
        toy(make_cfg(tmp_path / "data"))


def test_split_that_cannot_be_made(tmp_path, toy, make_cfg):
    folder = toy.write(tmp_path)

    class Plain(toy):
        make_split = toy.__mro__[1].make_split

    with pytest.raises(InputError, match=rf"split file .*split_zhou_Toy.json is missing, and Plain .*into {folder}"):
        Plain(make_cfg(tmp_path))
    assert not (folder / "split_zhou_Toy.json").exists()


def test_missing_images_are_one_sentence(tmp_path, toy, make_cfg):
    folder = toy.write(tmp_path)
    toy(make_cfg(tmp_path))
    for path in (folder / "images" / "dog").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"^10 of the 40 images that the split lists are missing, the first is .*dog/"):
        toy(make_cfg(tmp_path))


def test_wrong_subset_names_the_key(tmp_path, toy, make_cfg):
    toy.write(tmp_path)
    with pytest.raises(InputError, match=r"DATASET\.SUBSAMPLE_CLASSES is 'old', expected all, base or new"):
        toy(make_cfg(tmp_path, subset="old"))


# --- hosts -----------------------------------------------------------------------------------------------------------
def test_host_without_the_extra_key():
    assert class_subset(SimpleNamespace(DATASET=SimpleNamespace())) == "all"


def test_the_hosts_dataset_stays(monkeypatch):
    monkeypatch.setattr(DATASET_REGISTRY, "_obj_map", dict(DATASET_REGISTRY._obj_map))
    host = register(type("OxfordAnts", (), {}))
    ours = register(type("OxfordAnts", (), {}))
    assert ours is not host
    assert DATASET_REGISTRY.get("OxfordAnts") is host
