"""Files as people have them, from `check` to a trained CasPL run, with what its first sentence names and no other change."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from caspl.datasets.__main__ import main

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
NAMES = ("zero", "one", "two", "three", "four")
WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361", "n01494475")


def images(most: int = 500):
    """(number, digit, PNG) of the handwritten digits zero to four."""
    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images[:most], digits.target, strict=False)):
        if digit < len(NAMES):
            file = io.BytesIO()
            Image.fromarray((pixels * 15.9).astype(np.uint8)).convert("RGB").resize((32, 32)).save(file, "PNG")
            yield number, int(digit), file.getvalue()


def unzipped_on_a_mac(folder: Path) -> None:
    """An archive with one folder more than needed, names whose accents are taken apart, and the Mac's own files."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for number, digit, content in images():
            name, part = ("z\u00e9ro", *NAMES[1:])[digit], "Training" if number % 3 else "Testing"
            place = unicodedata.normalize("NFD", f"Mes Donn\u00e9es/{part}/{name}")
            archive.writestr(f"{place}/{number}.png", content)
            archive.writestr(f"{place}/._{number}.png", b"\0\5\x16\7")
            archive.writestr(f"__MACOSX/{place}/._{number}.png", b"\0\5\x16\7")
        archive.writestr("Mes Donne\u0301es/.DS_Store", b"\0\0\0\1Bud1")
        archive.extractall(folder)


def with_wnids(folder: Path) -> None:
    """Class folders called by WordNet ids beside a list of more of them, as for ImageNet."""
    for number, digit, content in images():
        (place := folder / WNIDS[digit]).mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(content)
    lines = [f"{wnid} {name}, Latin {name}" for wnid, name in zip(WNIDS, NAMES, strict=True)]
    (folder / "names.txt").write_bytes("\r\n".join(["\ufeffn00004475 organism", *lines, ""]).encode())


def from_kaggle(folder: Path) -> None:
    """A train folder, a test folder without labels, a table of answers to hand in."""
    for number, digit, content in images():
        place = folder / (f"Train/{NAMES[digit]}" if number % 5 else "Test")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(content)
    (folder / "sample_submission.csv").write_text("id,label\n0,0\n")


def follow(sentence: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """What the first sentence of a check says is to be done: where the root is then, and the keys."""
    if moved := re.search(r"pass (/.*)$", sentence):
        return Path(moved[1]), ()
    if "(DATASET.CLASSNAMES) with a line such as n01440764, blank, name" in sentence:
        return folder, ("DATASET.CLASSNAMES", "names.txt")
    raise AssertionError(sentence)


SITUATIONS = {"mac": (unzipped_on_a_mac, 1), "wnids": (with_wnids, 1), "kaggle": (from_kaggle, 0)}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_from_check_to_run(tmp_path, capsys, situation):
    make, changes = SITUATIONS[situation]
    folder, keys = tmp_path / "data", ()
    make(folder)
    status = main(["check", "ImageFolder", "--root", str(folder)])
    for _ in range(changes):
        assert status == 2
        folder, keys = follow(capsys.readouterr().err.splitlines()[-1], folder)
        status = main(["check", "ImageFolder", "--root", str(folder), *keys])
    assert status == 0, capsys.readouterr().out
    assert capsys.readouterr().out.endswith(" 0 problems\n")

    def train(trainer: str, output: Path, *more: str) -> float:
        command = [sys.executable, "train.py", "--root", str(folder), "--seed", "1", "--trainer", trainer]
        command += ["--dataset-config-file", "configs/datasets/image_folder.yaml", "--output-dir", str(output)]
        command += ["--config-file", f"configs/trainers/{trainer}/digits.yaml", *keys, *more]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return float(re.findall(r"^\* accuracy: ([\d.]+)%$", done.stdout + done.stderr, re.MULTILINE)[-1])

    boosted = train("CasPLBoost", tmp_path / "boost", "OPTIM.MAX_EPOCH", "3")
    few = ["DATASET.NUM_SHOTS", "8", "OPTIM.MAX_EPOCH", "10", "TRAINER.CASPL.BOOSTING", str(tmp_path / "boost")]
    assert min(boosted, train("CasPL_CoOp", tmp_path / "coop", *few)) > 40  # guessing gives 20
