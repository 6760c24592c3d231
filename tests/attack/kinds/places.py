"""Places where nothing can be written, at every door that writes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

from ..cases import Case
from ..sound import Sound
from .images import FOUND

LONG = "n" * 300
# A device that is always full. That of the machine could be replaced by who may write to /dev, so they get one of their own.
DEVICE = "full" if os.geteuid() == 0 else "/dev/full"
DEEP = "/".join(["d" * 200] * 30)
PLACES: tuple[tuple[str, str], ...] = (
    ("a file", "file"),
    ("below a file", "file/below"),
    ("a name too long", LONG),
    ("a path too long", DEEP),
    ("a link to itself", "loop"),
    ("below a link to itself", "loop/below"),
    ("a link to nothing that can be", "lost"),
    ("the kernel's", "/proc/nowhere"),
    ("a device", DEVICE),
    ("below a device", f"{DEVICE}/below"),
    ("of the system", "/sys/kernel/nowhere"),
)

REPLACED = ("file", "loop", "lost")  # a file or a link that an output takes the place of


def prepare(folder: Path) -> None:
    (folder / "file").write_text("what is here stays\n")
    (folder / "loop").symlink_to("loop")
    (folder / "lost").symlink_to("/proc/nowhere/lost")
    if DEVICE == "full":
        os.mknod(folder / DEVICE, stat.S_IFCHR | 0o666, os.makedev(1, 7))


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for what, place in PLACES:
        names = (place[:60], Path(place).name[:60])

        def case(
            door: str, label: str, argv: tuple[str, ...], what: str = what, names: tuple[str, ...] = names, **more
        ) -> Case:
            return Case(
                "place", door, f"{label}: {what}", argv, (*names, *more.pop("also", ())), **{"prepare": prepare} | more
            )

        yield case("train", "output folder", sound.digits("CoOp", "--output-dir", place))
        yield case("train", "feature store", sound.digits("CoOp", "TEST.FEATURE_STORE", place))
        yield case("train", "image store", sound.digits("CoOp", "TEST.IMAGE_STORE", place))
        yield case("train", "text store", sound.digits("CoOp", "MODEL.TEXT_STORE", place))
        yield case("train", "teacher store", sound.digits("CasPLBoost", "TRAINER.CASPL.TEACHER_STORE", place))
        yield case("store", "folder", ("list", place))
        yield case("train", "folder to resume from", sound.digits("CoOp", "--resume", place))
        yield case("train", "root of the digits", replaced(sound.digits("CoOp"), "--root", place), also=("digits",))
        yield case("train", "model folder", sound.digits("CoOp", "--eval-only", "--model-dir", place))
        if place not in REPLACED:
            yield case("predict", "output", (str(sound.coop), str(sound.photo), "--output", place))
            yield case("export", "program", (str(sound.coop), "--program", place))
        yield case("share", "folder", (str(sound.boosting), "--folder", place))
        checked = ("check", "DescribableTextures", "--root", place)
        yield case("datasets", "root", checked, status=1, why=FOUND, said="dtd")
        yield case("datasets", "root", ("fewshot", "DescribableTextures", "--root", place), also=("dtd",))
        yield case("results", "folder", (place,))
    for door, argv in (
        ("train", replaced(sound.digits("CoOp"), "--root", "data")),
        ("predict", (str(sound.coop), "photos")),
        ("export", (str(sound.coop), "--program", "x.pt2")),
        ("share", (str(sound.boosting), "--folder", "x")),
        ("results", ("out",)),
        ("datasets", ("fewshot", "DescribableTextures", "--root", "data")),
        ("configs", ("show", "x.yaml")),
    ):
        yield Case("place", door, "the folder that it works in is gone", argv, ("",), vanish)
    yield Case(
        "place",
        "train",
        "an output folder that is no Unicode",
        sound.digits("CoOp", "--output-dir", "a\udcffb"),
        ("OUTPUT_DIR",),
    )
    for what, argv in (
        ("limit of 64 kB a file", sound.digits("CoOp", "--output-dir", "out")),
        ("limit of 64 kB a file, a store", sound.digits("CoOp", "TEST.FEATURE_STORE", "store")),
        ("limit of 64 kB a file, a store of images", sound.digits("CoOp", "TEST.IMAGE_STORE", "store")),
    ):
        yield Case("place", "train", what, argv, ("out", "store"), small_files)


def replaced(argv: tuple[str, ...], flag: str, value: str) -> tuple[str, ...]:
    words = list(argv)
    words[words.index(flag) + 1] = value
    return tuple(words)


def vanish(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    shutil.rmtree(gone)


def small_files(folder: Path) -> None:
    """As on a disk that is full: no file may grow beyond some kilobytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
