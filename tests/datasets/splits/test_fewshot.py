"""Few-shot sampling, its cache, and base/new classes, against CoOp's own results."""

from __future__ import annotations

import hashlib
import json
import random

import pytest

from caspl.datasets.files import storage
from caspl.datasets.splits.fewshot import cached_fewshot, draw_fewshot, sample_fewshot, subsample_classes
from caspl.datasets.splits.split_file import Item, Split, read_split
from caspl.ground.errors import InputError

TOY = Split(
    [Item(f"{label}_{i}", label, str(label)) for label in (2, 0, 1) for i in range(10)],
    [Item(f"v{label}_{i}", label, str(label)) for label in (2, 0, 1) for i in range(5)],
    [Item(f"t{label}", label, str(label)) for label in (0, 1, 2)],
)
TOY_LISTS = {  # seed: (2-shot train, val)
    1: ("2_2 2_1 0_4 0_1 1_7 1_9", "v2_3 v2_4 v0_1 v0_0 v1_3 v1_0"),
    2: ("2_0 2_1 0_1 0_5 1_2 1_4", "v2_2 v2_1 v0_4 v0_0 v1_4 v1_1"),
    3: ("2_3 2_8 0_2 0_5 1_9 1_7", "v2_4 v2_0 v0_4 v0_0 v1_3 v1_2"),
}
HASHES = {  # (data set, shots, seed): first 10 hex digits of the SHA-256 of the paths in train / val
    ("Caltech101", 16, 1): "e60a836bd3/53555d3fce",
    ("Caltech101", 16, 2): "62be9f804c/0ac3f0ace7",
    ("Caltech101", 16, 3): "8c465c68bf/bf481ac8e2",
    ("Caltech101", 1, 1): "33173bedf9/d8cdaf6e3f",
    ("DescribableTextures", 16, 1): "daf3b28e53/9ef81bd9b8",
    ("DescribableTextures", 16, 2): "a34259006a/82e7c16834",
    ("DescribableTextures", 16, 3): "d4a9dc52a3/17e14a5762",
    ("DescribableTextures", 1, 1): "b6fe093e75/15a11c6b2c",
}
PUBLISHED_LISTS = [
    ("caltech101", "Caltech101", "101_ObjectCategories/", 1, 1),
    ("caltech101", "Caltech101", "101_ObjectCategories/", 4, 2),
    ("dtd", "DescribableTextures", "images/", 16, 1),
    ("dtd", "DescribableTextures", "images/", 16, 2),
    ("dtd", "DescribableTextures", "images/", 16, 3),
]


def text(items) -> str:
    return " ".join(item.impath for item in items)


def digest(items) -> str:
    return hashlib.sha256("\n".join(item.impath for item in items).encode()).hexdigest()[:10]


# --- sampling --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", TOY_LISTS)
def test_toy_lists(seed):
    drawn = draw_fewshot(TOY, 2, seed)
    assert (text(drawn.train), text(drawn.val)) == TOY_LISTS[seed]
    assert drawn.test == TOY.test


def test_global_stream_gives_the_same_as_the_seed():
    random.seed(2)
    drawn = draw_fewshot(TOY, 2, seed=-1)
    assert (text(drawn.train), text(drawn.val)) == TOY_LISTS[2]


def test_seeded_draw_leaves_the_global_stream():
    state = random.getstate()
    draw_fewshot(TOY, 2, seed=0)
    assert random.getstate() == state


def test_small_classes_give_all_without_drawing(caplog):
    rng = random.Random(1)
    state = rng.getstate()
    assert sample_fewshot(TOY.train, 16, rng) == TOY.train
    assert rng.getstate() == state
    assert caplog.messages == [
        "Creating a 16-shot dataset",
        "3 of 3 classes have fewer than 16 images, the smallest has 10: all their images are taken",
    ]


def test_val_gets_at_most_four_per_class(caplog):
    drawn = draw_fewshot(TOY, 8, 1)
    assert (len(drawn.train), len(drawn.val)) == (24, 12)
    assert caplog.messages == ["Creating a 8-shot dataset", "Creating a 4-shot dataset"]


def test_empty_val():
    assert draw_fewshot(TOY._replace(val=[]), 2, 1).val == []


@pytest.mark.parametrize(("name", "shots", "seed"), HASHES)
def test_benchmark_lists_by_hash(published, name, shots, seed):
    drawn = draw_fewshot(read_split(published / "splits" / f"split_zhou_{name}.json"), shots, seed)
    assert f"{digest(drawn.train)}/{digest(drawn.val)}" == HASHES[name, shots, seed]


@pytest.mark.parametrize(("stem", "name", "folder", "shots", "seed"), PUBLISHED_LISTS)
def test_benchmark_lists_item_by_item(published, stem, name, folder, shots, seed):
    """The lists that linzhiqiu/cross_modal_adaptation publishes as equal to CoOp's."""
    expected = json.loads((published / "fewshot" / f"{stem}_shot_{shots}-seed_{seed}.json").read_text())
    drawn = draw_fewshot(read_split(published / "splits" / f"split_zhou_{name}.json"), shots, seed)
    for part in ("train", "val"):
        entries = expected[part]["data"]
        assert getattr(drawn, part) == [
            Item(entry["impath"].split(folder, 1)[1], entry["label"], entry["classname"]) for entry in entries
        ]


# --- base and new ----------------------------------------------------------------------------------------------------
def test_halves_relabel_and_keep_order(caplog):
    base_train, base_test = subsample_classes(TOY.train, TOY.test, subsample="base")
    new_train, new_test = subsample_classes(TOY.train, TOY.test, subsample="new")
    assert [item.label for item in base_test] == [0, 1]  # three classes: two are base
    assert new_test == [Item("t2", 0, "2")]
    assert base_train == [item for item in TOY.train if item.label < 2]
    assert new_train == [Item(f"2_{i}", 0, "2") for i in range(10)]
    assert caplog.messages == ["SUBSAMPLE BASE CLASSES!", "SUBSAMPLE NEW CLASSES!"]


def test_all_is_untouched(caplog):
    train, test = subsample_classes(TOY.train, TOY.test, subsample="all")
    assert train is TOY.train and test is TOY.test
    assert not caplog.messages


def test_wrong_subset():
    with pytest.raises(InputError, match="SUBSAMPLE_CLASSES is 'novel', expected all, base or new"):
        subsample_classes(TOY.train, subsample="novel")
    with pytest.raises(InputError, match="CLASSES is 'new', but train has 1 class, expected two or more; use all"):
        subsample_classes(TOY.train[:10], subsample="new")


@pytest.mark.parametrize(
    ("name", "classes", "train", "test", "last_base", "first_new"),
    [
        ("Caltech101", (50, 50), (2594, 1534), (1549, 916), "helicopter", "ibis"),
        ("DescribableTextures", (24, 23), (1440, 1380), (864, 828), "marbled", "matted"),
    ],
)
def test_benchmark_halves(published, name, classes, train, test, last_base, first_new):
    split = read_split(published / "splits" / f"split_zhou_{name}.json")
    base, new = (Split(*subsample_classes(*split, subsample=subset)) for subset in ("base", "new"))
    for half, count in zip((base, new), classes, strict=True):
        assert {item.label for item in half.train} == {item.label for item in half.test} == set(range(count))
    assert (len(base.train), len(new.train)) == train
    assert (len(base.test), len(new.test)) == test
    assert {item.classname for item in base.test if item.label == classes[0] - 1} == {last_base}
    assert {item.classname for item in new.test if item.label == 0} == {first_new}
    drawn = draw_fewshot(split, 16, 1)
    sampled = subsample_classes(*drawn, subsample="base")
    assert [len(items) for items in sampled[:2]] == [16 * classes[0], 4 * classes[0]]


# --- cache -----------------------------------------------------------------------------------------------------------
def test_cache_is_written_and_read(tmp_path, caplog):
    first = cached_fewshot(TOY, 2, 1, tmp_path, "abc")
    path = tmp_path / "split_fewshot" / "shot_2-seed_1.json"
    content = json.loads(path.read_text())
    assert (content["split_sha256"], content["train"][0]) == ("abc", ["2_2", 2, "2"])
    assert caplog.messages[-1] == f"Saving preprocessed few-shot data to {path}"
    stamp = path.stat().st_mtime_ns
    caplog.clear()
    assert cached_fewshot(TOY, 2, 1, tmp_path, "abc") == first == draw_fewshot(TOY, 2, 1)
    assert caplog.messages[0] == f"Loading preprocessed few-shot data from {path}"
    assert path.stat().st_mtime_ns == stamp
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def drop_class(content: dict) -> str:
    del content["train"]
    return json.dumps(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: json.dumps(content | {"split_sha256": "other"}), "it was drawn from another split"),
        (lambda content: json.dumps(content)[:200], "it is damaged"),
        (lambda content: "", "it is damaged"),
        (lambda content: "[]", "it is damaged"),
        (lambda content: "[" * 100_000, "it is damaged"),
        (lambda content: "9" * 100_000, "it is damaged"),
        (drop_class, "it is damaged"),
        (lambda content: json.dumps(content | {"train": [["x", 0]]}), "train entry 0 is"),
        (lambda content: json.dumps(content | {"val": [["x", 0, "0"]]}), "it holds images that are not in the split"),
    ],
)
def test_unusable_cache_is_replaced(tmp_path, caplog, damage, reason):
    expected = cached_fewshot(TOY, 2, 1, tmp_path, "abc")
    path = tmp_path / "split_fewshot" / "shot_2-seed_1.json"
    whole = path.read_bytes()
    path.write_text(damage(json.loads(whole)))
    caplog.clear()
    assert cached_fewshot(TOY, 2, 1, tmp_path, "abc") == expected
    assert caplog.messages[0].startswith(f"The few-shot data in {path} is not used and drawn anew: {reason}")
    assert path.read_bytes() == whole


def test_unseeded_draws_are_not_kept(tmp_path):
    random.seed(5)
    assert cached_fewshot(TOY, 2, -1, tmp_path, "abc") != cached_fewshot(TOY, 2, -1, tmp_path, "abc")
    assert not list(tmp_path.iterdir())


def test_pickles_are_ignored(tmp_path, caplog):
    folder = tmp_path / "split_fewshot"
    folder.mkdir()
    (folder / "shot_2-seed_1.pkl").write_bytes(b"cos\nsystem\n")
    for _ in range(2):
        assert cached_fewshot(TOY, 2, 1, tmp_path, "abc") == draw_fewshot(TOY, 2, 1)
    assert sum("Ignoring" in message for message in caplog.messages) == 1
    assert (folder / "shot_2-seed_1.pkl").read_bytes() == b"cos\nsystem\n"


def test_lock_held_too_long(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(storage, "LOCK_SECONDS", 0.1)
    with storage.locked(tmp_path) as first, storage.locked(tmp_path) as second:
        assert (first, second) == (True, False)
    assert "going on without it" in caplog.text
