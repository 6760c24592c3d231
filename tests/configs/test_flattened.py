"""What the configuration files say with their bases, and how little each says itself."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from caspl.configs import FOLDER, find_base, names, show
from caspl.configs.__main__ import main
from caspl.ground.yaml_files import BASE, lineage, merged, read_yaml

ROOT = Path(__file__).resolve().parents[2]
TRAINERS = [name for name in names() if name.startswith("configs/trainers/")]
TRAIN_NOTHING = ("ZeroshotCLIP", "ZeroshotCLIP2", "LinearProbe")  # without epochs
# Of each file when it still held every setting itself: path, SHA-256 of its content as JSON with sorted keys
BEFORE = dict(line.split() for line in (Path(__file__).parent / "flattened.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def files():
    """Every named file -> what is read for it."""
    return {name: lineage(ROOT / name) for name in names()}


def digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def settings(content, prefix=""):
    """Every value by the full name of its key."""
    for key, value in content.items():
        yield from settings(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]


def test_every_file_says_what_it_said_before_bases(files):
    assert set(BEFORE) <= set(files)
    changed = [name for name in BEFORE if digest(merged(files[name])) != BEFORE[name]]
    assert not changed, "add a file for new settings, published results depend on the old"


def test_named_files_say_only_what_is_theirs(files):
    for name in TRAINERS:
        lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
        assert 1 <= len(lines) <= 9, name
        *bases, (_, own) = files[name]
        said = {}
        for _, values in bases:
            said.update(settings(values))
        assert not dict(settings(own)).items() & {(k, v) for k, v in said.items() if not isinstance(v, list)}, name


def in_the_text(name, key):
    """The values of a key in the named file's own lines, where people look first."""
    return re.findall(rf'^ *{key}: *"?([^"# \n]*)', (ROOT / name).read_text(), re.MULTILINE)


def test_the_epochs_are_in_the_named_file(files):
    for name in TRAINERS:
        epochs = merged(files[name]).get("OPTIM", {}).get("MAX_EPOCH")
        assert in_the_text(name, "MAX_EPOCH") == ([] if Path(name).parent.name in TRAIN_NOTHING else [str(epochs)]), (
            name
        )


def test_the_shape_of_boosting_prompts_is_in_the_named_file(files):
    for name in (name for name in TRAINERS if "/CasPLBoost/" in name):
        shape = merged(files[name])["TRAINER"]["CASPL"]
        for key in ("N_CTX_TEXT", "N_CTX_VISION", "DEPTH_TEXT", "DEPTH_VISION"):
            assert in_the_text(name, key) == [str(shape[key])], (name, key)


def test_a_datasets_name_is_in_its_file(files):
    for name in set(files) - set(TRAINERS):
        assert in_the_text(name, "NAME") == [merged(files[name])["DATASET"]["NAME"]], name


def test_bases_are_used_and_are_no_configuration_of_a_trainer(files):
    bases = set((FOLDER / "bases").glob("*.yaml"))
    assert bases == {path.resolve() for read in files.values() for path, _ in read[:-1]}
    assert bases == set(FOLDER.rglob("*.yaml")) - {ROOT / name for name in files}
    assert not [name for name in files if "bases" in name]


def test_show_gives_a_file_that_sets_the_same(files, capsys):
    for name in {Path(name).parent: name for name in files}.values():  # the last of each folder
        show.main([str(ROOT / name)])
        copied = capsys.readouterr().out
        assert yaml.safe_load(copied) == merged(files[name]) and BASE + ":" not in copied


def test_show_says_where_the_settings_come_from(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)  # there is no configs/ here
    assert main(["show", "configs/trainers/CoOp/rn50_ep50_ctxv1.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("# python train.py ")
    assert [line.strip("# ") for line in lines if "configs/bases/" in line] == [
        f"configs/bases/{base}.yaml" for base in ("clip", "photos", "rn50", "sgd_cosine", "coop")
    ]
    assert "  TRANSFORMS: [random_resized_crop, random_flip, normalize]" in lines


@pytest.mark.parametrize(
    "words, said",
    [
        (["configs/trainers/CoOp/none.yaml"], "nearest of CasPL's own is configs/trainers/CoOp/"),
        ([], "show takes one FILE, found 0"),
    ],
)
def test_show_refuses_in_one_sentence(words, said, capsys):
    assert main(["show", *words]) == 2
    assert said in capsys.readouterr().err


def test_bases_are_found_beside_the_file_or_as_configs(monkeypatch, tmp_path):
    """In a host, whose configs/ lacks our bases: a copy of ours, a file of the host's own on ours, and on the host's."""
    monkeypatch.chdir(tmp_path)
    copied, own = Path("configs/trainers/CasPL_MaPLe/copied.yaml"), Path("mine/own.yaml")
    for path in (copied, own):
        path.parent.mkdir(parents=True)
    copied.write_text((ROOT / "configs/trainers/CasPL_MaPLe/digits.yaml").read_text())
    assert read_yaml(copied, find_base) == read_yaml(ROOT / "configs/trainers/CasPL_MaPLe/digits.yaml")

    own.write_text("_BASE_: configs/trainers/CasPL_MaPLe/digits.yaml\nOPTIM:\n  MAX_EPOCH: 1\n")
    assert read_yaml(own, find_base)["OPTIM"]["MAX_EPOCH"] == 1
    assert read_yaml(own, find_base)["TRAINER"]["MAPLE"] == read_yaml(copied, find_base)["TRAINER"]["MAPLE"]

    (copied.parent / "digits.yaml").write_text("SEED: 3\n")
    assert read_yaml(own, find_base) == {"SEED": 3, "OPTIM": {"MAX_EPOCH": 1}}


def test_the_command_lists_names_and_helps(capsys):
    assert main(["CasPL_KgCoOp"]) == 0
    assert capsys.readouterr().out.split() == [name for name in names() if "CasPL_KgCoOp" in name]
    assert main(["no such word"]) == 1 and main(["--help"]) == 0
    assert "show FILE" in capsys.readouterr().out
