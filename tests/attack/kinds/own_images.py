"""Anyone's own images that cannot be taken: tables, folders of classes, shards."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import CLASSES, Sound, picture
from .flags import TWICE
from .images import own

TABLES: tuple[tuple[str, str, bytes], ...] = (
    # what, file, content
    ("empty", "t.csv", b""),
    ("only a header", "t.csv", b"path,label\n"),
    ("no header", "t.csv", b"ant/0.jpg,0\n"),
    ("no path", "t.csv", b"file,label\nant/0.jpg,0\n"),
    ("a label of -1", "t.csv", b"path,label\nant/0.jpg,-1\n"),
    ("a label of 10**12", "t.csv", b"path,label\nant/0.jpg,1000000000000\nbee/0.jpg,0\n"),
    ("a label of 5,000 digits", "t.csv", b"path,label\nant/0.jpg," + b"9" * 5_000 + b"\n"),
    ("a label that is a text", "t.csv", b"path,label\nant/0.jpg,one\n"),
    ("a label in other digits", "t.csv", "path,label\nant/0.jpg,\u0663\n".encode()),
    ("too many values", "t.csv", b"path,label\nant/0.jpg,0,1\n"),
    ("an open quote", "t.csv", b'path,label\n"ant/0.jpg,0\n'),
    ("a value of 200,000 letters", "t.csv", b"path,label\n" + b"n" * 200_000 + b",0\n"),
    ("NUL", "t.csv", b"path,label\nant/\x00.jpg,0\nbee/0.jpg,1\n"),
    ("binary", "t.csv", bytes(range(256))),
    ("UTF-16", "t.csv", "path,label\nant/0.jpg,0\n".encode("utf-16")),
    ("a split of nobody", "t.csv", b"path,label,split\nant/0.jpg,0,exam\n"),
    ("only a test split", "t.csv", b"path,label,split\nant/0.jpg,0,test\n"),
    ("images that are not there", "t.csv", b"path,label\nnowhere/0.jpg,0\nnowhere/1.jpg,1\n"),
    ("a path that leads out", "t.csv", b"path,label\n../../../../etc/passwd,0\nbee/0.jpg,1\n"),
    ("a name twice", "t.csv", b"path,path,label\nant/0.jpg,bee/0.jpg,0\n"),
    ("two names of a label", "t.csv", b"path,label,classname\nant/0.jpg,0,ant\nbee/0.jpg,0,bee\n"),
    ("a list", "t.jsonl", b"[1, 2]\n"),
    ("no JSON", "t.jsonl", b"path: ant\n"),
    ("nested 100,000 lists", "t.jsonl", b"[" * 100_000 + b"\n"),
    ("a label of 5,000 digits", "t.jsonl", b'{"path": "ant/0.jpg", "label": ' + b"9" * 5_000 + b"}\n"),
    ("a label that is a list", "t.jsonl", b'{"path": "ant/0.jpg", "label": [0]}\n'),
    ("a path that is a number", "t.jsonl", b'{"path": 17, "label": 0}\n'),
    ("a path that is null", "t.jsonl", b'{"path": null, "label": 0}\n'),
    ("several labels in a cell", "t.csv", b"image,label\nant/0.jpg,ant|bee\nbee/0.jpg,bee\n"),
    ("a column for each class", "t.csv", b"image,ant,bee\nant/0.jpg,1,0\nbee/0.jpg,1,1\n"),
    ("an image in two classes", "t.csv", b"image,label\nant/0.jpg,ant\n./ant/0.jpg,bee\n"),
    ("columns that are not clear", "t.csv", b"image,class,category\nant/0.jpg,a,b\nbee/0.jpg,a,c\n"),
    ("2,000 columns", "t.csv", ",".join(map(str, range(2_000))).encode() + b"\n1\n"),
    ("a file name of a million dots", "t.csv", b"image,label\n" + b"../" * 300_000 + b"a.jpg,ant\n"),
    ("labels of a million words", "t.csv", b'image,label\nant/0.jpg,"' + b"a " * 60_000 + b'"\nbee/0.jpg,a\n'),
    ("an object", "t.json", b'{"images": []}'),
    ("a list of lists", "t.json", b"[[1, 2]]"),
    ("UTF-16 without its mark", "t.csv", "path,label\nant/0.jpg,0\n".encode("utf-16-be")),
    ("a workbook", "t.xlsx", b"PK\3\4"),
    ("another kind of file", "t.txt", b"ant/0.jpg 0\n"),
)


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for what, name, content in TABLES:
        words = own(sound, "CoOp", "DATASET.NAME", "ImageFolder", "DATASET.PATHS", f"['{name}']")
        yield Case(
            "table of images",
            "train",
            f"{what} ({name})",
            words,
            (name, "nowhere"),
            partial(write_table, name=name, content=content),
        )
    yield from folders(sound)
    yield from shards(sound)


def folders(sound: Sound) -> Iterator[Case]:
    def nothing_in(folder: Path) -> None:
        (folder / "own").mkdir()

    def one_class(folder: Path) -> None:
        picture(folder / "own" / "ant" / "0.jpg", 1)

    def images_at_top(folder: Path) -> None:
        picture(folder / "own" / "0.jpg", 1)

    def an_empty_class(folder: Path) -> None:
        one_class(folder)
        (folder / "own" / "bee").mkdir()

    def one_too_high(folder: Path) -> None:
        for name in CLASSES:
            picture(folder / "own" / "photos" / name / "0.jpg", 1)

    def a_loop(folder: Path) -> None:
        one_class(folder)
        (folder / "own" / "ant" / "again").symlink_to("../ant")

    def escapes(folder: Path) -> None:
        for name in ("a\x1b[2Jnt", "b\x07ee"):
            (folder / "own" / name).mkdir(parents=True)

    for make in (nothing_in, images_at_top, an_empty_class, one_too_high, a_loop, escapes):
        words = own(sound, "CoOp", "DATASET.NAME", "ImageFolder")
        yield Case("folder of classes", "train", make.__name__.replace("_", " "), words, ("own",), make)
    for what, options, names in (
        ("a path that is not there", ("DATASET.PATHS", "['nowhere']"), ("nowhere",)),
        ("two paths", ("DATASET.PATHS", "['a', 'b']"), ("DATASET.PATHS",)),
        ("a path with NUL", ("DATASET.PATHS", "['a\\0b']"), ("DATASET.PATHS", "a\\x00b")),
        ("columns that are none", ("DATASET.COLUMNS", "['image']"), ("DATASET.COLUMNS",)),
        ("columns twice", ("DATASET.COLUMNS", "['path=a', 'path=b']"), ("DATASET.COLUMNS",)),
        ("columns of a folder", ("DATASET.COLUMNS", "['path=a']"), ("DATASET.COLUMNS",)),
        ("a long path", ("DATASET.PATHS", f"['{'n' * 5000}']"), ("nnn",)),
        ("class names that are not there", ("DATASET.CLASSNAMES", "nowhere.txt"), ("nowhere.txt",)),
        ("class names that are a device", ("DATASET.CLASSNAMES", "/dev/zero"), ("/dev/zero",)),
        ("class names that are a folder", ("DATASET.CLASSNAMES", "ant"), ("ant",)),
    ):
        yield Case(
            "folder of classes", "train", what, own(sound, "CoOp", "DATASET.NAME", "ImageFolder", *options), names, good
        )


def good(folder: Path) -> None:
    for label, name in enumerate(CLASSES):
        for number in range(4):
            picture(folder / "own" / name / f"{number}.jpg", 10 * label + number)
    (folder / "own" / "names.txt").write_text("\n".join(CLASSES))


def shards(sound: Sound) -> Iterator[Case]:
    def stream(*options: str) -> tuple[str, ...]:
        given = dict(zip(options[::2], options[1::2], strict=True))
        given = {"DATASET.CLASSNAMES": "names.txt", "DATASET.PATHS": "['shard.tar']"} | given
        return own(
            sound, "CasPLBoost", "DATASET.NAME", "UnlabeledImages", *(word for pair in given.items() for word in pair)
        )

    for what, options, names in (
        ("no class names", ("DATASET.CLASSNAMES", "''"), ("DATASET.CLASSNAMES",)),
        ("class names that are not there", ("DATASET.CLASSNAMES", "nowhere.txt"), ("nowhere.txt",)),
        ("empty class names", ("DATASET.CLASSNAMES", "empty.txt"), ("empty.txt",)),
        ("binary class names", ("DATASET.CLASSNAMES", "shard.tar"), ("shard.tar",)),
        ("no such shard", ("DATASET.PATHS", "['nowhere.tar']"), ("nowhere.tar",)),
        ("no shard of a pattern", ("DATASET.PATHS", "['web/*.tar']"), ("web",)),
        ("a range of billions", ("DATASET.PATHS", "['{000000000..999999999}.tar']"), ("DATASET.PATHS", "..")),
        ("a range upside down", ("DATASET.PATHS", "['{9..1}.tar']"), ("{9..1}.tar",)),
        ("a shard that is text", ("DATASET.PATHS", "['names.tar']"), ("names.tar",)),
        ("a shard that is a device", ("DATASET.PATHS", "['/dev/zero']"), ("/dev/zero",)),
        ("a shard that is a FIFO", ("DATASET.PATHS", "['fifo.tar']"), ("fifo.tar",)),
        ("a compressed shard", ("DATASET.PATHS", "['packed.tar']"), ("packed.tar",)),
        ("a shard without images", ("DATASET.PATHS", "['texts.tar']"), ("texts.tar",)),
        ("shots of what has no labels", ("DATASET.NUM_SHOTS", "4"), ("DATASET.NUM_SHOTS",)),
    ):
        yield Case("shard", "train", what, stream(*options), names, write_shards)
    twice = {"status": 0, "why": TWICE, "said": "more than once"}
    yield Case(
        "shard", "train", "class names twice", stream("DATASET.CLASSNAMES", "twice.txt"), (), write_shards, **twice
    )
    for what, cut in (
        ("cut in a header", 700),
        ("cut in an image", 1_300),
        ("cut at a tenth", 0.1),
        ("cut at the half", 0.5),
    ):
        yield Case("shard", "train", what, stream(), ("shard.tar",), partial(write_shards, cut=cut))


def write_shards(folder: Path, cut: float = 0) -> None:
    own_folder = folder / "own"
    own_folder.mkdir()
    (own_folder / "names.txt").write_text("\n".join(CLASSES))
    (own_folder / "names.tar").write_text("\n".join(CLASSES))
    (own_folder / "twice.txt").write_text("ant\nant\n")
    (own_folder / "empty.txt").write_text("")
    os.mkfifo(own_folder / "fifo.tar")
    picture(folder / "good.jpg", 1, quality=95)
    with tarfile.open(own_folder / "shard.tar", "w") as archive, tarfile.open(own_folder / "texts.tar", "w") as texts:
        for number in range(4):
            archive.add(folder / "good.jpg", f"{number}.jpg")
        texts.add(own_folder / "names.txt", "names.txt")
    content = (own_folder / "shard.tar").read_bytes()
    (own_folder / "packed.tar").write_bytes(gzip.compress(content))
    if cut:
        (own_folder / "shard.tar").write_bytes(content[: int(cut if cut > 1 else cut * len(content))])


def write_table(folder: Path, name: str, content: bytes) -> None:
    good(folder)
    (folder / "own" / name).write_bytes(content)
