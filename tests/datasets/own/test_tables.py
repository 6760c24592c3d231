"""Tables as people have them: which columns say what, where the images lie, and what is said about each mistake."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import pytest
from dassl.utils import reset_logger
from PIL import Image
from sklearn.datasets import load_digits
from yacs.config import CfgNode

from caspl.datasets import __main__ as of_datasets
from caspl.datasets.custom import ImageFolder
from caspl.datasets.files.keys import KEYS, extend_cfg
from caspl.datasets.own.rows import label_rows
from caspl.datasets.own.tables import read_table
from caspl.ground.errors import InputError
from caspl.ground.keys import problems
from caspl.ground.names.matching import NamesFile

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
IDS = [f"0{number:x}c" for number in range(12)]
CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "my data"


def images(folder: Path, *paths: str) -> Path:
    """Images at paths; "a/*.png" are twelve, one for each of IDS."""
    for path in paths:
        for name in IDS if "*" in path else [""]:
            place = folder / path.replace("*", name)
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(place)
    return folder


def lines(header: str, row: str, ends: str = "\n") -> str:
    """A header and twelve rows, whose {id}, {name}, {label} and {row} are filled in."""
    rows = [row.format(id=name, name=CLASSES[n % 3], label=n % 3, row=n) for n, name in enumerate(IDS)]
    return ends.join([header, *rows, ""])


def expected(place: str, key: str = "name") -> list[tuple[str, object]]:
    values = CLASSES if key == "name" else range(3)
    return [(place.format(id=name), values[n % 3]) for n, name in enumerate(IDS)]


# --- columns ---------------------------------------------------------------------------------------------------------
COLUMNS = {
    # header: (row, "name" or "label", what the image column has for a path)
    "image,label": ("{id}.png,{name}", "name"),
    "id_code,diagnosis": ("{id},{label}", "label"),
    "filename,class": ("{id}.png,{name}", "name"),
    "image_id,label": ("{id},{label}", "label"),
    "Image Name,Label": ("{id}.png,{name}", "name"),
    "file,species": ("{id}.png,{name}", "name"),
    "img_path,target": ("{id}.png,{label}", "label"),
    "id,breed": ("{id},{name}", "name"),
    ",filename,class": ("{row},{id}.png,{name}", "name"),
    "Unnamed: 0,image,label": ("{row},{id}.png,{label}", "label"),
    "Unnamed: 0.1,Unnamed: 0,id,breed": ("{row},{row},{id},{name}", "name"),
    "category,width,height,file_name": ("{name},64,64,{id}.png", "name"),
    "Image Index,Finding Labels,Patient Age": ("{id}.png,{name},{row}", "name"),
    "label_idx,image,camera": ("{label},{id}.png,a", "label"),
    "url,what,when": ("{id}.png,{name},{row}", "name"),
    ",0": ("{id}.png,{name}", "name"),
    "image,label,": ("{id}.png,{name},", "name"),
    "image,y": ("{id},{label}.0", "label"),
    "image,label ": (' "{id}.png" , {name} '.replace('"', ""), "name"),
}


@pytest.mark.parametrize("header", COLUMNS)
def test_columns_are_recognised(folder, header):
    row, key = COLUMNS[header]
    images(folder, "*.png")
    (folder / "t.csv").write_text(lines(header, row))
    assert [(row.impath, row.key) for row in read_table(str(folder / "t.csv"))] == expected("{id}.png", key)


def test_numbers_and_names_that_say_the_same(folder):
    """Labels give the order, names the prompts; also where the names' header says nothing."""
    images(folder, "*.png")
    for header in ("image,class_id,class_name", "image,label,species", "image,label,other,name"):
        row = "{id}.png,{label}," + ("{row}," if "other" in header else "") + "the {name}"
        (folder / "t.csv").write_text(lines(header, row))
        rows = read_table(str(folder / "t.csv"))
        assert [(row.key, row.classname) for row in rows[:3]] == [(0, "the ant"), (1, "the bee"), (2, "the cat")]


def test_ids_are_no_labels_and_labels_no_ids(folder):
    """Images 0.png to 11.png: every whole number in the table is the name of one."""
    images(folder, *(f"{number}.png" for number in range(12)))
    (folder / "t.csv").write_text(lines("diagnosis,id", "{label},{row}"))
    assert [row[:2] for row in read_table(str(folder / "t.csv"))] == [(f"{n}.png", n % 3) for n in range(12)]


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Training", "dev", "TESTING"), ("TRAIN", "eval", "Test")])
@pytest.mark.parametrize("header", ["split", "data set", "whatever"])
@pytest.mark.parametrize("image", ["image", "path"])
def test_a_column_of_parts(folder, words, header, image):
    images(folder, "*.png")
    rows = [f"{name}.png,{CLASSES[n % 3]},{words[n // 3 % 3]}" for n, name in enumerate(IDS)]
    (folder / "t.csv").write_text("\n".join([f"{image},label,{header}", *rows]))
    parts = [row.part for row in read_table(str(folder / "t.csv"))]
    assert parts == [("train", "val", "test")[n // 3 % 3] for n in range(12)]


def test_what_was_read_is_read_as_it_was(folder, caplog):
    """A table with path and a class: other columns say nothing, whatever their headers; that they could is told."""
    images(folder, "*.png")
    words = [("train", "val", "test")[n // 3 % 3] for n in range(12)]
    rows = [
        f"./{name}.png,{CLASSES[n % 3]},{n % 2},{word}" for (n, name), word in zip(enumerate(IDS), words, strict=True)
    ]
    (folder / "t.csv").write_text("\n".join(["Path,Class Name,target,phase", *rows]))
    read = read_table(str(folder / "t.csv"))
    assert read == [(f"./{name}.png", CLASSES[n % 3], CLASSES[n % 3], "") for n, name in enumerate(IDS)]
    (said,) = caplog.messages
    assert 'the column "phase"' in said and "is not read" in said
    assert [row.part for row in read_table(str(folder / "t.csv"), followed(said))] == words


def followed(sentence: str, key: str = "COLUMNS") -> list[str]:
    """The value of a key of DATASET that a sentence advises, as it goes through a shell and a configuration."""
    cfg = CfgNode({"DATASET": {}})
    extend_cfg(cfg)
    words = shlex.split(sentence[re.search(rf"DATASET\.{key} [\"']\[", sentence).start() :])
    cfg.merge_from_list(words[:2])
    again = CfgNode.load_cfg(cfg.dump())  # YAML
    assert list(cfg.DATASET[key]) == again.DATASET[key] and not problems(cfg, KEYS)
    return list(cfg.DATASET[key])


UNCLEAR = [
    ("id,breed,coat", "{id},{name},{label}x", 'the class may be "breed" or "coat"'),
    ("image,class,category", "{id}.png,{label}x,{name}", 'the class may be "class" or "category"'),
    ('image,it\'s,a "b"', "{id}.png,{name},{label}x", "the class may be"),
    ("image,$class,`class`", "{id}.png,{name},{label}x", "the class may be"),
    ("image,class_id,label_id", "{id}.png,{label},{row}", 'the class may be "class_id" or "label_id"'),
    ("a,b,label", "{id}.png,{id},{name}", ""),
    ("image,label,phase,set", "{id}.png,{name},train,dev", ""),
]


@pytest.mark.parametrize(("header", "row", "message"), UNCLEAR)
def test_what_is_not_clear_is_asked_for_and_can_be_answered(folder, header, row, message):
    images(folder, "*.png")
    (folder / "t.csv").write_text(lines(header.replace('"', '""').replace('a ""b""', '"a ""b"""'), row))
    if not message:  # said in other columns than one thinks, and clear all the same
        assert [row.impath for row in read_table(str(folder / "t.csv"))] == [f"{name}.png" for name in IDS]
        return
    with pytest.raises(InputError, match="has the columns .* say which") as caught:
        read_table(str(folder / "t.csv"))
    assert message in str(caught.value)
    rows = read_table(str(folder / "t.csv"), followed(str(caught.value)))
    assert len(rows) == 12 and len({row.key for row in rows}) in (3, 12)


def test_given_columns(folder):
    images(folder, "a/*.png", "b/*.png")
    (folder / "t.csv").write_text(lines("id,breed,Other Path,part", "{id},{name},b/{id}.png,train"))
    given = ["path = Other Path", "classname=breed"]
    assert [row[:2] for row in read_table(str(folder / "t.csv"), given)] == expected("b/{id}.png")
    with pytest.raises(
        InputError, match='says that classname is "Bred", but .* has the columns "id", "breed"'
    ) as caught:
        read_table(str(folder / "t.csv"), ["classname=Bred", "path=Other Path"])
    assert followed(str(caught.value)) == ["classname=breed", "path=Other Path"]
    numbers = lines("image,digit", "a/{id}.png,{label}")
    (folder / "t.csv").write_text(numbers)
    assert [row.key for row in read_table(str(folder / "t.csv"), ["classname=digit"])][:3] == ["0", "1", "2"]


@pytest.mark.parametrize("wrong", [["name=x"], ["path"], ["path=a", "path=b"], "path=a", [1]])
def test_columns_that_cannot_be(wrong):
    cfg = CfgNode({"DATASET": {"COLUMNS": wrong}})
    (problem,) = problems(cfg, KEYS)
    assert problem.startswith("DATASET.COLUMNS is ") and "expected a list of texts, path=, label=" in problem


# --- images ----------------------------------------------------------------------------------------------------------
PLACES = [
    # images, table, what it says of an image, which one is meant
    ("train_images/*.png", "train.csv", "{id}", "train_images/{id}.png"),
    ("train/*.JPG|test/*.jpg", "train.csv", "{id}.jpg", "train/{id}.JPG"),
    ("a/b/*.png", "t.csv", "{id}.png", "a/b/{id}.png"),
    ("birds/*.png", "t.csv", "birds\\{id}.png", "birds/{id}.png"),
    ("birds/*.png", "t.csv", "./birds/{id}", "birds/{id}.png"),
    ("birds/*.png", "t.csv", ".\\birds\\{id}.png", "birds/{id}.png"),
    ("birds/*.png", "t.csv", "C:\\Users\\me\\data\\birds\\{id}.png", "birds/{id}.png"),
    ("birds/*.png", "t.csv", "/content/drive/data/birds/{id}.png", "birds/{id}.png"),
    ("birds/*.png", "t.csv", "../input/birds/{id}.png", "birds/{id}.png"),
    ("birds/*.png", "t.csv", "{folder}/birds/{id}.png", "birds/{id}.png"),
    ("birds/*.png|copy/*.png", "t.csv", "birds/{id}.png", "birds/{id}.png"),
    ("birds/*.png|copy/birds/*.png|copy/extra.png", "t.csv", "x/copy/birds/{id}", "copy/birds/{id}.png"),
    ("birds/*.txt.png", "t.csv", "{id}.txt", "birds/{id}.txt.png"),
    ("birds/*.png|.hidden/*.png|__MACOSX/birds/*.png", "t.csv", "{id}", "birds/{id}.png"),
    ("Birds/*.JPG", "t.csv", "birds/{id}.jpg", "Birds/{id}.JPG"),
    ("größe/*.png", "t.csv", "gro\u0308ße/{id}.png", "größe/{id}.png"),
]


@pytest.mark.parametrize(("there", "table", "said", "meant"), PLACES)
def test_images_are_found(folder, there, table, said, meant):
    images(folder, *there.split("|"))
    (folder / table).write_text(
        lines("image,label", said.replace("{folder}", str(folder)) + ",{name}"), encoding="utf-8"
    )
    assert [row[:2] for row in read_table(str(folder / table))] == expected(meant)


def test_images_in_several_folders(folder):
    """One name here, another there; and the same names in the folders of two parts."""
    for number, name in enumerate(IDS):
        images(folder, f"part {number % 2}/{name}.png")
    (folder / "t.csv").write_text(lines("image_id,dx", "{id},{name}"))
    assert [row.impath for row in read_table(str(folder / "t.csv"))] == [
        f"part {n % 2}/{name}.png" for n, name in enumerate(IDS)
    ]
    other = images(folder / "other", "train/*.png", "test/*.png")
    parts = ["train" if n < 6 else "test" for n in range(12)]
    rows = [f"{name}.png,{CLASSES[n % 3]},{part}" for (n, name), part in zip(enumerate(IDS), parts, strict=True)]
    (other / "t.csv").write_text("\n".join(["image,label,split", *rows]))
    assert [row.impath for row in read_table(str(other / "t.csv"))] == [
        f"{p}/{i}.png" for p, i in zip(parts, IDS, strict=True)
    ]


def test_images_with_the_same_names_in_the_folders_of_their_classes(folder):
    images(folder, *(f"{part}/{name}/*.png" for part in ("train", "test") for name in CLASSES))
    rows = [(name, kind, ("train", "Test")[n % 2]) for n, name in enumerate(IDS) for kind in CLASSES]
    (folder / "t.csv").write_text("\n".join(["filename,class,split", *map(",".join, rows)]))
    meant = [f"{part.lower()}/{kind}/{name}.png" for name, kind, part in rows]
    assert [row.impath for row in read_table(str(folder / "t.csv"))] == meant


def test_what_is_missing_is_not_taken_from_another_class(folder):
    images(folder, "dog/*.png", *(f"cat/{name}.png" for name in IDS[:4]))
    (folder / "t.csv").write_text(lines("image,label", "data/cat/{id}.png,{name}"))
    with pytest.raises(
        InputError, match=rf"8 of the 12 images that .* are missing, the first is data/cat/{IDS[4]}\.png"
    ):
        read_table(str(folder / "t.csv"))


# --- files -----------------------------------------------------------------------------------------------------------
PLAIN = lines("image,label", "{id}.png,{name}")
OBJECTS = [{"image": f"{name}.png", "label": CLASSES[n % 3]} for n, name in enumerate(IDS)]
FILES = [
    ("t.csv", PLAIN.encode("utf-8-sig")),
    ("t.csv", PLAIN.encode("utf-16")),
    ("t.csv", PLAIN.replace("\n", "\r\n").encode()),
    ("t.csv", (PLAIN + "\n  \n,\n , \n").encode()),
    ("t.csv", PLAIN.replace(",", ";").encode()),
    ("t.csv", PLAIN.replace(",", "\t").encode()),
    ("t.tsv", PLAIN.replace(",", "\t").encode()),
    ("t.CSV", PLAIN.replace(".png,", '.png  ,"').replace("\n", '"\n').replace('label"', "label").encode()),
    ("t.jsonl", "\n".join(map(json.dumps, OBJECTS)).encode()),
    ("t.jsonl", "\n\n".join(map(json.dumps, [OBJECTS[0] | {"more": [1]}, *OBJECTS[1:]])).encode("utf-8-sig")),
    ("t.json", json.dumps(OBJECTS, indent=2).encode()),
    ("t.json", json.dumps([one | {"label": [one["label"]]} for one in OBJECTS]).encode()),
]


@pytest.mark.parametrize(("name", "content"), FILES)
def test_files_are_read(folder, name, content):
    images(folder, "*.png")
    (folder / name).write_bytes(content)
    assert [row[:2] for row in read_table(str(folder / name))] == expected("{id}.png")


# --- mistakes --------------------------------------------------------------------------------------------------------
MANY = "which no method here takes, expected one class for each image"
MISTAKES = {
    "a.csv": [
        ("", "lists no images"),
        ("path,label\n", "lists no images"),
        ("path,label\n\n,\n", "lists no images"),
        ("ant/x.png,0\n", r"the first line of .*a\.csv has 'ant/x\.png', expected the names of the columns"),
        ("file,note\nx,0\ny,b\na.png,b\n", r"line 3 of .* has the note 'b', expected a whole number from 0"),
        ("where,label\nz,0\n", r'has the columns "where", "label", and none names images that are in'),
        ("image,label\nz,0\n", 'none of the 1 images that .* lists in "image" is in .* the first would be z'),
        ("image,label\nx,0\ny,1\nz,1\n", r"1 of the 3 images that .* lists are missing, the first is z \(line 4\)"),
        ("path label\nx 0\n", 'has the one column "path label", expected two or more with commas'),
        ("path,split\nx,train\n", 'has the columns "path", "split", and none that could be the class of an image'),
        ("image,caption\nx,a man\ny,a dog\n", 'has the columns "image", "caption", and none that could be the class'),
        (
            "path,label\nx,-1\n",
            "has the label '-1', expected a whole number from 0; .*\"\\['path=path', 'classname=label'\\]\"",
        ),
        ("path,label\nx,cat\ny,1\n", "line 2 of .* has the label 'cat', expected a whole number from 0"),
        ("image,label\nx,1.5\ny,1\n", "line 2 of .* has the label '1.5', expected a whole number from 0"),
        ("path,classname\nx,\n", "line 2 of .* has no classname, expected one; fill it in or remove the line"),
        ("path,classname\nx\n", "line 2 of .* has no classname"),
        ("image,label\nx,1\ny,NaN\n", r"line 3 of .* has no label \(NaN\)"),
        ("image,label\nx,a\ny,nan\n", r"line 3 of .* has no label \(nan\)"),
        ("image,label\n,a\ny,b\n", "line 2 of .* has no image"),
        (
            "path,classname\nx,cat, old\n",
            "line 2 of .* has more values than there are columns; put values that hold a comma",
        ),
        ("path;classname\nx;cat;old\n", "put values that hold a semicolon in quotes"),
        ("path,label,classname\nx,0,a\ny,0,b\n", "label 0 is called both 'a' and 'b'"),
        ("path,label,classname\nx,0,a\ny,2,b\n", "has no image of label 1, expected every label from 0 to 2"),
        ("path,label\nx,2\ny,3\n", "has no image of label 1, expected every label from 1 to 3"),
        (
            "path,label\nx,0\n",
            "has no column classname, and label 0 no name; write a file below the root with the names of the 1",
        ),
        (
            "path,label\nx,1.0\ny,2.0\n",
            "names of the 2 classes, one per line from label 1 to 2.*DATASET.CLASSNAMES names.txt",
        ),
        ("path,classname,split\nx,a,exam\n", "has the split 'exam', expected train, val or test"),
        ("path,classname,split\nx,a,0\n", "has the split '0', expected train, val or test"),
        ("path,classname,split\nx,a,\n", "has no split"),
        (
            "path,classname,split\nx,a,train\n",
            "has images for train only, expected train and at least one of val and test",
        ),
        ("path,classname,split\nv,a,train\nw,a,test\n", 'none of the 2 images that .* lists in "path" is in'),
        ('path,classname\n"x,a\n', r"a\.csv is not CSV"),
        ("path,label\nx," + "9" * 10_000 + "\n", "has the label '9{80}', expected a whole number from 0"),
        ("path,label\nx,\u00b2\n", "has the label '\u00b2', expected a whole number from 0"),
        ("path,label\nx,1e3\n", "has the label '1e3', expected a whole number from 0"),
        ("path,classname\n../x,a\n", r"none names|line 2 of .* has the path out of the folder \.\./x, expected one in"),
        ("path,classname\n/etc/passwd,a\n", r"line 2 of .* has the path out of the folder /etc/passwd, expected"),
        ("path,classname\nx\0y,a\n", "line 2 of .* has the impossible path"),
        ("path,classname\nx,a\x1b[2J\n", r"a\.csv: the class name of label 0 holds the hidden character \\x1b"),
        ('path,classname\nx,"a\nb"\n', r"the class name of label 0 holds the hidden character \\n"),
        ("path,classname\nx," + "a" * 2_000 + "\n", "the class name of label 0 has 2,000 characters"),
        ("path,classname\nx," + "a" * 200_000 + "\n", r"a\.csv is not CSV \(field larger than"),
        ("path,Path,classname\nx,y,a\n", "has the column 'path' twice, expected one"),
        (",".join(map(str, range(2_000))) + "\nx\n", "has more than 1,000 columns, expected few"),
        (b"path,classname\n\xff,a\n", r"a\.csv is not text in UTF-8; save it in this encoding"),
        ("path,classname\nx,a\n".encode("utf-16-le"), r"a\.csv is not text in UTF-8"),
    ],
    "several labels.csv": [
        ("image,labels\nx,cat|dog\ny,dog\n", f'line 2 of .* has several labels in "labels", "cat|dog": .*{MANY}'),
        ("image,labels\nx,a;b\ny,b;c\n", '"a;b"'),
        ("image,labels\nx,scab rust\ny,scab\na.png,rust\n", '"scab rust"'),
        ('image,labels\nx,"scab, rust"\ny,scab\na.png,rust\n', '"scab, rust"'),
        ("Id,Target\nx,16 0\ny,1\n", 'several labels in "Target", "16 0"'),
        ("Id,Target\nx,16|0\ny,1\n", '"16|0"'),
        ("image,labels\nx,\"['a', 'b']\"\ny,\"['a']\"\n", r"\['a', 'b'\]"),
        ("image,label\nx,cat\ny,dog\nx,dog\n", f"line 4 of .* gives x the class 'dog', and line 2 'cat', {MANY[28:]}"),
        ("image,label\nx,0\n./x,1\n", "line 3 of .* gives ./x the class 1, and line 2 0"),
        (
            "id,scab,rust\nx,1,0\ny,0,1\n",
            r"a column of 0 and 1 for each class, \"scab\" and \"rust\" \(one-hot\), .*idxmax",
        ),
        ("id,scab,rust\nx,1,1\ny,0,1\n", f"of which 2 are 1 in line 2 of .* \\(multi-label\\), {MANY}"),
        ("id,scab,rust\nx,0,0\ny,0,1\n", f"\\(multi-label\\), {MANY}"),
        ("id,age,a,b,c\nx,7,1,1,0\ny,8,0,1,0\n", 'multi-label.*if "age" is the class, DATASET.COLUMNS'),
        ("id,Smiling,Young\nx,1,-1\ny,1,1\n", "multi-label"),
        ("id,a,b\nx,True,False\ny,False,True\n", "one-hot"),
    ],
    "a.jsonl": [
        ("{\n", r"line 1 of .*a\.jsonl is not JSON"),
        ("[1]\n", r"line 1 of .* is '\[1\]', expected an object with path, label and classname"),
        ('{"path": "x", "label": 0}\n{"path": "y", "classname": "a"}\n', "line 1 of .* has no classname"),
        ('{"path": "x", "label": 0.5}\n', "has the label '0.5'"),
        ('{"path": "x", "label": 1e999}\n', "has the label 'inf'"),
        ('{"path": "x", "label": NaN}\n', r"has no label \(nan\)"),
        ('{"path": "x", "label": ["a", "b"]}\n', "several labels"),
        ('{"path": "x", "label": ' + "9" * 10_000 + "}\n", r"line 1 of .*a\.jsonl is not JSON \(Exceeds the limit"),
        ('{"path": ' + "[" * 100_000 + "\n", r"line 1 of .*a\.jsonl is not JSON \(maximum recursion"),
        ('{"path": "x", "path": "y", "label": 0}\n', r'line 1 of .*a\.jsonl is not JSON \("path" stands there twice'),
        ('{"path": "x", "classname": null}\n', "has no classname"),
    ],
    "a.json": [
        ('{"images": [], "annotations": []}', "is an object with images, annotations, expected a list of objects"),
        ("3", "is int, expected a list of objects"),
        ("[3]", "entry 1 of .* is '3', expected an object"),
        ('[{"path": "x", "label": "a"}, {"path": "y"}]', "entry 2 of .* has no label"),
        ("[", "is not JSON"),
    ],
    "a.parquet": [("PAR1", r"is no table, .*convert it: python -c 'import pandas; pandas\.read_parquet\(")],
    "a.xlsx": [("PK", r"is no table, .*convert it: python -c 'import pandas; pandas\.read_excel\(")],
    "a.txt": [("x 0", "is no table, .* correct --root")],
}


@pytest.mark.parametrize(("file", "content", "message"), [(f, c, m) for f, pairs in MISTAKES.items() for c, m in pairs])
def test_mistakes(tmp_path, make_cfg, file, content, message):
    images(tmp_path, "a.png")
    for name in ("x", "y"):  # names without an ending, too
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    cfg = make_cfg(tmp_path)
    cfg.DATASET.PATHS = (file,)
    with pytest.raises(InputError, match=message) as caught:
        ImageFolder(cfg)
    assert "\n" not in str(caught.value) and file in str(caught.value)
    assert not list(tmp_path.rglob("split.json"))


@pytest.mark.parametrize("header", ["label,pixel0,pixel1", "emotion,pixels,Usage"])
def test_a_table_of_pixels(tmp_path, header):
    (tmp_path / "t.csv").write_text(f"{header}\n0,1,Training\n1,2,Training\n0,3,Training\n")
    with pytest.raises(InputError, match="there are no images in .* where its cells are pixels, write these as images"):
        read_table(str(tmp_path / "t.csv"))


def test_two_files_for_a_name(folder):
    images(folder, "a/*.png", "b/*.png")
    (folder / "t.csv").write_text(lines("image,label", "{id},{name}"))
    with pytest.raises(InputError, match=r"line 2 of .* has the image 00c, which may be a/00c\.png or b/00c\.png in"):
        read_table(str(folder / "t.csv"))


@pytest.mark.parametrize(
    "names",
    [
        ("golden retriever", "labrador retriever", "poodle"),
        ("bear", "polar bear", "brown bear"),
        ("hot dog", "dog", "cat"),
        ("black & white", "white", "grey"),
        ("Audi S4 Sedan 2012", "Audi S4 Sedan 2007", "BMW M3"),
        ("a/b", "b", "c"),
        ("Mac, 15 inch", "Mac, 13 inch", "other"),
        ("v1|a", "c", "d"),
    ],
)
def test_names_of_several_words_are_names(folder, names):
    images(folder, "*.png")
    (folder / "t.csv").write_text(
        "image,label\n" + "".join(f'{name}.png,"{names[n % 3]}"\n' for n, name in enumerate(IDS))
    )
    assert [row.classname for row in read_table(str(folder / "t.csv"))] == [names[n % 3] for n in range(12)]


def test_combinations_of_words_are_several_labels(folder):
    """As in Planet's tags: no word stands alone, and most values are others with one word more."""
    words = ["agriculture", "clear", "primary", "road", "water"]
    tags = [" ".join(word for bit, word in enumerate(words) if mask >> bit & 1) for mask in range(32)]
    tags = [tag for tag in tags if tag.count(" ") > 0] * 2
    images(folder, *(f"{n}.png" for n in range(len(tags))))
    (folder / "t.csv").write_text("image_name,tags\n" + "".join(f"{n},{tag}\n" for n, tag in enumerate(tags)))
    with pytest.raises(InputError, match="several labels"):
        read_table(str(folder / "t.csv"))


def test_images_listed_twice_are_told(folder, caplog):
    images(folder, "*.png")
    (folder / "t.csv").write_text(PLAIN + f"./{IDS[0]}.png,ant\n{IDS[1]}.png,bee\n")
    assert len(read_table(str(folder / "t.csv"))) == 14
    assert f"lists 2 images more than once, such as {IDS[0]}.png in the lines 2 and 14; remove" in caplog.messages[-1]
    (folder / "t.csv").write_text(f"image,label,split\n{IDS[0]}.png,ant,train\n{IDS[0]}.png,ant,test\n")
    read_table(str(folder / "t.csv"))
    assert "in the lines 2 and 3, which are in train and in test" in caplog.messages[-1]


# --- the whole dataset -----------------------------------------------------------------------------------------------
def test_a_corrected_table_works(folder, make_cfg):
    """What fails keeps nothing; and a class that changes later keeps its image where it is."""
    images(folder, "train_images/*.png")
    table = folder / "train.csv"
    cfg = make_cfg(folder)
    cfg.DATASET.PATHS = ("train.csv",)
    for wrong in (
        "id,label\n" + "x,ant\n" * 12,
        PLAIN.replace(f"{IDS[5]}.png,cat", f"{IDS[5]}.png,"),
        PLAIN.replace("ant", "ant,x"),
    ):
        table.write_text(wrong)
        with pytest.raises(InputError):
            ImageFolder(cfg)
        assert not list(folder.rglob("split.json"))
    table.write_text(PLAIN)
    first = ImageFolder(cfg)
    assert first.classnames == list(CLASSES) and len(first.train_x) == 6
    table.write_text(PLAIN.replace("cat", "zebu"))
    again = ImageFolder(cfg)
    assert again.classnames == ["ant", "bee", "zebu"]
    assert [item.impath for item in again.train_x] == [item.impath for item in first.train_x]


def test_columns_of_a_folder(folder, make_cfg):
    images(folder, "ant/*.png", "bee/*.png")
    cfg = make_cfg(folder)
    cfg.DATASET.COLUMNS = ["path=image"]
    with pytest.raises(InputError, match=r"DATASET\.COLUMNS is \['path=image'\], but .* is a folder, expected a table"):
        ImageFolder(cfg)


NAMES = [
    # the first label, the file of names, the names of the first and last class; "" where it is refused
    (0, "\n".join("abcdefghijkl"), "al"),
    (1, "\n".join("abcdefghijkl"), "al"),
    (1, "\n".join(f"{n} {name}" for n, name in enumerate("abcdefghijkl", 1)), "al"),
    (0, "\n".join(f"{n} {name}" for n, name in enumerate("abcdefghijkl", 1)), ""),
    (1, "\n".join(f"{n} {name}" for n, name in enumerate("abcdefghijkl")), ""),
    (0, "\n".join("abcdefghijk"), ""),
]


@pytest.mark.parametrize(("first", "names", "ends"), NAMES)
def test_names_of_numbers(folder, first, names, ends):
    """Also where labels count from 1; numbers beside the names are those of the labels, or nobody's."""
    images(folder, "*.png")
    (folder / "t.csv").write_text("image,label\n" + "".join(f"{name},{n}.0\n" for n, name in enumerate(IDS, first)))
    (folder / "names.txt").write_text(names)
    rows = read_table(str(folder / "t.csv"))
    file = NamesFile(folder / "names.txt", "the file of class names")
    if not ends:
        with pytest.raises(
            InputError, match="has the numbers . to 1. beside its names, expected|holds 11 names, expected 12"
        ):
            label_rows(rows, "t.csv", file)
        return
    items = label_rows(rows, "t.csv", file)
    assert [item.label for item in items] == list(range(12))
    assert items[0].classname + items[-1].classname == ends


def test_a_folder_with_a_table_in_it_names_it(folder, make_cfg, caplog):
    """As one unzips it: images in one folder, and the table beside that; or folders that happen to look like classes."""
    images(folder, "train_images/*.png")
    for name in ("sample_submission.csv", "test.csv", "train.csv"):
        (folder / name).write_text(PLAIN)
    cfg = make_cfg(folder)
    with pytest.raises(
        InputError, match=r"the table train\.csv beside them is not read: to read it, write DATASET"
    ) as caught:
        ImageFolder(cfg)
    cfg.DATASET.PATHS = followed(str(caught.value), "PATHS")
    assert ImageFolder(cfg).classnames == list(CLASSES)
    parts = images(folder / "parts", "left/*.png", "right/*.png")
    (parts / "meta.csv").write_text(PLAIN)
    cfg.DATASET.PATHS = ["parts"]
    assert ImageFolder(cfg).classnames == ["left", "right"]
    assert "are read as classes; the table meta.csv beside them is not read" in caplog.text
    assert "DATASET.PATHS \"['parts/meta.csv']\"" in caplog.text


@pytest.mark.slow
def test_from_a_table_as_kaggle_has_it_to_a_trained_run(tmp_path):
    """A thousand digits: ids without ending, numbers without names, images in a folder of their own, some without labels.

    The first sentence says what is missing, and nothing else is changed.
    """
    import train

    digits = load_digits()
    rows = ["id_code,diagnosis"]
    for number, (image, label) in enumerate(zip(digits.images[:1050], digits.target[:1050], strict=True)):
        place = tmp_path / ("train_images" if number < 1000 else "test_images") / f"{number * 7919:012x}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).save(place)
        rows += [f"{place.stem},{label}"] if number < 1000 else []
    (tmp_path / "train.csv").write_text("\r\n".join([*rows, ""]))
    check = ["check", "ImageFolder", "--root", str(tmp_path), "DATASET.PATHS", "['train.csv']"]
    assert of_datasets.main(check) == 2
    names = ["DATASET.CLASSNAMES", "names.txt"]  # as the sentence says; see above
    (tmp_path / "names.txt").write_text("zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n")
    assert of_datasets.main([*check, *names]) == 0
    assert not (tmp_path / ".caspl").exists()

    def run(trainer: str, *options: str) -> str:
        words = ["--root", str(tmp_path), "--seed", "1", "--trainer", trainer, "--output-dir", str(tmp_path / trainer)]
        words += ["--dataset-config-file", str(CONFIGS / "datasets" / "image_folder.yaml")]
        words += ["--config-file", str(CONFIGS / "trainers" / trainer / "digits.yaml")]
        try:
            assert train.main([*words, *check[-2:], *names, *options]) == 0
        finally:
            reset_logger()
        return (tmp_path / trainer / "log.txt").read_text()

    run("CasPLBoost", "OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "16", "TEST.NO_TEST", "True")
    boosting = ["TRAINER.CASPL.BOOSTING", str(tmp_path / "CasPLBoost")]
    log = run("CasPL_CoOp", "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "20", *boosting)
    accuracy = float(re.search(r"\* accuracy: ([0-9.]+)%", log)[1])
    assert accuracy > 30  # 10 by chance


def test_many_rows(tmp_path):
    """Time grows with the rows and not faster: a column of ids, one of classes, and some more."""
    for number in range(8_000):
        folder = tmp_path / f"{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:05}.jpg").touch()
    seconds = []
    for count in (2_000, 8_000):
        rows = (f"{n:05},{n % 40},{n / 3:.2f},{n % 7}\n" for n in range(count))
        (tmp_path / "t.csv").write_text("id_code,label,age,site\n" + "".join(rows))
        start = time.process_time()
        assert len(read_table(str(tmp_path / "t.csv"))) == count
        seconds.append(time.process_time() - start)
    assert seconds[1] < 4 * seconds[0] + 2
