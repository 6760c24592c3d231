"""All stores of a folder tree: `caspl store list`, `prune`, `check`."""

import os
import shutil
import time

import numpy as np
import pytest
import torch

from caspl.__main__ import main
from caspl.clip.feature_store import FeatureStore
from caspl.ground.stores import tree
from caspl.ground.stores.facts import Facts
from caspl.ground.stores.kinds import KINDS
from caspl.ground.stores.rows import Rows
from caspl.ground.stores.tree import kept

from .conftest import FACTS, names, values
from .test_rows import fill, has

DAY = 24 * 60 * 60
FOREIGN = ("notes.rows", "0" * 32 + ".safetensors", "run/boosting.safetensors", "facts.json")


def make_features(folder):
    FeatureStore(folder).get({"network": "a", "vision prompts": ""}, [], lambda: torch.ones(7, 3))


def make_texts(folder):
    rows = ["cat", "dog"]
    FeatureStore(folder).find({"network": "a", "templates": ["a {}"]}, rows, lambda: torch.ones(2, 3), "2 texts")


def make_images(folder):
    rows = Rows(folder, Facts("images", {"crop": "a"}, {}), width=5, format="uint8")
    rows.add(names(1, 2, 3), np.arange(15, dtype=np.uint8).reshape(3, 5))
    rows.publish()


# How a file of each kind comes about: another kind of store needs a row here
MADE = {"teacher": None, "features": make_features, "texts": make_texts, "images": make_images}


@pytest.fixture
def stores(tmp_path, open_rows):
    """A file of each kind, used 1, 2 ... days ago, and some that are nobody's."""
    fill(open_rows(), *range(10))
    for kind, make in MADE.items():
        if make:
            make(tmp_path / "stores" / kind)
    for name in FOREIGN:
        path = tmp_path / "stores" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"somebody's")
    for days, each in enumerate(sorted(kept(tmp_path), key=lambda each: [*MADE].index(each.kind.name)), 1):
        os.utime(each.path, (time.time() - days * DAY,) * 2)
    return tmp_path / "stores"


def kinds(folder):
    return sorted(each.kind.name for each in kept(folder))


def store(capsys, *words):
    status = main(["store", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out, said.err


def untouched(stores):
    return all((stores / name).read_bytes() == b"somebody's" for name in FOREIGN)


def test_each_kind_is_known_and_nothing_else_is(stores):
    assert set(MADE) == set(KINDS) and kinds(stores) == sorted(KINDS)
    assert {each.kind.name: each.content.rows for each in kept(stores)} | {
        "teacher": 10,
        "features": 7,
        "texts": 2,
    } == {each.kind.name: each.content.rows for each in kept(stores)}
    assert all(KINDS[each.kind.name].check(each.path) is None for each in kept(stores))


def test_list(stores, capsys):
    status, out, err = store(capsys, "list", stores)
    assert status == 0 and not err
    assert all(any(line.startswith(kind) for line in out.splitlines()) for kind in KINDS)
    assert "name small, network a" in out and f"{time.strftime('%Y-%m', time.localtime(time.time() - DAY))}" in out
    assert out.splitlines()[-1].startswith(f"{stores}: {len(KINDS)} stores, {len(KINDS)} files")
    assert (
        store(capsys, "list", stores, "--kind", "features")[1].splitlines()[-1].startswith(f"{stores}: 1 store, 1 file")
    )


def test_prune_by_age(stores, capsys):
    status, out, _ = store(capsys, "prune", stores, "--older", "1.5", "--dry-run")
    assert status == 0 and out.count("would remove") == len(KINDS) - 1 and kinds(stores) == sorted(KINDS)
    status, out, _ = store(capsys, "prune", stores, "--older", "1.5")
    assert status == 0 and out.count("\n") == len(KINDS) and kinds(stores) == ["teacher"] and untouched(stores)


def test_prune_to_a_size_takes_first_what_was_used_longest_ago(stores, capsys):
    sizes = {each.kind.name: each.bytes for each in kept(stores)}
    room = sum(sizes.values()) - 1  # one file has to go
    assert store(capsys, "prune", stores, "--to", room / 1e9)[0] == 0
    assert kinds(stores) == sorted([*MADE][:-1])
    store(capsys, "prune", stores, "--to", 0)
    assert kinds(stores) == [] and untouched(stores)


def test_prune_a_kind(stores, capsys):
    store(capsys, "prune", stores, "--kind", "teacher")
    assert kinds(stores) == sorted(set(KINDS) - {"teacher"}) and untouched(stores)
    assert not [path for path in stores.iterdir() if len(path.name) == 32]  # its folder went with it


def test_prune_beside_a_run(stores, open_rows, capsys):
    """Who reads goes on with what it has open; who writes makes its store anew."""
    running = open_rows()
    running.add(names(50), values(50))
    assert has(running, 1) == [1]
    store(capsys, "prune", stores, "--kind", "teacher")
    assert has(running, 1, 50) == [1, 50] and not running.folder.exists()
    running.publish()
    assert has(open_rows(), 1, 50) == [50] and kinds(stores) == sorted(KINDS)


def test_a_folder_in_which_somebody_has_begun_to_write_keeps_its_facts(stores, open_rows, monkeypatch):
    rows = open_rows()
    unlink = type(rows.folder).unlink

    def late(path, **more):
        unlink(path, **more)
        if path.name == "facts.json":
            (path.parent / "new.rows").write_bytes(b"")

    monkeypatch.setattr(type(rows.folder), "unlink", late)
    assert len([*tree.remove([*kept(stores, "teacher")])]) == 1
    assert (rows.folder / "facts.json").exists()


def test_what_killed_writers_left_goes_with_a_store(stores, open_rows, capsys):
    folder = open_rows().folder
    gone, written = folder / ".x.rows.elsewhere.1.00000000.tmp", folder / ".y.rows.elsewhere.1.00000000.tmp"
    for path in (gone, written):
        path.write_bytes(b"half")
    os.utime(gone, (1, 1))
    store(capsys, "prune", stores, "--kind", "teacher")
    assert not gone.exists() and written.exists() and (folder / "facts.json").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_check_names_a_changed_bit_of_each_kind(kind, stores, capsys):
    assert store(capsys, "check", stores)[:2] == (0, f"{stores}: {len(KINDS)} files read, 0 damaged\n")
    (each,) = kept(stores, kind)
    content = bytearray(each.path.read_bytes())
    content[-30] ^= 1
    each.path.write_bytes(content)
    status, out, _ = store(capsys, "check", stores)
    assert status == 1 and f"{each.path} is damaged: " in out and out.endswith(f"{len(KINDS)} files read, 1 damaged\n")


def test_check_names_a_file_in_the_wrong_folder(stores, open_rows, capsys):
    (each,) = kept(stores, "teacher")
    other = open_rows(Facts("teacher", {"network": "b"}, {}))
    fill(other, 1)
    shutil.copy(each.path, other.folder)
    status, out, _ = store(capsys, "check", stores)
    assert status == 1 and "it is of another store than the folder" in out


def test_without_a_folder_it_is_the_usual_one(stores, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CASPL_CACHE", str(stores))
    assert f"{stores}: {len(KINDS)} stores" in store(capsys, "list")[1]
    monkeypatch.setenv("CASPL_CACHE", str(tmp_path / "nothing"))
    assert store(capsys, "list") == (0, f"{tmp_path / 'nothing'}: 0 stores, 0 files, 0.00 MB\n", "")


@pytest.mark.parametrize(
    "words, said",
    [
        (("prune", "."), "prune does not know what is to go; give --to GB, --older DAYS or --kind KIND"),
        (("prune", ".", "--to", "-1"), "'-1' is no number from 0"),
        (("prune", ".", "--to", "nan"), "'nan' is no number from 0"),
        (("prune", ".", "--older", "long"), "'long' is no number from 0"),
        (("list", ".", "--kind", "books"), "invalid choice: 'books'"),
        (("list", "nowhere"), "nowhere is no folder; name one that holds stores"),
        (("burn",), "invalid choice: 'burn'"),
    ],
)
def test_mistakes(words, said, capsys):
    status, _, err = store(capsys, *words)
    assert status == 2 and said in err


def test_facts_are_those_of_their_folder(open_rows):
    rows = open_rows()
    fill(rows, 1)
    assert KINDS["teacher"].look(next(rows.folder.glob("*.rows"))).facts == {**FACTS.about, **FACTS.facts}
    renamed = rows.folder.rename(rows.folder.with_name("0" * 32))
    assert KINDS["teacher"].look(next(renamed.glob("*.rows"))) is None
