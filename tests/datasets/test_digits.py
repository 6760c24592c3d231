"""The digits of scikit-learn: files, split, several processes at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace as Namespace

import numpy as np
import pytest
from dassl.data.datasets import DATASET_REGISTRY
from PIL import Image
from sklearn.datasets import load_digits

import caspl.datasets.digits as digits_module
from caspl.datasets.digits import NAMES, Digits
from caspl.datasets.splits.split_file import read_split
from caspl.ground import files
from caspl.ground.errors import InputError
from forked import at_once, exit_status

SPLIT_SHA256 = "16723e51f41355c54a0be0b6a6bf84a086703f69a0e416d2996ac40fa9135ddf"  # pins the test images of every run
LEFTOVERS = {".caspl.lock"}  # the one hidden file that may stay


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A root with the digits in it, made once; tests that change files use their own."""
    root = tmp_path_factory.mktemp("data") / "new"
    digits_module.Digits.locate(object.__new__(Digits), str(root))
    return root


def hidden(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob(".*")}


def test_registered():
    assert DATASET_REGISTRY.get("Digits").__name__ == "Digits"


def test_images_equal_sklearns(root):
    data = load_digits()
    paths = sorted((root / "digits" / "images").rglob("*.png"), key=lambda path: path.name)
    assert len(paths) == 1797
    for index, path in enumerate(paths):
        assert (path.name, path.parent.name) == (f"{index:04d}.png", NAMES[data.target[index]])
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((8, 8), "L")
            np.testing.assert_array_equal(np.asarray(image), np.rint(data.images[index] * 255 / 16))


def test_split(root, make_cfg, caplog):
    dataset = Digits(make_cfg(root))
    assert (len(dataset.train_x), len(dataset.val), len(dataset.test)) == (898, 359, 540)
    assert dataset.classnames == list(NAMES)
    assert "NOT the published" not in caplog.text
    seen = [item.impath for items in (dataset.train_x, dataset.val, dataset.test) for item in items]
    assert len(set(seen)) == 1797
    for items in (dataset.train_x, dataset.val, dataset.test):
        assert all(Path(item.impath).parent.name == item.classname == NAMES[item.label] for item in items)


def test_split_is_the_same_for_every_seed(root, make_cfg):
    path = root / "digits" / "split_zhou_Digits.json"
    for seed in (1, 2, -1):
        path.unlink(missing_ok=True)
        Digits(make_cfg(root, seed=seed))
        assert hashlib.sha256(path.read_bytes()).hexdigest() == SPLIT_SHA256


def test_base_and_new(root, make_cfg):
    base, new = (Digits(make_cfg(root, shots=16, subset=subset)) for subset in ("base", "new"))
    assert (base.classnames, new.classnames) == (list(NAMES[:5]), list(NAMES[5:]))
    assert (len(base.train_x), len(base.val), len(new.train_x), len(new.val)) == (80, 20, 80, 20)
    assert len(base.test) + len(new.test) == 540


def test_incomplete_images(tmp_path, make_cfg):
    Digits(make_cfg(tmp_path))
    folder = tmp_path / "digits" / "images"
    next((folder / "three").iterdir()).unlink()
    with pytest.raises(InputError, match=rf"{folder} holds 1,796 PNG images, expected 1,797; delete that folder"):
        Digits(make_cfg(tmp_path))


def test_root_errors(tmp_path, make_cfg):
    with pytest.raises(InputError, match=r"DATASET\.ROOT is empty.*pass --root DATA"):
        Digits(make_cfg(""))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written to .*file/digits \(Not a directory\).*another --root"):
        Digits(make_cfg(tmp_path / "file"))


def test_nothing_stays_of_a_failed_write(tmp_path, make_cfg, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(digits_module.Image.Image, "save", full)
        with pytest.raises(InputError, match=r"cannot be written to .* \(No space left on device\)"):
            Digits(make_cfg(tmp_path))
    assert not (tmp_path / "digits" / "images").exists()
    assert hidden(tmp_path) <= LEFTOVERS
    assert len(Digits(make_cfg(tmp_path)).test) == 540


def test_same_images_of_a_run_without_lock_are_fine(tmp_path, root, monkeypatch):
    """Where no lock can be had, another run may have put the images in place between our check and our rename."""
    rename = os.rename

    def late(source: str, target: str) -> None:
        shutil.copytree(root / "digits" / "images", target)
        rename(source, target)

    (tmp_path / "digits").mkdir()
    monkeypatch.setattr(digits_module.os, "rename", late)
    digits_module.write_images(str(tmp_path / "digits" / "images"), alone=False)
    assert hidden(tmp_path) == set()
    assert len(list(tmp_path.rglob("*.png"))) == 1797


# --- several processes -----------------------------------------------------------------------------------------------
def configured(root: Path) -> Namespace:
    return Namespace(DATASET=Namespace(ROOT=str(root), NUM_SHOTS=16, SUBSAMPLE_CLASSES="all"), SEED=1)


def prepare(root: Path) -> str:
    """Of every image in its order, what a run that prepares the digits in `root` gets."""
    data = Digits(configured(root))
    items = [item.impath for items in (data.train_x, data.val, data.test) for item in items]
    return hashlib.sha256(repr(items).encode()).hexdigest()


@pytest.mark.slow
def test_two_runs_at_once(tmp_path):
    """Two processes prepare images, split and few-shot lists in the same new folder, ten times."""
    for attempt in range(10):
        root = tmp_path / str(attempt)
        first, second = at_once(prepare, root)
        assert first == second
        assert hidden(root) <= LEFTOVERS
        assert len(read_split(root / "digits" / "split_zhou_Digits.json").test) == 540


def prepare_until(moment: str, root: Path) -> None:
    """A run that dies before its images get their name, or with its split half written."""

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "images":
        digits_module.os = Namespace(**{**vars(os), "rename": die})
    else:
        files.os = Namespace(**{**vars(os), "fsync": die})
    Digits(configured(root))


def test_killed_writers(tmp_path, make_cfg):
    """A process that dies while its images or its split are written leaves nothing that a later run takes for whole."""
    for moment in ("images", "split"):
        assert exit_status(prepare_until, moment, tmp_path / moment) == -signal.SIGKILL
        folder = tmp_path / moment / "digits"
        assert (folder / "images").exists() == (moment == "split")
        assert not list(folder.glob("*.json"))
        assert len(Digits(make_cfg(tmp_path / moment, shots=16)).train_x) == 160
        assert hashlib.sha256((folder / "split_zhou_Digits.json").read_bytes()).hexdigest() == SPLIT_SHA256
        assert not list(folder.glob(".images-*"))
