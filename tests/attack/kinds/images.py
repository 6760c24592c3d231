"""Files that are called images and are none, or are harmful: told and left out by predict, fatal for training."""

from __future__ import annotations

import io
import os
import socket
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ..cases import Case
from ..sound import CLASSES, SPLIT, Sound, picture, split_of

EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n(canary) (w) file closefile\nshowpage\n%%EOF\n"
)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def sample(form: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), form)


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG file that says it has that size, in gray."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", data or zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """A gigapixel in some kilobytes."""
    packer, size = zlib.compressobj(9), 40_000
    packed = b"".join(packer.compress(bytes(size + 1)) for _ in range(2_000)) + packer.flush()
    return png(size, size, packed)


CONTENTS: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("empty", lambda: b""),
    ("text", lambda: b"not an image at all\n"),
    ("a web page", lambda: b"<!DOCTYPE html><html></html>"),
    ("EPS", lambda: EPS),
    ("PostScript", lambda: b"%!PS-Adobe-3.0\n" + EPS),
    (
        "EPS with a preview",
        lambda: struct.pack("<4sIIIIII", b"\xc5\xd0\xd3\xc6", 32, len(EPS), 0, 0, 0, 0) + bytes(4) + EPS,
    ),
    ("PDF", lambda: encoded(Image.new("RGB", (20, 20)), "PDF")),
    ("SVG", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    ("WMF", lambda: b"\xd7\xcd\xc6\x9a\0\0" + bytes(200)),
    ("cut in half", lambda: sample()[: len(sample()) // 2]),
    ("cut in its header", lambda: sample()[:30]),
    ("a cut PNG", lambda: sample("PNG")[:-2000]),
    ("a PNG whose sums are wrong", lambda: sample("PNG").replace(b"IDAT", b"IDAt")),
    ("a PNG of another size", lambda: png(5_000, 5_000)),
    ("a PNG without pixels", lambda: png(0, 0)),
    ("a bomb", bomb),
    ("two gigapixels", lambda: png(2**16, 2**15)),
    ("a huge header", lambda: png(2**31 - 1, 2**31 - 1)),
    ("a line of a million", lambda: encoded(Image.new("1", (1_000_000, 1)), "PNG")),
    ("32-bit whole numbers", lambda: encoded(Image.fromarray(np.zeros((9, 9), np.int32)), "TIFF")),
    ("32-bit floats", lambda: encoded(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF")),
    ("a zip", lambda: b"PK\x03\x04" + bytes(100)),
    ("a pickle", lambda: b"\x80\x04cos\nsystem\n(S'touch canary'\ntR."),
    ("noise", lambda: np.random.default_rng(5).bytes(5_000)),
    (
        "a BMP that lies",
        lambda: b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
    ),
    (
        "a GIF that lies",
        lambda: (
            b"GIF89a"
            + struct.pack("<HH", 65535, 65535)
            + b"\x80\0\0"
            + bytes(6)
            + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x01\0\0;"
        ),
    ),
)


def _socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path must be short
    server.bind(path.name)
    os.chdir(here)
    server.close()


ODD: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("a FIFO", os.mkfifo),
    ("a socket", _socket),
    ("a device", lambda path: path.symlink_to("/dev/zero")),
    ("a terminal", lambda path: path.symlink_to("/dev/tty")),
    ("random numbers", lambda path: path.symlink_to("/dev/urandom")),
    ("a link to nothing", lambda path: path.symlink_to("nowhere")),
    ("a link to itself", lambda path: path.symlink_to(path.name)),
    ("a file of the kernel", lambda path: path.symlink_to("/proc/self/mem")),
)
BEGUN, MET = (
    ("out/resume.pth.tar", "out/tensorboard*", "own/.caspl-counts.json"),
    "the image is met when training has begun",
)
LEFT_OUT = "predict names an image that cannot be read, leaves it out and answers for the others"
FOUND = "datasets check says what is wrong, a line each: what it has found is its answer"


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    every = [(what, partial(_write, make=make)) for what, make in CONTENTS] + list(ODD)
    for number, (what, make) in enumerate(every):
        argv = (str(sound.coop), "photos/photo.jpg", str(sound.photo))
        prepare = partial(one, make=make, path="photos/photo.jpg")
        names = ("photo.jpg",)
        if what.startswith("a link"):
            yield Case("image", "predict", what, argv, names, prepare)
        else:
            yield Case("image", "predict", what, argv, names, prepare, status=1, why=LEFT_OUT, said="photo.jpg")
        folder = partial(among, make=make)
        tested = own(sound, "ZeroshotCLIP", "--eval-only", "DATASET.NAME", "ImageFolder", "TRAINER.ZSCLIP.PREC", "fp32")
        if number % 2 == seed % 2:
            yield Case("image", "train", f"{what} to test on", tested, ("photo.jpg",), folder)
        else:
            prepare = partial(tarred if what in dict(CONTENTS) else among, make=make)
            streamed = own(sound, "CasPLBoost", "DATASET.NAME", "UnlabeledImages", "DATASET.CLASSNAMES", "../names.txt")
            yield Case(
                "image",
                "train",
                f"{what} in a stream",
                streamed,
                ("photo.jpg", "shard.tar"),
                prepare,
                leaves=BEGUN,
                why=MET,
            )
        if number % 4 == seed % 4:
            checked = ("check", "DescribableTextures", "--root", ".")
            yield Case(
                "image",
                "datasets",
                what,
                checked,
                names,
                partial(in_split, make=make),
                status=1,
                why=FOUND,
                said="_0.jpg",
            )
    for what, name in (("a folder called x.jpg", "photos/x.jpg"), ("only hidden images", "photos/.hidden.jpg")):
        yield Case(
            "image", "predict", what, (str(sound.coop), "photos"), ("photos",), partial(_empty_folder, name=name)
        )


def own(sound: Sound, trainer: str, *options: str) -> tuple[str, ...]:
    """Arguments of a run on the folder `own`."""
    argv = sound.digits(trainer, *options, "DATALOADER.TRAIN_X.BATCH_SIZE", "2", shots="-1")
    return tuple("own" if word == str(sound.root) else word for word in argv)


def _write(path: Path, make: Callable[[], bytes]) -> None:
    path.write_bytes(make())


def _empty_folder(folder: Path, name: str) -> None:
    if "hidden" in name:
        picture(folder / name, 1)
    else:
        (folder / name).mkdir(parents=True)


def one(folder: Path, make: Callable[[Path], None], path: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    make(folder / path)


def among(folder: Path, make: Callable[[Path], None]) -> None:
    """Folders of training and test images, and the bad one to be tested on, or streamed."""
    (folder / "names.txt").write_text("\n".join(CLASSES))
    for label, name in enumerate(CLASSES):
        for number in range(2):
            picture(folder / "own" / "train" / name / f"{number}.jpg", 10 * label + number)
        picture(folder / "own" / "test" / name / "9.jpg", 10 * label + 9)
    make(folder / "own" / "test" / CLASSES[0] / "photo.jpg")


def tarred(folder: Path, make: Callable[[Path], None]) -> None:
    (folder / "names.txt").write_text("\n".join(CLASSES))
    (folder / "own").mkdir()
    picture(folder / "good.jpg", 1)
    make(folder / "photo.jpg")
    with tarfile.open(folder / "own" / "shard.tar", "w") as archive:
        for name in ("good.jpg", "photo.jpg"):
            archive.add(folder / name, name)


def in_split(folder: Path, make: Callable[[Path], None]) -> None:
    import json

    images = folder / "dtd" / "images"
    split = split_of(images)
    (folder / "dtd" / SPLIT).write_text(json.dumps(split))
    bad = images / split["train"][0][0]
    bad.unlink()
    make(bad)
