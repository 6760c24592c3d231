"""`bundle.json`: what a bundle says of itself. Every other member stands in it with its checksum."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from ... import __version__
from ...checkpoints.fields import number, parse, several, text
from ...ground.errors import InputError
from ...ground.files import as_json, load_json
from ...ground.texts import LONGEST_NAME, counted
from ..reading.logs import LOG_NAME
from ..records import Record
from ..records.checkout import checksum
from ..records.schema import LONGEST_PATH, MOST_BYTES, SHA256

NAME = "bundle.json"
FORMAT, VERSION = "caspl bundle", 1
DISTRIBUTION = "caspl"
MOST = 65_535  # members, and whatever else is listed


@dataclass(frozen=True)
class Member:
    """A file in a bundle."""

    name: str = text(LONGEST_PATH)
    bytes: int = number(0, MOST_BYTES)
    sha256: str = text(64)

    def problem(self) -> str:
        return "" if self.sha256 and SHA256.fullmatch(self.sha256) else "has no checksum of 64 hexadecimal digits"


@dataclass(frozen=True)
class Left:
    """Something that is not in a bundle, or in no table, and why."""

    path: str = text(LONGEST_PATH)
    why: str = text(100_000)


@dataclass(frozen=True)
class Program:
    """Which program made it; its tables are to be repeated to the byte by the same one."""

    version: str = text(100)
    sha256: str = text(64)  # of all modules, as in a run's record; empty: not known


@dataclass(frozen=True)
class Manifest:
    """Paths are relative to the folder that was bundled; nothing here names a machine or a user."""

    folder: str = text(LONGEST_NAME)  # its name, without what stands in front
    program: Program
    python: str = text(100)  # that the bundle was made with
    packages: dict[str, str] = several(1_000, text(1_000))  # likewise: this program's dependencies with their versions
    machines: list[str] = several(MOST, text(2_000))  # that the runs were made on, as their records say
    members: list[Member] = several(MOST)  # all but this one
    paths: dict[str, str] = several(MOST, text(LONGEST_PATH))  # of a record: what tables call the run, its log
    left_out: list[Left] = several(MOST)  # runs that stand in no table, as the folder was read
    elsewhere: list[str] = several(MOST, text(LONGEST_PATH))  # folders that were not read
    absent: list[Left] = several(MOST)  # files that records name and the bundle has not

    def problem(self) -> str:
        for record, log in self.paths.items():
            if PurePosixPath(record).parent != PurePosixPath(log).parent or not LOG_NAME.fullmatch(
                PurePosixPath(log).name
            ):
                return f"calls the run of {as_json(record)} {as_json(log)}, expected a log beside it"
        if len({member.name for member in self.members}) < len(self.members):
            return "has a member twice"
        return ""


def encoded(manifest: Manifest) -> bytes:
    """Raises InputError for what no bundle may hold."""
    values = asdict(manifest)
    try:
        parse(Manifest, values)
    except ValueError as error:
        raise InputError(f"the bundle was not written: it would be wrong: {error}") from None
    return (json.dumps({"format": FORMAT, "version": VERSION, **values}, indent=1) + "\n").encode("ascii")


def decoded(content: bytes) -> Manifest:
    """Raises ValueError, with a phrase, for what is none."""
    try:
        values = load_json(content)
    except ValueError as error:
        raise ValueError(f"its {NAME}: {error}") from None
    form = values.get("format", "not given") if isinstance(values, dict) else values
    if form != FORMAT:
        raise ValueError(f"its {NAME} is JSON of another kind (format {as_json(form)}), expected {as_json(FORMAT)}")
    version = values.get("version", "not given")
    if type(version) is not int or version != VERSION:
        raise ValueError(f"its {NAME} has version {as_json(version)}, this program reads version {VERSION}")
    try:
        return parse(Manifest, {key: value for key, value in values.items() if key not in ("format", "version")})
    except ValueError as error:
        raise ValueError(f"its {NAME}: {error}") from None


def this_program() -> Program:
    return Program(__version__, checksum(*_packages()))


def _packages() -> list[Path]:
    """Where the modules of this program lie, as `trainers.records` counts them for a run."""
    return [Path(__file__).resolve().parents[2]]


def packages() -> dict[str, str]:
    """The versions of what this program depends on, as far as it is installed here."""
    found = {}
    try:
        needed = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a checkout that was not installed
        return found
    for requirement in needed:
        name = re.match(r"[\w.-]+", requirement)
        if name and "extra ==" not in requirement:
            try:
                found[name[0]] = metadata.version(name[0])
            except metadata.PackageNotFoundError:
                continue
    return dict(sorted(found.items()))


def python() -> str:
    return platform.python_version()


def machines(records: Iterable[Record]) -> list[str]:
    """What the runs were made with, a line for each kind."""
    kinds = Counter(
        f"Python {run.machine.python}, PyTorch {run.machine.torch}, {run.machine.device} {run.machine.device_name}, "
        f"{run.machine.computes_in or 'precision not known'}, caspl {run.code.version} {run.code.revision[:12]}".strip()
        for run in records
    )
    return [f"{counted(count, 'run')}: {kind}" for kind, count in sorted(kinds.items())]
