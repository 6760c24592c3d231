"""Splits, few-shot lists and caches of a dataset that cannot be."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from ..cases import Case
from ..damage import bytewise
from ..sound import SPLIT, Sound
from .images import FOUND
from .torch_files import Evaluate, Start, Touch

NAN, INF = float("nan"), float("inf")
DATASET = "DescribableTextures"


def _entry(*entry: Any, part: str = "train") -> Callable[[dict], Any]:
    """The first entry of a list becomes another; an argument that is callable makes it of what was there."""

    def change(split: dict) -> dict:
        old = split[part][0]
        split[part][0] = [new(value) if callable(new) else new for new, value in zip(entry, old, strict=False)] + list(
            entry[3:]
        )
        return split

    return change


def same(value: Any) -> Any:
    return value


def _all_labels(number: Callable[[int], Any]) -> Callable[[dict], Any]:
    def change(split: dict) -> dict:
        return {part: [[path, number(label), name] for path, label, name in items] for part, items in split.items()}

    return change


def _part(part: str, value: Any) -> Callable[[dict], Any]:
    return lambda split: split | {part: value}


def _path(path: Any) -> Callable[[dict], Any]:
    return _entry(path, same, same)


SPLITS: tuple[tuple[str, Callable[[dict], Any]], ...] = (
    *(
        (f"label {str(label)[:30]!r}", _entry(same, label, same))
        for label in (-1, 10**12, 10**30, "0", None, 1.0, 0.5, NAN, INF, True, [0], {})
    ),
    ("labels from 10**12 on", _all_labels(lambda label: label + 10**12)),
    ("labels with gaps", _all_labels(lambda label: 2 * label)),
    ("labels from 1 on", _all_labels(lambda label: label + 1)),
    ("labels far apart", _all_labels(lambda label: label * 10**9)),
    ("a label with two names", _entry(same, same, "other")),
    *((f"a name {name!r}", _entry(same, same, name)) for name in ("", None, 17, ["ant"])),
    *(
        (f"a path {str(path)[:30]!r}", _path(path))
        for path in (
            "",
            None,
            17,
            "../../../../etc/passwd",
            "/etc/passwd",
            "ant/../../out.jpg",
            "nowhere.jpg",
            "a\0b.jpg",
            "n" * 5000,
            ".",
            "ant",
            "\x1b[2J.jpg",
            "\ud800.jpg",
            "C:\\ant.jpg",
        )
    ),
    ("an entry of two", lambda split: split | {"train": [entry[:2] for entry in split["train"]]}),
    ("an entry of four", _entry(same, same, same, 1)),
    ("an entry that is a text", _part("train", ["ant/ant_0.jpg"])),
    ("an entry that is a mapping", _part("train", [{"path": "a"}])),
    ("no training images", _part("train", [])),
    ("no test images", _part("test", [])),
    ("train a mapping", _part("train", {})),
    ("train null", _part("train", None)),
    ("train a text", _part("train", "images")),
    ("no list called test", lambda split: {"train": split["train"], "val": split["val"]}),
    ("a list", lambda split: [split]),
    ("null", lambda split: None),
    ("empty", lambda split: {}),
)
TEXTS: tuple[tuple[str, bytes], ...] = (
    ("nested 100,000 lists", b"[" * 100_000),
    ("nested 100,000 mappings", b'{"train":' * 100_000),
    (
        "nested lists in a label",
        b'{"train": [["ant/ant_0.jpg", ' + b"[" * 50_000 + b"]" * 50_000 + b', "ant"]], "val": [], "test": []}',
    ),
    ("a label of 5,000 digits", b'{"train": [["ant/ant_0.jpg", ' + b"9" * 5_000 + b', "ant"]], "val": [], "test": []}'),
    ("UTF-16", '{"train": []}'.encode("utf-16")),
    ("a mark before it", b"\xef\xbb\xbf{"),
    ("a key twice", b'{"train": [], "train": [], "val": [], "test": []}'),
    ("a web page", b"<!DOCTYPE html><html></html>"),
    ("a pickle", pickle.dumps({"train": []})),
)
FEWSHOT: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
    ("another name", "lists.pkl", lambda: pickle.dumps({"train": [], "val": []})),
    ("0 shots", "shot_0-seed_1.pkl", lambda: pickle.dumps({"train": [], "val": []})),
    ("a seed of 5,000 digits", f"shot_1-seed_{'9' * 200}.pkl", lambda: pickle.dumps({"train": [], "val": []})),
    ("empty", "shot_1-seed_1.pkl", lambda: b""),
    ("text", "shot_1-seed_1.pkl", lambda: b"not a pickle"),
    ("nothing in it", "shot_1-seed_1.pkl", lambda: pickle.dumps({"train": [], "val": []})),
    ("no list called train", "shot_1-seed_1.pkl", lambda: pickle.dumps({"val": []})),
    ("a list", "shot_1-seed_1.pkl", lambda: pickle.dumps([1, 2])),
    ("entries that are numbers", "shot_1-seed_1.pkl", lambda: pickle.dumps({"train": [1], "val": []})),
    ("a file is made", "shot_1-seed_1.pkl", lambda: pickle.dumps({"train": [Touch()], "val": []})),
    ("a program is started", "shot_1-seed_1.pkl", lambda: pickle.dumps({"train": Start(), "val": []})),
    ("Python is evaluated", "shot_1-seed_1.pkl", lambda: pickle.dumps(Evaluate(), protocol=0)),
    ("100,000 lists in each other", "shot_1-seed_1.pkl", lambda: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    ("a huge length", "shot_1-seed_1.pkl", lambda: b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f" + b"x."),
    ("a memo of billions", "shot_1-seed_1.pkl", lambda: b"\x80\x02]r\xff\xff\xff\x7f."),
)
CACHES: tuple[tuple[str, bytes], ...] = (
    ("empty", b""),
    ("cut", b'{"split_sha256": "'),
    ("a list", b"[1]"),
    ("a number", b"1"),
    ("null", b"null"),
    ("a text", b'"x"'),
    ("nested 100,000 lists", b"[" * 100_000),
    ("of 5,000 digits", b"9" * 5_000),
    ("binary", bytes(range(256))),
    ("of another split", b'{"split_sha256": "0", "train": [], "val": []}'),
    ("without lists", b'{"split_sha256": 7}'),
)
REPLACED = "a damaged cache is made anew, with a warning"


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    argv = list(sound.digits("CoOp", "DATASET.NAME", DATASET, shots="1"))
    argv[argv.index("--root") + 1] = "."
    trained = ("train", tuple(argv))
    doors = cycle(
        (
            trained,
            ("datasets", ("fewshot", DATASET, "--root", ".", "--shots", "1")),
            ("datasets", ("check", DATASET, "--root", ".")),
        )
    )
    for what, change in SPLITS:
        door, words = next(doors)
        yield on_split(door, what, words, partial(write_split, sound=sound, change=change))
    for what, content in (*TEXTS, *list(bytewise(sound.textures / "dtd" / SPLIT, seed, flips=0))):
        if what == "with a byte more" or what == "cut by a byte":
            continue
        door, words = trained if what.startswith("cut") else next(doors)
        yield on_split(door, what, words, partial(write_bytes, sound=sound, content=content))
    for what, name, make in FEWSHOT:
        words = ("import-fewshot", DATASET, name, "--root", ".")
        yield Case(
            "pickled lists", "datasets", what, words, (name,), partial(write_lists, sound=sound, name=name, make=make)
        )
    for what, content in CACHES:
        words = ("fewshot", DATASET, "--root", ".", "--shots", "1", "--seeds", "1")
        yield Case(
            "cache",
            "datasets",
            what,
            words,
            (),
            partial(write_cache, sound=sound, content=content),
            status=0,
            why=REPLACED,
            said="is not used",
        )


def on_split(door: str, what: str, words: tuple[str, ...], prepare: Callable[[Path], None]) -> Case:
    """`check` answers with what it found, and exit status 1; the others refuse."""
    if words[0] == "check":
        return Case("split", door, what, words, prepare=prepare, status=1, why=FOUND, said="dtd")
    return Case("split", door, what, words, (SPLIT, "dtd"), prepare)


def write_split(folder: Path, sound: Sound, change: Callable[[dict], Any]) -> None:
    split = json.loads((sound.textures / "dtd" / SPLIT).read_text())
    write_bytes(folder, sound, json.dumps(change(split)).encode())


def write_bytes(folder: Path, sound: Sound, content: bytes) -> None:
    shutil.copytree(sound.textures / "dtd", folder / "dtd")
    (folder / "dtd" / SPLIT).write_bytes(content)


def write_lists(folder: Path, sound: Sound, name: str, make: Callable[[], bytes]) -> None:
    shutil.copytree(sound.textures / "dtd", folder / "dtd")
    (folder / name).write_bytes(make())


def write_cache(folder: Path, sound: Sound, content: bytes) -> None:
    shutil.copytree(sound.textures / "dtd", folder / "dtd")
    (folder / "dtd" / "split_fewshot").mkdir()
    (folder / "dtd" / "split_fewshot" / "shot_1-seed_1.json").write_bytes(content)
