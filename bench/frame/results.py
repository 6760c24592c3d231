"""results.json: the record of every run that was measured last, by its command."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from bench.frame.figures import Figure
from caspl.ground.errors import InputError
from caspl.ground.files import replacing
from caspl.ground.locks import locked

RESULTS = Path(__file__).resolve().parents[1] / "results.json"
FORMAT = 1
PATIENCE = 30.0  # seconds that one process waits for another to write


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run: its command, where and of what, and its figures. `load` is that of the machine at its beginning."""

    benchmark: str
    command: str
    figures: tuple[Figure, ...]
    threads: int
    device: str
    processor: str
    torch: str
    commit: str
    date: str
    seconds: float
    load: float

    @property
    def facts(self) -> str:
        where = self.processor if self.device == "cpu" else f"{self.device}, {self.processor}"
        of = f", commit {self.commit}" if self.commit else ""
        return f"{self.threads} CPU thread{'s'[: self.threads > 1]}, {where}, PyTorch {self.torch}{of}, {self.date}"

    def figure(self, name: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.name == name), None)


def read(path: Path = RESULTS) -> dict[str, Record]:
    """Records by command; none where there is no file. Raises InputError where it is not what `write` leaves."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); python -m bench all writes one") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("records"), list):
        raise InputError(
            f"{path} is no file of results: expected format {FORMAT} and a list of records; python -m bench all"
        )
    records = [_checked(Record, entry, f"{path}, record {number}") for number, entry in enumerate(found["records"])]
    return {record.command: record for record in records}


def write(path: Path, records: Mapping[str, Record]) -> None:
    """All of them, in the order of their commands, in one step."""
    with replacing(path) as temporary:
        whole = {"format": FORMAT, "records": [asdict(records[command]) for command in sorted(records)]}
        temporary.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def add(path: Path, records: Mapping[str, Record]) -> None:
    """Take records in, those of the same commands replaced; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), patience=PATIENCE):
        write(path, read(path) | dict(records))


def _checked(kind: type, entry: Any, place: str) -> Any:
    """A dataclass of what JSON has. Raises InputError naming the field."""
    names = {f.name for f in fields(kind)}
    if not isinstance(entry, dict) or entry.keys() != names:
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise InputError(f"{place}: expected the fields {', '.join(sorted(names))}, found {found}")
    hints, values = get_type_hints(kind), dict(entry)
    for name, hint in hints.items():
        if name == "figures":
            if not isinstance(entry[name], list) or not entry[name]:
                raise InputError(f"{place}, figures: expected a list of some, found {entry[name]!r}")
            values[name] = tuple(_checked(Figure, one, f"{place}, figure {n}") for n, one in enumerate(entry[name]))
            continue
        allowed = hint.__args__ if isinstance(hint, types.UnionType) else (hint,)
        allowed = (*allowed, int) if float in allowed else allowed
        if not isinstance(entry[name], allowed) or isinstance(entry[name], bool):
            raise InputError(f"{place}, {name}: expected {hint}, found {entry[name]!r}")
    return kind(**values)
