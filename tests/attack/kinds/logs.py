"""Logs and records of runs that cannot be: named and left out of the tables, never counted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import Sound

RUN = "base2new/test_new/oxford_pets/shots_16/CoOp/vit_b16/seed1"
OTHER = "base2new/test_new/oxford_pets/shots_16/CoOp/vit_b16/seed2"
RESULT = "Evaluate on the *test* set\n=> result\n* total: {}\n* correct: {}\n* accuracy: {}%\n* error: 0.0%\n"
GOOD = RESULT.format("100", "50", "50.0")
SAYS = "** Config **\nDATASET:\n  NAME: {}\nSEED: {}\n"
LEFT_OUT = "a run's log that cannot be is named and left out; the others count"
LOGS: tuple[tuple[str, bytes], ...] = (
    ("total 0", RESULT.format("0", "0", "0.0").encode()),
    ("more correct than there are", RESULT.format("10", "99", "990.0").encode()),
    ("an accuracy of 900 %", b"Evaluate on the *test* set\n=> result\n* accuracy: 900.0%\n"),
    ("counts of 5,000 digits", RESULT.format("9" * 5_000, "1", "0.0").encode()),
    ("an accuracy of 5,000 digits", b"Evaluate on the *test* set\n=> result\n* accuracy: " + b"9" * 5_000 + b"%\n"),
    ("an accuracy of dots", b"Evaluate on the *test* set\n=> result\n* accuracy: 1.2.3%\n"),
    ("a total of commas", RESULT.format(",", ",", "1.0").encode()),
    ("another dataset's", (SAYS.format("SUN397", 2) + GOOD).encode()),
    ("another seed's", (SAYS.format("OxfordPets", 7) + GOOD).encode()),
    (
        "of two configurations",
        "".join(SAYS.format("OxfordPets", 2) + f"OPTIM:\n  LR: {r}\n" + GOOD for r in (1, 2)).encode(),
    ),
    ("of thousands of runs", SAYS.format("OxfordPets", 2).encode() * 5_000),
    ("of lines of brackets", b"[INFO" * 100_000 + b"\n 9%|x|[" * 10_000),
    ("empty", b""),
    ("binary", bytes(range(256)) * 20),
)


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for what, content in LOGS:
        for argv, prepare in (
            (("out",), partial(beside, content=content)),
            (("out", "--no-write", "--format", "csv"), partial(beside, content=content)),
        ):
            yield Case(
                "log",
                "results",
                f"{what} beside a good one {argv[1:]}",
                argv,
                (),
                prepare,
                status=0,
                why=LEFT_OUT,
                said="seed2",
            )
    for what, make in ODD:
        yield Case(
            "log",
            "results",
            f"{what} beside a good one",
            ("out",),
            (),
            partial(odd, make=make),
            status=0,
            why=LEFT_OUT,
            said="seed2",
        )
    for what, name in NAMES:
        prepare = partial(named, name=name)
        for door, said in (("results", "0"), ("report", "report.html")):
            yield Case("name", door, what, ("out",), (), prepare, status=0, why="a name is shown harmlessly", said=said)
    for what, content in RECORDS:
        for door in ("results", "report"):
            prepare = partial(recorded, make=partial(_written, content=content))
            yield Case("run record", door, what, ("out",), (), prepare, status=0, why=LOG_READ, said="run.json")
    for what, make in ODD:
        prepare = partial(recorded, make=make)
        yield Case("run record", "results", what, ("out",), (), prepare, status=0, why=LOG_READ, said="run.json")


# Names of a trainer's folder
NAMES = (
    ("escapes in a name", "Co\x1b[2JOp"),
    ("a bell in a name", "Co\x07Op"),
    ("a formula in a name", '=HYPERLINK("x",A1)'),
    ("markdown in a name", "Co|Op`<b>"),
    ("LaTeX in a name", r"\input{CoOp}"),
    ("a new line in a name", "Co\nOp"),
    ("no Unicode in a name", os.fsdecode(b"Co\xffOp")),
)
ODD: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("a FIFO", os.mkfifo),
    ("a device", lambda path: path.symlink_to("/dev/zero")),
    ("a link to itself", lambda path: path.symlink_to(path.name)),
    ("a link to nothing", lambda path: path.symlink_to("nowhere")),
)

LOG_READ = "a record that cannot be is named, and its log is read in its place"
RECORDS: tuple[tuple[str, bytes], ...] = (
    ("empty", b""),
    ("no JSON", b"\x00\xff" * 50),
    ("a list", b"[1]"),
    ("brackets without end", b"[" * 200_000),
    ("another program's", b'{"status": "COMPLETED"}'),
    ("a later version", b'{"format": "caspl run", "version": 99}'),
    ("nothing but its kind", b'{"format": "caspl run", "version": 1, "sha256": "0"}'),
    ("a number without end", b'{"format": "caspl run", "version": 1' + b"0" * 10_000 + b"}"),
    ("one that is too large", b" " * (2**25 + 1)),
)


def log_at(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "log.txt").write_bytes(content)


def beside(folder: Path, content: bytes) -> None:
    log_at(folder / "out" / RUN, GOOD.encode())
    log_at(folder / "out" / OTHER, content)


def odd(folder: Path, make: Callable[[Path], None]) -> None:
    log_at(folder / "out" / RUN, GOOD.encode())
    (folder / "out" / OTHER).mkdir(parents=True)
    make(folder / "out" / OTHER / "log.txt")


def named(folder: Path, name: str) -> None:
    log_at(folder / "out" / RUN.replace("CoOp", name), GOOD.encode())
    shutil.copytree(folder / "out" / RUN.replace("CoOp", name), folder / "out" / OTHER)


def recorded(folder: Path, make: Callable[[Path], None]) -> None:
    """Two runs, of which one has a record beside its log."""
    for place in (RUN, OTHER):
        log_at(folder / "out" / place, GOOD.encode())
    make(folder / "out" / OTHER / "run.json")


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
