"""What is in no table, and why, as far as that is not plain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...ground.errors import InputError
from ..reading.run import FEW_SHOT, Found, Run
from ..records import Status, found
from ..tables import Table
from .evidence import TITLES

ENDED = {
    Status.RUNNING: "it is under way, or was killed",
    Status.INTERRUPTED: "it was interrupted",
    Status.DIVERGED: "it diverged",
    Status.REFUSED: "it was refused",
    Status.FAILED: "it failed",
}


@dataclass(frozen=True)
class Lack:
    """Something that is in no table, and why."""

    where: str
    why: str = ""


@dataclass(frozen=True)
class Lacks:
    """All of one kind."""

    title: str
    entries: list[Lack]


def missing(folder: Path, known: Found, tables: Iterable[Table], unread: Mapping[str, str]) -> list[Lacks]:
    """Kinds of which there is none are left out. `unread`: whose predictions can't be read, by path, and why."""
    kinds = (
        Lacks("Rows without all numbers", [*_holes(tables)]),
        Lacks("Unfinished", [Lack(path, _why(folder, path, run)) for path, run in known.unfinished]),
        Lacks(
            "Tested on validation images, in no table",
            [Lack(path, f"{run.accuracy:.2f} %") for path, run in known.validation],
        ),
        Lacks("Left out", [Lack(path, why) for path, why in known.left_out]),
        Lacks("Predictions that can't be read", [Lack(path, why) for path, why in sorted(unread.items())]),
        Lacks("Not read: in no known layout, or trained on all images", [Lack(path) for path in known.elsewhere]),
    )
    return [kind for kind in kinds if kind.entries]


def _holes(tables: Iterable[Table]) -> Iterator[Lack]:
    """Rows that lack numbers which others of their table have; over shots no method needs all."""
    for table in tables:
        if table.title.startswith(TITLES[FEW_SHOT]):
            continue
        for row in table.rows:
            columns = [column for column, cell in zip(table.columns, row.cells, strict=True) if cell is None]
            if columns and not row.average:
                place = ", ".join(filter(None, (table.title, row.dataset, row.method)))
                yield Lack(place, f"no {', '.join(columns)}")


def _why(folder: Path, path: str, run: Run) -> str:
    """Why the run whose newest log is `path` has no result, as its record says, and which older result there is."""
    older = f"the result of {run.path} counts" if run.accuracy is not None else ""
    try:
        record = found((folder / path).parent)
    except InputError:  # named among what is left out
        record = None
    ended = ENDED.get(record.status, "") if record is not None else ""
    said = record.reason if record is not None and not record.finished else ""
    return "; ".join(filter(None, (said or ended, older)))
