"""Every number of the page follows from results.csv, of runs that were really trained and of made-up ones in all settings."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from caspl.results.__main__ import main as results
from caspl.results.report.__main__ import main as report
from logs_made import made, put


def loaded(path):
    """The script beside this file, which stands alone."""
    spec = importlib.util.spec_from_file_location("every_number", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = loaded(Path(__file__).with_name("every_number.py")).check


def checked(top):
    return check(top / "report.html", top / "results.csv")


def base_to_new(top, dataset, trainer, seed, base, new, file="vit_b16", **more):
    training = f"base2new/train_base/{dataset}/shots_16/{trainer}/{file}/seed{seed}"
    test = training.replace("train_base", "test_new")
    more |= {"seed": seed, "file": file}
    put(top, training, made(base, dataset, trainer, classes="base", output=training, **more))
    put(top, test, made(new, dataset, trainer, classes="new", output=test, model=training, **more))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Base to new on two datasets with six seeds, few-shot, cross-dataset; without and with CasPL, with records and without."""
    top, draw = tmp_path_factory.mktemp("everything"), random.Random(0)
    for dataset in ("oxford_pets", "dtd"):
        for trainer, more in (("CoOp", 0), ("CasPL_CoOp", 4), ("MaPLe", 1), ("CasPL_MaPLe", 4.5)):
            for seed in range(1, 7):
                base_to_new(
                    top, dataset, trainer, seed, draw.randint(700, 800) / 10 + more, draw.randint(600, 700) / 10 + more
                )
        base_to_new(top, dataset, "CoCoOp", 1, 75, 65)
        base_to_new(top, dataset, "CoCoOp", 1, 70, 60, file="rn50", backbone="RN50")
        for shots in (1, 2, 16):
            for trainer in ("CoOp", "KgCoOp"):
                place = f"{dataset}/{trainer}/vit_b16_{shots}shots/seed1"
                put(top, place, made(60 + shots + draw.random(), dataset, trainer, shots))
    put(
        top, "imagenet/CoOp/vit_b16_16shots/seed1", made(71.5, "imagenet", output="imagenet/CoOp/vit_b16_16shots/seed1")
    )
    for dataset in ("oxford_pets", "sun397", "imagenetv2"):
        log = made(draw.randint(500, 900) / 10, dataset, shots=-1, model="imagenet/CoOp/vit_b16_16shots/seed1")
        put(top, f"evaluation/CoOp/vit_b16_16shots/{dataset}/seed1", log)
    assert results([str(top)]) == 0 and report([str(top)]) == 0
    return top


@pytest.mark.slow
def test_every_number_of_a_sweep_follows_from_its_lines(sweep):
    found = checked(sweep)
    assert not found.wrong and found.numbers > 150
    assert found.by_hand == ["Base to new: protocol"]


def test_every_number_of_all_settings_follows_from_its_lines(everything):
    found = checked(everything)
    assert not found.wrong and found.numbers > 500
    assert all(title.endswith(("protocol", "which backbone is meant")) for title in found.by_hand)


def test_a_changed_number_is_found(everything, tmp_path):
    """Wherever it stands: behind the first text from the second on, and what is said of it."""
    text = (everything / "report.html").read_text(encoding="utf-8")
    (tmp_path / "results.csv").write_bytes((everything / "results.csv").read_bytes())
    expected = []
    for before, behind, said in (
        ('<p class="best">', '<span class="metric">', "average of 2, MaPLe + CasPL: "),
        ('<li class="margin">', ">", "against"),
        ('id="base-to-new"', '"#row-1">', "Base to new, OxfordPets, CoOp, base: "),
        ('id="few-shot"', '"#row-', "Few-shot, by labelled images per class, "),
        ("95 % intervals over test images, as a table", '"#row-', "95 % intervals over test images, "),
        ("95 % intervals over seeds, as a table", '"#row-', "95 % intervals over seeds, "),
        ("paired tests, as a table", '"#from-', "paired tests, "),
        ('<span class="means">', '<span class="number">', "CoOp: base "),
        ('<article class="run"', '<span class="number">', "base2new/train_base/"),
    ):
        point = text.index(".", text.index(behind, text.index(before)) + len(behind))
        text = text[: point - 1] + ("1" if text[point - 1] != "1" else "2") + text[point:]
        expected.append(said)
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    wrong = checked(tmp_path).wrong
    assert len(wrong) == len(expected)
    assert all(any(said in one for one in wrong) for said in expected), wrong
