"""Reading and writing `run.json`, a JSON text with a checksum of its content.

Nothing in a file is taken for granted: a field too many or too few, one of a wrong type or range, numbers that contradict each
other, and a changed digit are refused in one sentence. Reformatting changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...checkpoints.fields import parse
from ...ground.errors import InputError, cause
from ...ground.files import as_json, load_json, regular, replacing
from .schema import NEUTRAL, Record

NAME = "run.json"  # beside the log
FORMAT, VERSION = "caspl run", 2  # the newest
SINCE_2 = (
    "features"  # what version 1 does not know: a record without it is of version 1, which older programs read, too
)
LARGEST = 2**25  # bytes of a record
CHUNK = 2**20
UNALTERED = "take an unaltered file, or repeat the run"


def write(folder: str | Path, record: Record) -> Path:
    """Write `record` into the folder of its run; whoever reads sees the old file or the whole new one.

    Raises InputError for a record that no file may hold, and OSError where the file can't be written.
    """
    path = Path(folder) / NAME
    values = asdict(record)
    try:
        parse(Record, values)
        version = VERSION if values[SINCE_2] is not None else 1
        kept = {name: value for name, value in values.items() if version > 1 or name != SINCE_2}
        values = {"format": FORMAT, "version": version, **kept}
        lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in values.items()]
    except ValueError as error:
        raise InputError(f"{path} was not written: it would be wrong: {error}") from None
    lines.append(f'"sha256": "{_seal(values)}"')
    with replacing(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")
    return path


def read(path: str | Path) -> Record:
    """The record at `path`, a file or the folder of a run.

    Raises InputError, in one sentence with the file and what is wrong in it: there is none, or it can't be read; it is of
    another kind or version, damaged, or says what cannot be.
    """
    path = Path(path)
    return _read(path / NAME if path.is_dir() else path)


def _read(path: Path) -> Record:
    try:
        content = regular(path, LARGEST).read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); {UNALTERED}") from None
    try:
        values = load_json(content)
        _check_version(values, path)
        return _parsed(values)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}; {UNALTERED}") from None


def found(folder: str | Path) -> Record | None:
    """The record in the folder of a run; None where there is no such file. Raises InputError as `read`."""
    path = Path(folder) / NAME
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); check the path") from None
    return _read(path)


def _check_version(values: Any, path: Path) -> None:
    """Raise InputError for JSON of another kind or version."""
    form = values.get("format", "not given") if isinstance(values, Mapping) else values
    if form != FORMAT:
        raise InputError(
            f"{path} is JSON of another kind (format {as_json(form)}), expected {as_json(FORMAT)}, a run's record"
        )
    version = values.get("version", "not given")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise InputError(
            f"{path} has version {as_json(version)} of a run's record, this program reads versions 1 to {VERSION}; use the "
            f"program that wrote it, or repeat the run"
        )


def _parsed(values: Mapping[str, Any]) -> Record:
    """Raises ValueError, with a phrase, for what no program of this version has written."""
    content = {key: value for key, value in values.items() if key != "sha256"}
    if "sha256" not in values:
        raise ValueError("it lacks sha256, the checksum of its content")
    if values["sha256"] != _seal(content):
        raise ValueError("its content is not what was written, as its checksum says")
    fields = {key: value for key, value in content.items() if key not in ("format", "version")}
    if values["version"] == 1:
        if SINCE_2 in fields:
            raise ValueError(f"it has {SINCE_2}, which version 1 does not know")
        fields[SINCE_2] = None
    return parse(Record, fields)


def _seal(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# Checksums
# ---------------------------------------------------------------------------------------------------------------------
def digest(settings: Mapping[str, str]) -> str:
    """SHA-256 of settings that are not at their default, without those that change no number; their order does not matter."""
    deciding = {key: value for key, value in settings.items() if not NEUTRAL.fullmatch(key)}
    return _seal(deciding)


def sha256_of_images(names: Iterable[str], labels: Iterable[int]) -> str:
    """SHA-256 of the names and labels of images, in order, as `Part` has it."""
    whole = hashlib.sha256()
    for name, label in zip(names, labels, strict=True):
        whole.update(f"{name}\0{label}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises OSError where it can't be read."""
    whole = hashlib.sha256()
    with open(regular(path), "rb") as file:
        while chunk := file.read(CHUNK):
            whole.update(chunk)
    return whole.hexdigest()
