"""python -m caspl.datasets: list, check, fewshot, import-fewshot; and the catalogue against the readers and split files."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from dassl.data.datasets import DATASET_REGISTRY
from dassl.data.datasets.base_dataset import Datum
from PIL import Image

from caspl.datasets.__main__ import main
from caspl.datasets.files.catalog import BENCHMARKS, Benchmark
from caspl.datasets.files.comparison import compare
from caspl.datasets.files.registry import dataset_class
from caspl.datasets.splits.split_file import read_split
from caspl.ground.errors import InputError

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A miniature of DTD, whole as far as this catalogue knows."""
    items = {part: [] for part in ("train", "val", "test")}
    for label, name in enumerate(("banded", "dotted")):
        for number in range(10):
            path = tmp_path / "dtd" / "images" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 16), (25 * number, 0, 0)).save(path)
            part = "train" if number < 5 else "val" if number < 7 else "test"
            items[part].append((f"{name}/{number}.jpg", label, name))
    (tmp_path / "dtd" / "split_zhou_DescribableTextures.json").write_text(json.dumps(items))
    monkeypatch.setitem(BENCHMARKS, "DescribableTextures", Benchmark("dtd", 2, 10, 4, 6))
    monkeypatch.setattr(dataset_class("DescribableTextures"), "split_sha256", "")
    return tmp_path


def row_of(text: str, name: str) -> str:
    return next(" ".join(line.split()) for line in text.splitlines() if line.startswith(name + " "))


# --- the catalogue ---------------------------------------------------------------------------------------------------
def test_every_benchmark_is_registered_and_has_its_configuration():
    assert len(BENCHMARKS) == 15 and set(BENCHMARKS) <= set(DATASET_REGISTRY.registered_names())
    for name, facts in BENCHMARKS.items():
        path = CHECKOUT / "configs" / "datasets" / f"{facts.config}.yaml"
        assert yaml.safe_load(path.read_text())["DATASET"]["NAME"] == name
    with pytest.raises(InputError, match="no dataset is called 'DTD', expected one of Caltech101, DescribableTextures"):
        dataset_class("DTD")


@pytest.mark.parametrize("name", ["Caltech101", "DescribableTextures"])
def test_counts_are_those_of_the_published_files(name, published):
    path = next((published / "splits").glob(f"*{name}*.json"))
    split, facts = read_split(path), BENCHMARKS[name]
    assert [len(part) for part in split] == [facts.train, facts.val, facts.test]
    assert len({item.label for item in split.train}) == facts.classes


# --- list ------------------------------------------------------------------------------------------------------------
def test_list(root, capsys):
    (root / "food-101" / "images").mkdir(parents=True)
    (root / "sun397").mkdir()
    assert main(["list", "--root", str(root)]) == 0
    text = capsys.readouterr().out
    assert row_of(text, "dataset") == "dataset config classes train found val found test found state"
    assert row_of(text, "DescribableTextures") == "DescribableTextures dtd 2 10 10 4 4 6 6 complete"
    assert row_of(text, "Caltech101") == "Caltech101 caltech101 100 4,128 1,649 2,465 missing"
    assert row_of(text, "ImageNetV2") == "ImageNetV2 imagenetv2 1,000 10,000 missing"
    assert all(row_of(text, name).endswith(" incomplete") for name in ("Food101", "SUN397"))
    notes = [line for line in text.splitlines() if ": " in line]
    assert len(notes) == 2 and f"Food101: the split file {root}/food-101/split_zhou_Food101.json is missing" in notes[0]
    assert not (root / "food-101" / "split_zhou_Food101.json").exists()  # looking changes nothing
    assert Counter(word for line in text.splitlines() for word in line.split()[-1:])["missing"] == 12


# --- check -----------------------------------------------------------------------------------------------------------
def test_check_a_whole_dataset(root, capsys):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert main(["check", "DescribableTextures", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "DescribableTextures: 2 classes, 20 images read, 0 problems\n"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_check_names_broken_images(root, capsys):
    images = root / "dtd" / "images"
    content = (images / "banded" / "3.jpg").read_bytes()
    (images / "banded" / "3.jpg").write_bytes(content[:-60])
    (images / "dotted" / "9.jpg").write_text("<html>")
    assert main(["check", "DescribableTextures", "--root", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[-1] == "DescribableTextures: 2 classes, 20 images read, 2 problems"
    assert f"{images}/banded/3.jpg cannot be read (" in lines[0]
    assert f"{images}/dotted/9.jpg is no image" in lines[1]
    for name in ("banded/4.jpg", "dotted/0.jpg"):
        (images / name).write_bytes(b"")
    assert main(["check", "DescribableTextures", "--root", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()  # the reader stops at the first of them, the check does not
    assert (
        "banded/4.jpg is empty (0 bytes)" in lines[0] and lines[-1] == "DescribableTextures: 20 images read, 5 problems"
    )
    assert [name for line in lines[1:-1] for name in line.split() if "/dtd/" in name] == [
        f"{images}/{name}" for name in ("banded/3.jpg", "banded/4.jpg", "dotted/0.jpg", "dotted/9.jpg")
    ]


def test_check_counts_checksum_and_layout(root, capsys, monkeypatch):
    monkeypatch.setitem(BENCHMARKS, "DescribableTextures", Benchmark("dtd", 3, 11, 4, 6))
    monkeypatch.setattr(dataset_class("DescribableTextures"), "split_sha256", "ab" * 32)
    assert main(["check", "DescribableTextures", "--root", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train has 10 images, published are 11" and lines[1] == "there are 2 classes, published are 3"
    assert "split_zhou_DescribableTextures.json has the SHA-256 " in lines[2] and lines[2].endswith("ab" * 32)
    assert lines[3].endswith("20 images read, 3 problems")
    assert main(["check", "DescribableTextures", "--root", str(root / "dtd")]) == 1
    assert f"one level too low, {root}/dtd looks like the dataset itself" in capsys.readouterr().out
    (root / "dtd" / "images" / "banded" / "3.jpg").unlink()
    assert main(["check", "DescribableTextures", "--root", str(root)]) == 1
    assert "1 of the 20 images that the split lists are missing" in capsys.readouterr().out
    (root / "dtd" / "split_zhou_DescribableTextures.json").write_text("<html>")
    assert main(["check", "DescribableTextures", "--root", str(root)]) == 1
    assert "is not JSON" in capsys.readouterr().out


def test_check_ones_own_images(tmp_path, capsys):
    for name in ("a", "b"):
        for number in range(4):
            (tmp_path / "own" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (number, ord(name), 0)).save(tmp_path / "own" / name / f"{number}.png")
    (tmp_path / "names.txt").write_text("b blue\na amber\n")
    own = ["check", "ImageFolder", "--root", str(tmp_path / "own")]
    assert main(own) == 0
    read = "the classes are a, b; images: 4 train, 2 val, 2 test\nImageFolder: 2 classes, 8 images read, 0 problems\n"
    assert capsys.readouterr().out == read
    options = ["--root", str(tmp_path), "DATASET.PATHS", "['own']", "DATASET.CLASSNAMES", "names.txt"]
    assert main(["check", "ImageFolder", *options]) == 0
    assert "the classes are amber, blue; images: " in capsys.readouterr().out
    assert main(["check", "UnlabeledImages", *options]) == 0
    assert capsys.readouterr().out.startswith(
        "the classes are blue, amber; images: 8 train\nUnlabeledImages: 2 classes, 8 "
    )
    assert not list(tmp_path.rglob(".*")), "who only looks leaves nothing"
    (tmp_path / "own" / "a" / "1.png").write_bytes((tmp_path / "own" / "b" / "0.png").read_bytes())
    assert main(own) == 1
    assert re.match(r"\w/\d.png and \w/\d.png have the same content and different classes", capsys.readouterr().out)
    (tmp_path / "own" / "a" / "1.png").write_bytes(b"no image")
    assert main(own) == 1
    assert "a/1.png is no image of a known kind" in capsys.readouterr().out.splitlines()[0]
    (tmp_path / "own" / "a" / "1.png").unlink()
    for number in range(9, 12):
        Image.new("RGB", (4, 4), (number, 9, 9)).save(tmp_path / "own" / "a" / f"{number}.png")
    assert main(own) == 0, "a file that was removed is asked for by nobody"


def test_check_shards(tmp_path, capsys):
    for number in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no image")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(3):
            archive.add(tmp_path / f"{number}.png", f"{number}.png")
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    command = ["check", "UnlabeledImages", "--root", str(tmp_path), "DATASET.CLASSNAMES", "names.txt"]
    assert main([*command, "DATASET.PATHS", "['a.tar']"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (
        "a.tar/2.png is no image" in lines[0] and lines[-1] == "UnlabeledImages: 2 classes, 3 images read, 1 problems"
    )


OPTION_MISTAKES = {
    ("DATASET.PATH", "x"): "there is no key 'DATASET.PATH' of a dataset, expected one of DATASET.SUBSAMPLE_CLASSES",
    ("DATASET.PATHS",): "'DATASET.PATHS' stands alone, expected keys with a value each",
    ("DATASET.PATHS", "x"): 'DATASET.PATHS is "x", expected a list of texts',
    ("DATASET.CLASSNAMES", "nowhere.txt"): "nowhere.txt cannot be read",
    ("--path", "x"): "unrecognized arguments: --path x",
}


@pytest.mark.parametrize("options", OPTION_MISTAKES)
def test_check_with_wrong_keys(tmp_path, capsys, options):
    assert main(["check", "ImageFolder", "--root", str(tmp_path), *options]) == 2
    assert OPTION_MISTAKES[options] in capsys.readouterr().err
    assert main(["check", "ImageFolder", "--root", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_benchmark_has_no_keys(tmp_path, capsys):
    assert main(["check", "OxfordPets", "--root", str(tmp_path), "DATASET.PATHS", "[]"]) == 2
    assert "unrecognized arguments: DATASET.PATHS" in capsys.readouterr().err


# --- few-shot lists --------------------------------------------------------------------------------------------------
def test_fewshot_writes_what_a_run_reads(root):
    command = ["fewshot", "DescribableTextures", "--root", str(root)]
    assert main([*command, "--shots", "1", "2", "--seeds", "0", "3"]) == 0
    folder = root / "dtd" / "split_fewshot"
    assert sorted(os.listdir(folder)) == [f"shot_{k}-seed_{s}.json" for k in (1, 2) for s in (0, 3)]
    lists = json.loads((folder / "shot_2-seed_3.json").read_text())
    assert len(lists["train"]) == 4 and all(not path.startswith("/") for path, _, _ in lists["train"])
    assert main(command) == 0
    assert len(os.listdir(folder)) == 2 + 15


def test_import_fewshot(root, tmp_path, capsys):
    main(["fewshot", "DescribableTextures", "--root", str(root), "--shots", "2", "--seeds", "1"])
    path = root / "dtd" / "split_fewshot" / "shot_2-seed_1.json"
    lists = json.loads(path.read_text())
    lists["train"].reverse()
    images = root / "dtd" / "images"
    pickled = {
        part: [Datum(f"{images}/{item[0]}", item[1], 0, item[2]) for item in lists[part]] for part in ("train", "val")
    }
    (tmp_path / "shot_2-seed_1.pkl").write_bytes(pickle.dumps(pickled))
    assert (
        main(["import-fewshot", "DescribableTextures", str(tmp_path / "shot_2-seed_1.pkl"), "--root", str(root)]) == 0
    )
    assert str(path) in capsys.readouterr().out
    assert json.loads(path.read_text())["train"] == lists["train"]
    (tmp_path / "shot_2-seed_2.pkl").write_bytes(b"cos\nsystem\n(S'touch evil'\ntR.")
    assert (
        main(["import-fewshot", "DescribableTextures", str(tmp_path / "shot_2-seed_2.pkl"), "--root", str(root)]) == 2
    )
    assert len(capsys.readouterr().err.strip().splitlines()[-1]) > 20 and not Path("evil").exists()


# --- the command -----------------------------------------------------------------------------------------------------
def test_mistakes_of_the_command(root, capsys):
    assert main(["check", "DTD", "--root", str(root)]) == 2
    assert capsys.readouterr().err.startswith("error: no dataset is called 'DTD', expected one of ")
    assert main(["fewshot", "Union", "--root", str(root)]) == 2
    assert "Union has no few-shot lists of its own" in capsys.readouterr().err
    for wrong in (
        [],
        ["list"],
        ["list", "DTD", "--root", "x"],
        ["fewshot", "DTD", "--root", "x", "--shots", "0"],
        ["fewshot", "DTD", "--root", "x", "--seeds", "-1"],
    ):
        assert main(wrong) == 2


@pytest.mark.slow
def test_as_a_command(root):
    done = subprocess.run(
        [sys.executable, "-m", "caspl.datasets", "check", "DescribableTextures", "--root", str(root)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "published are 2,820" in done.stdout and "Traceback" not in done.stderr


def test_compare_is_quiet_and_puts_logging_back(root, caplog):
    caplog.clear()
    assert compare("DescribableTextures", str(root)).state == "complete"
    assert caplog.messages == []
    import logging

    logging.getLogger("x").warning("heard")
    assert caplog.messages == ["heard"]
