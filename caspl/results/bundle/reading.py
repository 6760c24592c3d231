"""The runs in a bundle, found as those below a folder are, and with the same tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ...ground.errors import InputError
from ...ground.texts import shown, visible
from ..reading.logs import LOG_NAME
from ..reading.run import Found, Run
from ..reading.runs import find_runs
from ..records import NAME as RECORD
from . import manifest as manifests
from .archive import Archive, Damaged, odd, opened, refused
from .manifest import Left, Manifest

TABLES = ("results.csv", "results.md")
PAGE = "report.html"
OF_THE_WHOLE = (*TABLES, PAGE, manifests.NAME)  # members that are of no run
STAGE = "caspl-bundle-"  # begins the name of a temporary folder


def manifest_of(archive: Archive) -> Manifest:
    """Raises InputError where there is none, or it says what cannot be."""
    if manifests.NAME not in archive.names:
        raise refused(archive.path, f"it has no {manifests.NAME}")
    try:
        return manifests.decoded(archive.content(manifests.NAME))
    except (Damaged, ValueError, RecursionError) as error:
        raise refused(archive.path, str(error)) from None


def told(names: Iterable[str]) -> list[str]:
    """The members that tell which runs there are: records, logs, and the files of prompts of runs without a record."""
    names = list(names)
    recorded = {PurePosixPath(name).parent for name in names if PurePosixPath(name).name == RECORD}
    return [name for name in names if _tells(PurePosixPath(name), recorded)]


def _tells(name: PurePosixPath, recorded: set[PurePosixPath]) -> bool:
    if name.name == RECORD or LOG_NAME.fullmatch(name.name):
        return True
    return name.suffix == ".safetensors" and name.parent not in recorded


@contextmanager
def stage(folder: str) -> Iterator[Path]:
    """An empty folder of this name, which is gone afterwards."""
    fits = not odd(folder) and "/" not in folder
    with TemporaryDirectory(prefix=STAGE) as place:
        top = Path(place) / (folder if fits else "results")
        top.mkdir()
        yield top


def found_in(
    top: Path, paths: Mapping[str, str], left_out: Sequence[Left] = (), elsewhere: Sequence[str] = ()
) -> Found:
    """What lies in a stage: runs with the paths that they had, `paths` by that of the record, and what was said of others."""
    read = find_runs(top)

    def called(run: Run) -> Run:
        return replace(run, path=paths.get(run.path, run.path))

    return Found(
        runs=[called(run) for run in read.runs],
        unfinished=[(paths.get(path, path), called(run)) for path, run in read.unfinished],
        validation=[(paths.get(path, path), called(run)) for path, run in read.validation],
        left_out=[
            *((left.path, left.why) for left in left_out),
            *((path, why.replace(f"{top}/", "")) for path, why in read.left_out),  # the stage is of nobody's concern
        ],
        elsewhere=list(elsewhere),
    )


def recorded_below(top: Path) -> list[str]:
    """The folders below `top` with a record, those of runs in no table, too."""
    found = (Path(place).relative_to(top).as_posix() for place, _, files in os.walk(top) if RECORD in files)
    return sorted(found)


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, Found]]:
    """A folder with all that a bundle holds of its runs, gone after the `with` block, and what is found there.

    Raises InputError where the bundle is none, or holds anything else than it says.
    """
    with opened(path) as archive:
        manifest = manifest_of(archive)
        said = {member.name: member for member in manifest.members}
        names = [name for name in archive.names if name not in OF_THE_WHOLE]
        if wrong := sorted(set(said) ^ (set(archive.names) - {manifests.NAME})):
            raise altered(path, f"{shown(wrong[0])} is {'missing' if wrong[0] in said else 'no member of it'}")
        with stage(manifest.folder) as top:
            try:
                for name in names:
                    if archive.sha256(name) != said[name].sha256:
                        raise altered(path, f"{shown(name)} is another file")
                archive.unpack(names, top)
            except Damaged as error:
                raise altered(path, str(error)) from None
            yield top, found_in(top, manifest.paths, manifest.left_out, manifest.elsewhere)


def altered(path: Path, why: str) -> InputError:
    return InputError(
        f"{visible(str(path))} is not as it was bundled ({why}); caspl report {path} --verify says all that is wrong with it"
    )
