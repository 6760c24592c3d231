"""Whether the tables of a bundle, or of a folder, follow from the predictions in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ...ground.errors import InputError, cause
from ...ground.files import regular
from ...ground.texts import counted, shown
from ..certainty.tables import every_table
from ..lacks import found_below
from ..reading.run import Found
from ..records import NAME as RECORD
from ..records import Record, read
from ..tables import Cell
from . import links, numbers
from . import manifest as manifests
from .archive import LARGEST_MEMBER, Archive, Damaged, opened
from .comparing import differences, page_differences, texts_of
from .manifest import Manifest
from .reading import OF_THE_WHOLE, PAGE, TABLES, found_in, manifest_of, recorded_below, stage, told

PageOf = Callable[[Path, Found], str]
MOST_TOLD = 20  # lines of one kind


@dataclass
class Verified:
    """What a check came to. `wrong`: what does not agree; `open`: what can't be recomputed; `notes`: what is only told."""

    wrong: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: int = 0  # in tables
    others: int = 0  # phase 1, and what was tested on validation images
    predictions: int = 0
    numbers: int = 0
    tables: int = 0
    files: int = 0  # of which the checksum was compared with the manifest's
    sums: dict[str, str] = field(default_factory=dict)  # checksums of files that records name
    named: set[str] = field(default_factory=set)  # files that records of finished runs name
    missing: set[str] = field(default_factory=set)  # those of them that are not there

    @property
    def sound(self) -> bool:
        return not (self.wrong or self.open)

    def lines(self) -> Iterator[str]:
        for kind, found in (("differs", self.wrong), ("not recomputed", self.open), ("note", self.notes)):
            yield from (f"{kind}: {line}" for line in found[:MOST_TOLD])
            if len(found) > MOST_TOLD:
                yield f"{kind}: {len(found) - MOST_TOLD:,} more"
        runs = counted(self.runs, "run") + (
            f" and {self.others:,} that they rest on or beside them" if self.others else ""
        )
        checked = (
            f"{runs}, {counted(self.predictions, 'prediction')}, {counted(self.numbers, 'number')} in "
            f"{counted(self.tables, 'table')}, {counted(self.files or len(self.sums), 'file')}"
        )
        if self.sound:
            yield f"{checked}: all recomputed, all as recorded"
        else:
            not_so = [f"{len(self.wrong):,} not as recorded"] * bool(self.wrong)
            not_so += [f"{len(self.open):,} not to be recomputed"] * bool(self.open)
            yield f"{checked}: {', '.join(not_so)}"


def verify_bundle(path: Path, page_of: PageOf) -> Verified:
    """Recompute all that a bundle says. Raises InputError where the file is no bundle."""
    with opened(path) as archive:
        manifest, verified = manifest_of(archive), Verified()
        sound = _members(archive, manifest, verified)
        with stage(manifest.folder) as top:
            read_already = [name for name in told(archive.names) if name in sound]
            archive.unpack(read_already, top)
            found = found_in(top, manifest.paths, manifest.left_out, manifest.elsewhere)
            known = {(left.path, left.why) for left in manifest.left_out}
            verified.wrong += [f"{path}: {why}" for path, why in found.left_out if (path, why) not in known]
            records = _records(top, sound)
            content = _content_of(archive)
            _runs(found, records, content, verified)
            same = manifest.program == manifests.this_program()
            _tables(found, content, sound, same, verified)
            if PAGE in sound and same:  # which shows predictions and features, too
                archive.unpack(sorted(sound - set(read_already) - set(OF_THE_WHOLE)), top)
                _page(top, found, content, page_of, verified)
            known_as = {member.name for member in manifest.members}  # another one is named already
            verified.wrong += [
                f"{name} is of no run: no record of a finished one names it"
                for name in sorted((sound & known_as) - set(read_already) - set(OF_THE_WHOLE) - verified.named)
            ]
        absent = {left.path for left in manifest.absent}
        verified.wrong += [
            f"{name} is missing: a record names it" for name in sorted(verified.missing - absent - said(manifest))
        ]
        verified.notes += [f"not in the bundle: {left.path}: {left.why}" for left in manifest.absent]
        if not same:
            verified.notes.append(
                f"another program made the bundle (version {shown(manifest.program.version)}): the numbers of its tables are "
                f"compared where both have them, {PAGE} is not"
            )
    return verified


def verify_folder(folder: Path, page_of: PageOf) -> Verified:
    """Recompute all that the records and the tables in a folder say. Raises InputError where there are no runs."""
    found, verified = found_below(folder), Verified()
    whole = {name for name in OF_THE_WHOLE if (folder / name).is_file()}
    records = _records(folder, [f"{name}/{RECORD}" for name in recorded_below(folder)])

    def content(name: str) -> bytes:
        try:
            return regular(folder / name, LARGEST_MEMBER).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ValueError(f"it cannot be read ({cause(error)})") from None

    _runs(found, records, content, verified)
    _tables(found, content, whole, False, verified)
    if PAGE in whole:
        _page(folder, found, content, page_of, verified)
    verified.notes += [
        f"{name} is not there, and compared with nothing; caspl results writes it"
        for name in TABLES
        if name not in whole
    ]
    verified.notes += [f"{name} is not there, though a record names it" for name in sorted(verified.missing)]
    return verified


def _content_of(archive: Archive) -> numbers.Content:
    def content(name: str) -> bytes:
        if name not in archive.names:
            raise FileNotFoundError(name)
        return archive.content(name)

    return content


def said(manifest: Manifest) -> set[str]:
    return {member.name for member in manifest.members}


def _members(archive: Archive, manifest: Manifest, verified: Verified) -> set[str]:
    """Compare all members with the manifest; gives the names of those that can be read."""
    known = {member.name: member for member in manifest.members}
    there = set(archive.names) - {manifests.NAME}
    verified.wrong += [f"{name} is missing" for name in sorted(known.keys() - there)]
    verified.wrong += [
        f"{name} was not bundled: {manifests.NAME} does not name it" for name in sorted(there - known.keys())
    ]
    sound = set()
    for name in sorted(there):
        try:
            found = archive.sha256(name)
        except Damaged as error:
            verified.wrong.append(f"{name}: {error}")
            continue
        sound.add(name)
        verified.files += 1
        if name in known and found != known[name].sha256:
            verified.wrong.append(
                f"{name} is another file than was bundled: its checksum is {found}, not {known[name].sha256}"
            )
    verified.wrong += [f"{name} is missing" for name in TABLES if name not in there | known.keys()]
    return sound


def _records(top: Path, names: Iterable[str]) -> dict[str, Record]:
    """By the folder of the run; what can't be read is told by who looks for runs."""
    records = {}
    for name in sorted(names):
        if PurePosixPath(name).name == RECORD:
            try:
                records[PurePosixPath(name).parent.as_posix()] = read(top / name)
            except InputError:
                continue
    return records


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------
def _runs(found: Found, records: dict[str, Record], content: numbers.Content, verified: Verified) -> None:
    """Every result from its predictions, and every file that a record names against its checksum."""
    counting = {PurePosixPath(run.path).parent.as_posix(): run for run in found.runs}
    trainings = links.Trainings(records)
    verified.runs = len(found.runs)
    for run in found.runs:
        if run.record is None:
            verified.open.append(f"{run.path}: the run left no record, only a log")
    for folder, record in records.items():
        if not record.finished:
            continue
        verified.others += folder not in counting
        if record.result is not None and record.predictions is not None:
            try:
                verified.wrong += [f"{folder}: {line}" for line in numbers.recomputed(record, folder, content)]
                verified.predictions += record.predictions.images
            except InputError as error:
                verified.wrong.append(str(error))
            except FileNotFoundError:
                verified.open.append(f"{folder}: its {record.predictions.file} is not there")
        elif record.result is not None:
            verified.open.append(f"{folder}: the run left no predictions (TEST.PREDICTIONS False)")
        verified.wrong += [f"{folder}: {line}" for line in numbers.models(folder, records, trainings)]
        _files(folder, record, content, trainings, verified)
    verified.wrong += [*numbers.images(found.runs), *numbers.copies(records)]


def _files(
    folder: str, record: Record, content: numbers.Content, trainings: links.Trainings, verified: Verified
) -> None:
    """Files that are there are those that the record names."""
    model = trainings.of(folder, record)
    named = [(f"{folder}/{name}", sha256) for name, sha256 in links.beside(record)]
    named += [(f"{model}/{name}", sha256) for name, sha256 in links.models(record) if model is not None]
    named += [(f"{folder}/{links.BOOSTING}", sha256)] if (sha256 := links.made(record)) else []
    for name, sha256 in named:
        verified.named.add(name)
        if record.predictions is not None and name == f"{folder}/{record.predictions.file}":
            continue  # read already
        try:
            found = verified.sums.get(name) or hashlib.sha256(content(name)).hexdigest()
        except FileNotFoundError:
            verified.missing.add(name)
            continue
        except ValueError as error:
            verified.wrong.append(f"{name}: {error}")
            continue
        verified.sums[name] = found
        if found != sha256:
            verified.wrong.append(
                f"{name} is not the file that the record in {folder} speaks of: {found}, not {sha256}"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------
def _tables(found: Found, content: numbers.Content, there: Collection[str], same: bool, verified: Verified) -> None:
    tables = every_table(found.runs)
    verified.tables = len(tables)
    verified.numbers = sum(isinstance(cell, Cell) for table in tables for row in table.rows for cell in row.cells)
    for name, text in texts_of(tables, found.runs).items():
        if name not in there:
            continue
        try:
            recorded = content(name).decode("utf-8")
        except ValueError as error:  # also of no UTF-8
            verified.wrong.append(f"{name}: {error}")
            continue
        verified.wrong += [f"{name}: {line}" for line in differences(name, recorded, text, same_program=same)]


def _page(top: Path, found: Found, content: numbers.Content, page_of: PageOf, verified: Verified) -> None:
    recorded = content(PAGE).decode("utf-8", "replace")
    verified.wrong += [f"{PAGE}: {line}" for line in page_differences(recorded, page_of(top, found))]
