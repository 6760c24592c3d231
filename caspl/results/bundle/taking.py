"""Which files of a folder go into its bundle, and what can't."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...ground.errors import InputError, cause
from ...ground.files import regular
from ..reading.logs import EVALUATION, RESULT, TRAINED, logs_in
from ..reading.run import Found, Run
from ..reading.text import read_lines
from ..records import NAME as RECORD
from ..records import Record, read
from . import links
from .archive import LARGEST_MEMBER, LONGEST_NAME, odd
from .manifest import Left
from .reading import found_in, recorded_below, stage, told

LARGEST_FILE = 2**26  # bytes of one file with prompts or features; larger ones are named and left out
PROMPTS = ("prompts.safetensors", links.BOOSTING)
LOG = "log.txt"  # of a run in a bundle, also where several were written
# As the curves of a page are read, and as Dassl of 2021 has it
STEP = re.compile(r"epoch \[(\d{1,6})/\d{1,6}\] ?(?:batch )?\[")
PHASE_1 = "phase1"  # folder in the bundle for boosting prompts that lie elsewhere


@dataclass(frozen=True)
class Wanted:
    """A file that a record names."""

    path: Path
    sha256: str


@dataclass
class Taken:
    """What goes into a bundle: small files as they were when they were read, and where the others lie."""

    contents: dict[str, bytes] = field(default_factory=dict)  # records and logs, by the names of members
    files: dict[str, Wanted] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)  # see Manifest
    left_out: list[Left] = field(default_factory=list)
    absent: list[Left] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)  # by the folder of the run, in the bundle
    places: dict[str, Path] = field(
        default_factory=dict
    )  # of these folders, where they are no folders below the bundled one
    found: Found | None = None  # what is found in the bundle


def take(folder: Path, found: Found) -> Taken:
    """What is to go into the bundle of `folder`, below which `found` lies.

    A run that has a record goes without its log, where the tables are the same without it.

    Raises InputError where a bundle would give other tables than the folder.
    """
    logged: set[str] = set()
    while True:
        taken = _taken(folder, found, logged)
        inside, named = set(taken.found.runs), {left.path for left in taken.left_out}
        lost = [run for run in found.runs if run not in inside and _folder(run.path) not in named]
        if not lost:
            return taken
        again = {_folder(run.path) for run in lost} - logged
        if not again:
            raise InputError(
                f"{folder / lost[0].path} would not be read from a bundle as it is here, since runs in its folder were "
                f"changed just now, or since it belongs to one that is left out; wait until the sweep has ended, or remove "
                f"what is left out (caspl results {folder} names it)"
            )
        logged |= again


def _folder(path: str) -> str:
    return PurePosixPath(path).parent.as_posix()


def _taken(folder: Path, found: Found, logged: set[str]) -> Taken:
    """`logged`: folders of which the logs are taken, too."""
    here = f"{os.path.abspath(folder)}/"
    taken = Taken(left_out=[Left(path, why.replace(here, "")) for path, why in found.left_out])
    by_folder: dict[str, list[tuple[str, Run]]] = defaultdict(list)
    for path, run in [*((run.path, run) for run in found.runs), *found.unfinished, *found.validation]:
        by_folder[_folder(path)].append((path, run))
    for name, own in sorted(by_folder.items()):
        if problem := odd(f"{name}/{RECORD}"):
            taken.left_out.append(Left(name, f"a bundle can't hold it, since its path {problem}; rename the folder"))
            continue
        with_record = all(run.record is not None for _, run in own)
        _take_run(taken, folder, name, logs=not with_record or name in logged)
        if with_record and name not in logged:
            log, (path, _) = f"{name}/{LOG}", own[-1]
            inside = log if log in taken.contents else f"{name}/{RECORD}"
            taken.paths |= {} if inside == path else {inside: path}
    _take_phase_1(taken, folder)
    _take_files(taken, folder)
    with stage(Path(os.path.abspath(folder)).name) as top:
        for name in told(taken.contents):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(taken.contents[name])
        taken.found = found_in(top, taken.paths, taken.left_out, found.elsewhere)
    return taken


def _take_run(taken: Taken, top: Path, name: str, *, logs: bool) -> None:
    """The record of a run, and its logs or their `course`; what can't be read is named."""
    place, texts = top / name, []
    with suppress(InputError):  # one that is damaged is named by who has read the folder
        taken.records[name] = read(place / RECORD)
        texts.append(place / RECORD)
    if not logs and name in taken.records and taken.records[name].result is not None and (own := logs_in(place)):
        with suppress(OSError):
            taken.contents[f"{name}/{LOG}"] = course(own)
    texts += logs_in(place) if logs else []
    if not texts or texts[0].name != RECORD:  # else the record says whose names phase 1 knew
        texts += [place / kind for kind in PROMPTS if (place / kind).is_file()]
    for path in texts:
        try:
            taken.contents[f"{name}/{path.name}"] = regular(path, LARGEST_MEMBER).read_bytes()
        except OSError as error:
            taken.absent.append(Left(f"{name}/{path.name}", f"it cannot be read ({cause(error)})"))


def course(logs: Sequence[Path]) -> bytes:
    """Of the logs of one run, oldest first, what its record does not say: each epoch's last line, and results.

    Whatever else a log tells of the machine it was written on stays there. Raises OSError where one can't be read.
    """
    told: list[tuple[str, str]] = []  # the epoch that a line is of, "" of a result
    for line in (line for log in logs for line in read_lines(log)):
        if step := STEP.match(line):
            if told and told[-1][0] == step[1]:
                told.pop()
            told.append((step[1], line))
        elif EVALUATION.fullmatch(line) or RESULT.fullmatch(line) or line in TRAINED:
            told.append(("", line))
    return "".join(f"{line}\n" for _, line in told).encode("utf-8")


def _take_phase_1(taken: Taken, top: Path) -> None:
    """The runs that made the boosting prompts which others rest on: they stand in no table."""
    needed = {links.used(run): run.boosting.source for run in taken.records.values() if links.used(run)}
    for name in recorded_below(top) if needed else ():
        with suppress(InputError):
            if name in taken.records:
                continue
            record = read(top / name)
            if record.finished and links.made(record) in needed and not odd(f"{name}/{RECORD}"):
                _take_run(taken, top, name, logs=False)
    for sha256 in needed.keys() - {links.made(record) for record in taken.records.values()}:
        source = Path(needed[sha256])
        place = source if source.is_dir() else source.parent
        with suppress(InputError, OSError):
            record = read(place / RECORD)
            if record.finished and links.made(record) == sha256:
                name = f"{PHASE_1}/{sha256[:16]}"
                taken.contents[f"{name}/{RECORD}"] = (place / RECORD).read_bytes()
                taken.records[name] = record
                taken.places[name] = place


def _take_files(taken: Taken, top: Path) -> None:
    """What the records of finished runs name: predictions, features, models, boosting prompts."""
    folders = links.Trainings(taken.records)
    for name, record in taken.records.items():
        if not record.finished:
            continue
        place = taken.places.get(name, top / name)
        own = dict(links.beside(record))
        if sha256 := links.made(record):
            own[links.BOOSTING] = sha256
        for file, expected in own.items():
            _want(taken, f"{name}/{file}", place / file, expected)
        model = folders.of(name, record)
        for file, expected in links.models(record):
            if model is None:
                taken.absent.append(
                    Left(f"{name}: {file}", f"the run that made it, {record.model.folder}, lies elsewhere")
                )
            else:
                _want(taken, f"{model}/{file}", taken.places.get(model, top / model) / file, expected)


def _want(taken: Taken, name: str, path: Path, sha256: str) -> None:
    if problem := odd(name):
        taken.absent.append(Left(name[:LONGEST_NAME], f"its name {problem}"))
    else:
        taken.files.setdefault(name, Wanted(path, sha256))


def content_of(wanted: Wanted) -> bytes:
    """A file as its record speaks of it. Raises ValueError, with a phrase, where it is another, or none."""
    try:
        content = regular(wanted.path, LARGEST_FILE).read_bytes()
    except OSError as error:
        raise ValueError(f"it cannot be read ({cause(error)})") from None
    if hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise ValueError("it is not the file that the record speaks of, as its checksum says")
    return content
