"""ImageFolder: class folders, divided folders and tables, and what is said about each mistake."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from caspl.datasets.custom import ImageFolder
from caspl.datasets.files.storage import log_once
from caspl.ground.errors import InputError
from caspl.ground.images import image_suffixes, is_image, list_files

SIZES = {"ant": 10, "bee": 12, "cat": 8}
SPLIT_SHA256 = (
    "6c33649d65"  # of the split of `folder`, first digits: it is the same on every machine and for every seed
)


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (len(path.name), 0, 0)).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of class folders, one of which holds folders in turn, and things that are no images."""
    root = tmp_path / "my images"
    for name, size in SIZES.items():
        for index in range(size):
            write(
                root
                / name
                / ("sub" if name == "cat" and index % 2 else "")
                / f"{index}.{('png', 'JPG', 'webp')[index % 3]}"
            )
    (root / "ant" / "Thumbs.db").touch()
    (root / "bee" / ".hidden.png").touch()
    (root / ".git").mkdir()
    (root / "notes.txt").touch()
    return root


@pytest.fixture
def read(make_cfg):
    """A function that reads ImageFolder as a run would, with PATHS and CLASSNAMES."""

    def read(root: Path, *paths: str, names: str = "", **more) -> ImageFolder:
        cfg = make_cfg(root, **more)
        cfg.DATASET.PATHS, cfg.DATASET.CLASSNAMES = paths, names
        return ImageFolder(cfg)

    return read


def lists(data: ImageFolder) -> list[list[tuple]]:
    return [
        [(os.path.relpath(item.impath, data.image_dir), item.label, item.classname) for item in items]
        for items in (data.train_x, data.val, data.test)
    ]


# --- folders ---------------------------------------------------------------------------------------------------------
def test_class_folders(folder, read):
    data = read(folder)
    assert data.classnames == ["ant", "bee", "cat"]
    assert [len(items) for items in lists(data)] == [5 + 6 + 4, 2 + 2 + 2, 3 + 4 + 2]
    paths = [path for items in lists(data) for path, _, _ in items]
    assert len(set(paths)) == 30 and "cat/sub/1.JPG" in paths
    assert all(path.split("/")[0] == name for items in lists(data) for path, _, name in items)


def test_the_split_is_the_same_for_every_seed_and_place(folder, read, make_cfg, tmp_path):
    first = lists(read(folder, seed=1))
    kept = folder / ".caspl" / "split.json"
    assert hashlib.sha256(kept.read_bytes()).hexdigest()[:10] == SPLIT_SHA256
    assert lists(read(folder, seed=2)) == first
    kept.unlink()
    assert lists(read(folder, seed=-1)) == first
    folder.rename(tmp_path / "moved")
    assert lists(read(tmp_path / "moved")) == lists(read(tmp_path, "moved")) == first
    assert lists(ImageFolder(make_cfg(tmp_path / "moved"))) == first  # a host without the keys


def test_fewshot_and_halves_as_on_the_benchmarks(folder, read, caplog):
    few = read(folder, shots=2)
    assert [len(items) for items in lists(few)] == [6, 6, 9]
    assert (folder / ".caspl" / "split_fewshot" / "shot_2-seed_1.json").is_file()
    assert read(folder, shots=2).classnames == ["ant", "bee", "cat"]  # what was kept became no class
    base, new = read(folder, shots=2, subset="base"), read(folder, shots=2, subset="new")
    assert (base.classnames, new.classnames) == (["ant", "bee"], ["cat"])
    assert lists(base)[0] == [item for item in lists(few)[0] if item[1] < 2]
    assert any(message.startswith("Loading preprocessed") for message in caplog.messages)


def test_images_that_came_later(folder, read, caplog):
    before = lists(read(folder))
    write(folder / "ant" / "new.png")
    assert lists(read(folder)) == before
    assert "1 images, such as ant/new.png, are not in the split kept in" in caplog.text
    write(folder / "aardvark" / "0.png")
    with pytest.raises(
        InputError, match=r"class 'aardvark' is new, the split kept in .*split\.json does not know it; delete"
    ):
        read(folder)
    (folder / ".caspl" / "split.json").unlink()
    for index in range(1, 5):
        write(folder / "aardvark" / f"{index}.png")
    assert read(folder).classnames == ["aardvark", "ant", "bee", "cat"]
    (folder / "ant" / "0.png").unlink()
    assert sum(map(len, lists(read(folder)))) == 35
    assert "1 images, such as ant/0.png, of the split kept in" in caplog.text
    shutil.rmtree(folder / "bee")
    assert [data := read(folder), data.classnames][1] == ["aardvark", "ant", "cat"]
    (folder / ".caspl" / "split.json").write_text(
        json.dumps({part: [[f"cat/{part}.png", 0, "cat"]] for part in ("train", "val", "test")})
    )
    with pytest.raises(InputError, match="the class 'aardvark' is new, the split kept in .* delete that file"):
        read(folder)


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b""), lambda path: path.unlink()], ids=["empty", "missing"]
)
def test_a_run_that_fails_keeps_nothing(folder, read, spoil):
    rows = [f"{name}/{file}" for name in SIZES for file in list_files(str(folder / name)) if is_image(file)]
    table = folder / "t.csv"
    table.write_text(csv("path,classname", *(f"{row},{row.split('/')[0]}" for row in rows)))
    spoil(folder / rows[0])
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match=rows[0]):
        read(folder, "t.csv")
    assert sorted(folder.rglob("*")) == before
    table.write_text(csv("path,classname", *(f"{row},{row.split('/')[0]}" for row in rows[1:])))
    assert sum(map(len, lists(read(folder, "t.csv")))) == len(rows) - 1


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("train", "test"), ("train", "valid")])
def test_divided_folders(tmp_path, read, parts):
    for part in parts:
        for name in ("car", "train") if part == "train" else ("train",):
            for index in range(3):
                write(tmp_path / part / name / f"{index}.png")
    data = read(tmp_path)
    train, val, test = lists(data)
    assert data.classnames == ["car", "train"] and len(train) == 6 and len(test) == 3
    assert (len(val) == 3) == (parts[1] != "test")
    assert test[0] == (f"{parts[-1]}/train/0.png", 1, "train")
    assert not (tmp_path / ".caspl").exists()
    few = lists(read(tmp_path, shots=1))
    assert [len(items) for items in few] == [2, 1 if val else 0, 3]


def test_a_class_called_train(tmp_path, read):
    for name in ("bus", "train"):
        for index in range(4):
            write(tmp_path / name / f"{index}.png")
    assert read(tmp_path).classnames == ["bus", "train"]


def test_names_from_a_file(folder, read):
    (folder / "names.txt").write_text("Ameise\nHonigbiene\n\nKätzchen \n", encoding="utf-8")
    assert read(folder, names="names.txt").classnames == ["Ameise", "Honigbiene", "Kätzchen"]
    (folder / "names.txt").write_text("cat\tcat, sleeping\r\nant\tant\nbee\thoney bee\n")
    assert read(folder, names="names.txt").classnames == [
        "ant",
        "honey bee",
        "cat, sleeping",
    ]  # a split is kept already
    for content, message in (
        (
            "one\ntwo\n",
            "DATASET.CLASSNAMES. .*names.txt holds 2 names, expected 3, one for each class from 'ant' to 'cat'",
        ),
        ("ant\tA\nbee\tB\n", "has no line for the class 'cat'"),
        ("ant\tA\nbee\ncat\tC\n", "line 2 of .*names.txt is 'bee', expected class, tab, name as in the first line"),
        ("\n", "names.txt is empty, expected one name per line"),
    ):
        (folder / "names.txt").write_text(content)
        with pytest.raises(InputError, match=message):
            read(folder, names="names.txt")
    (folder / "names.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        read(folder, names="names.txt")
    with pytest.raises(InputError, match=r"nowhere.txt cannot be read \(No such file"):
        read(folder, names="nowhere.txt")


def test_odd_names_and_links(tmp_path, read):
    root = tmp_path / "daten ä"
    for name in ("größe 1", "日本"):
        for index in range(4):
            write(root / name / f"bild {index} ü.png")
    (root / "linked").symlink_to(root / "日本", target_is_directory=True)
    data = read(root)
    assert data.classnames == ["größe 1", "linked", "日本"] and len(data.train_x) == 6
    assert lists(read(root, shots=1)) == lists(read(root, shots=1))
    (root / "日本" / "loop").symlink_to(root, target_is_directory=True)
    with pytest.raises(InputError, match="loop.* is a link to a folder that contains it, .*; remove the link"):
        read(root)


def test_read_only_folder(folder, read, monkeypatch, caplog):
    first = lists(read(folder, shots=2))
    shutil.rmtree(folder / ".caspl")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("caspl.datasets.files.storage.replacing", refuse)
    monkeypatch.setattr("caspl.ground.files.os.open", refuse)
    assert lists(read(folder, shots=2)) == first
    assert "cannot be written to (Permission denied): splits and few-shot lists made here are not kept" in caplog.text
    assert not (folder / ".caspl").exists()


def test_folder_mistakes(folder, tmp_path, read):
    for where, message in (
        (folder / "ant", "my images/ant has no class folders, .* it holds images itself: pass the folder above"),
        (tmp_path, f"has the one class folder my images/, .* one level too high; pass {tmp_path}/my images"),
        (
            folder / "nothing",
            "nothing does not exist, expected a folder of class folders or a table that ends in .csv, .tsv, .jsonl or",
        ),
        (folder / "notes.txt", "notes.txt is no table"),
    ):
        with pytest.raises(InputError, match=message):
            read(where)
    (folder / "dog").mkdir()
    with pytest.raises(
        InputError, match=r"class folder .*/dog holds no images, expected some; add them or remove the folder"
    ):
        read(folder)
    write(folder / "dog" / "0.png")
    with pytest.raises(InputError, match="class 'dog' has 1 images, too few for train, val and test"):
        read(folder)
    shutil.rmtree(folder / "dog")
    (folder / "ant" / "0.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"ant/0\.png is empty \(0 bytes\)"):
        read(folder)
    with pytest.raises(InputError, match="PATHS names 2 paths, expected one"):
        read(folder, "ant", "bee")
    with pytest.raises(InputError, match=r"DATASET\.ROOT is empty"):
        read("")


def test_divided_mistakes(tmp_path, read):
    write(tmp_path / "train" / "ant" / "0.png")
    write(tmp_path / "test" / "bee" / "0.png")
    with pytest.raises(
        InputError, match="class 'bee' is in test and not in train, expected images of every class in train"
    ):
        read(tmp_path)


def test_files_are_found(tmp_path):
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".bmp",
        ".tiff",
        ".gif",
    } <= image_suffixes() and ".pdf" not in image_suffixes()
    with pytest.raises(InputError, match="nowhere cannot be read"):
        list_files(str(tmp_path / "nowhere"))


# --- as people have them ---------------------------------------------------------------------------------------------
def photos(root: Path, *folders: str, count: int = 4) -> Path:
    for number, folder in enumerate(folders):
        for index in range(count):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (number, index, 0)).save(root / folder / f"{index}.png")
    return root


WNIDS = ("n01440764", "n02085620-Chihuahua")


def test_a_wordnet_id_is_no_name(tmp_path, read):
    photos(tmp_path, *WNIDS)
    with pytest.raises(
        InputError, match=r"calls classes by WordNet ids such as n01440764, expected names, .*CLASSNAMES"
    ):
        read(tmp_path)
    assert not (tmp_path / ".caspl").exists()
    (tmp_path / "names.txt").write_text(
        "n00004475 organism\nn01440764 tench, Tinca tinca\nn02085620-Chihuahua small dog\n"
    )
    with pytest.raises(
        InputError, match=r"line 3 of .* is 'n02085620-Chihuahua small dog', expected WordNet id, blank, name"
    ):
        read(tmp_path, names="names.txt")
    (tmp_path / WNIDS[0]).rename(tmp_path / "n01440764-tench")
    assert read(tmp_path).classnames == ["tench", "Chihuahua"]
    (tmp_path / "t.csv").write_text(csv("path,classname", *(f"{WNIDS[1]}/{n}.png,n01440764" for n in range(4))))
    with pytest.raises(InputError, match=r"t\.csv calls classes by WordNet ids such as n01440764"):
        read(tmp_path, "t.csv")
    (tmp_path / "b.csv").write_text(csv("path,classname", *(f"{WNIDS[1]}/{n}.png,n01440764 1 2 3 4" for n in range(4))))
    with pytest.raises(InputError, match=r"b\.csv calls classes by WordNet ids such as n01440764"):
        read(tmp_path, "b.csv")


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (["1", "2", "10"], "called '1', '10' ...: CLIP is asked for these numbers, which say nothing of an image"),
        (["c0", "c1"], "called 'c0', 'c1' ...: CLIP is asked for these numbers, which say nothing"),
        (["001.Crow", "002.Owl"], "called '001.Crow', '002.Owl' ...: CLIP is asked for these numbers, too; for other"),
        (["Boeing 737", "A320"], ""),
        (["3D printer", "pug"], ""),
    ],
)
def test_names_of_numbers_are_told(tmp_path, read, caplog, folders, told):
    photos(tmp_path, *folders)
    read(tmp_path)
    assert told in caplog.text and ("CLIP is asked" in caplog.text) == bool(told)
    caplog.clear()
    names = "".join(f"{folder}\t{name}\n" for folder, name in zip(folders, ("crow", "owl", "emu"), strict=False))
    (tmp_path / "names.txt").write_text(names)
    assert read(tmp_path, names="names.txt").classnames[0] in ("crow", "owl") and "CLIP is asked" not in caplog.text


def test_folders_that_a_file_names_are_classes(tmp_path, read):
    photos(tmp_path, "Training/run", "Training/swim", "Testing/run", "Testing/swim")
    data = read(tmp_path)
    assert (data.classnames, len(data.train_x), len(data.test)) == (["run", "swim"], 8, 8)
    (tmp_path / "names.txt").write_text("Training\texercise\nTesting\texam\n")
    data = read(tmp_path, names="names.txt")
    assert (data.classnames, len(data.train_x), len(data.test)) == (["exam", "exercise"], 8, 4)
    (tmp_path / "names.txt").write_text("run\tjogging\nswim\tcrawl\n")
    assert read(tmp_path, names="names.txt").classnames == ["jogging", "crawl"]


def test_the_split_of_a_kept_folder_holds_on_a_mac(tmp_path, read):
    composed, apart = photos(tmp_path / "a", "caf\u00e9", "zoo"), photos(tmp_path / "b", "cafe\u0301", "zoo")
    first = read(composed)
    assert [data := read(apart), data.classnames][1] == first.classnames == ["caf\u00e9", "zoo"]
    files = [[os.path.basename(item.impath) for item in items] for items in (first.train_x, first.val, first.test)]
    assert [[os.path.basename(item.impath) for item in items] for items in (data.train_x, data.val, data.test)] == files
    shutil.copy(composed / ".caspl" / "split.json", apart / ".caspl" / "split.json")
    assert [item.impath for item in read(apart).train_x] == [item.impath for item in data.train_x]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ["train/cat", "train/dog", "test/Cat", "test/dog"],
            "class 'Cat' is in test and not in train, .* if it is 'cat'",
        ),
        (
            ["train/cat", "train/dog", "val/cats", "val/dog"],
            "class 'cats' is in val and not in train, .* if it is 'cat'",
        ),
        (
            ["train/cat", "train/dog", "test/emu", "test/dog"],
            "class 'emu' is in test and not in train, .* add some or remove",
        ),
        (["cat"], "has the one class 'cat', expected two or more to tell apart"),
        (["train/cat", "test/cat"], "has the one class 'cat'"),
    ],
)
def test_classes_that_do_not_fit(tmp_path, read, folders, message):
    photos(tmp_path, *folders)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        read(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_clip_reads_alike(tmp_path, read, caplog):
    photos(tmp_path, "Great_Dane", "great dane", "pug")
    assert len(read(tmp_path).classnames) == 3
    told = "labels 0 and 1 are called 'Great_Dane' and 'great dane', no prompt can tell them apart; if they are one"
    assert told in caplog.text


def test_what_is_told(tmp_path, read, caplog):
    photos(tmp_path, "train/cat", "train/dog", "test/cat")
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "train/dog/9.png")
    shutil.copy(tmp_path / "train/cat/1.png", tmp_path / "test/cat/9.png")
    assert read(tmp_path).classnames == ["cat", "dog"]
    for said in (
        "has no test images of 1 of the 2 classes, such as 'dog'",
        "train/cat/0.png and train/dog/9.png have the same content and different classes, 'cat' and 'dog'",
        "train/cat/1.png and test/cat/9.png have the same content, the first in train and the second in val or test",
    ):
        assert said in caplog.text


# --- tables ----------------------------------------------------------------------------------------------------------
def csv(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def rows_of(folder: Path) -> list[tuple[str, int, str]]:
    return [
        (f"{name}/{path.relative_to(folder / name)}", label, name)
        for label, name in enumerate(SIZES)
        for path in sorted((folder / name).rglob("*.*"))
        if path.suffix != ".db" and path.name[0] != "."
    ]


def test_a_table_gives_what_the_folders_give(folder, read):
    as_folders = read(folder)
    rows = rows_of(folder)
    (folder / "a.csv").write_text(
        csv("path,label,classname", *(f"{p},{n},{c}" for p, n, c in rows)), encoding="utf-8-sig"
    )
    (folder / "b.csv").write_text(csv("Class Name,PATH", *(f'"{c}",{folder}/{p}' for p, n, c in rows)))
    (folder / "c.jsonl").write_text(csv(*(json.dumps({"path": p, "label": n}) for p, n, c in rows), "", ""))
    (folder / "names.txt").write_text("ant\nbee\ncat\n")
    for table, names in (("a.csv", ""), ("b.csv", ""), ("c.jsonl", "names.txt")):
        data = read(folder, table, names=names)
        assert data.classnames == as_folders.classnames
        assert [sorted(items)[0][1:] for items in lists(data)] == [sorted(items)[0][1:] for items in lists(as_folders)]
        assert [len(items) for items in lists(data)] == [15, 6, 9]
        again = read(folder, table, names=names, shots=2)
        assert lists(again) == lists(read(folder, table, names=names, shots=2))
    assert (folder / ".caspl" / "a" / "split.json").is_file() and (folder / ".caspl" / "b" / "split_fewshot").is_dir()
    assert read(folder).classnames == ["ant", "bee", "cat"]


def test_a_divided_table(folder, read):
    (folder / "t.csv").write_text(
        csv(
            "path,classname,split",
            "cat/0.png,zebra,train",
            "bee/0.png,ape,Train",
            "ant/0.png,ape,test",
            "ant/1.JPG,zebra,validation",
        )
    )
    assert lists(read(folder, "t.csv")) == [
        [("cat/0.png", 1, "zebra"), ("bee/0.png", 0, "ape")],
        [("ant/1.JPG", 1, "zebra")],
        [("ant/0.png", 0, "ape")],
    ]
    assert read(folder, "t.csv", subset="new").classnames == ["zebra"]


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:100], lambda text: "", lambda text: "[" * 9_000, lambda text: text.replace("0,", "7,")],
)
def test_a_damaged_split_of_our_own_is_made_anew(folder, read, damage, caplog):
    first = lists(read(folder))
    kept = folder / ".caspl" / "split.json"
    whole = kept.read_text()
    kept.write_text(damage(whole))
    log_once.cache_clear()
    assert lists(read(folder)) == first and kept.read_text() == whole
    assert sum(str(kept) in message and "it is made anew" in message for message in caplog.messages) == 1


def test_a_class_folder_with_an_impossible_name(folder, read):
    (folder / "ant").rename(folder / os.fsdecode(b"\xff"))
    with pytest.raises(InputError, match=r"class name of label 2 holds the hidden character \\udcff"):
        read(folder)
