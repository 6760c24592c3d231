"""What stands on the page, as typed values: all that is computed is computed here, and the template only shows it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ... import __version__
from ...ground.texts import counted
from ..figures import DRAWN, INKS, svg
from ..methods import MARK
from ..names import dataset_order, method_name, method_order
from ..reading.run import BASE_TO_NEW, CROSS_DATASET, DOMAINS, FEW_SHOT, Found, Run
from ..render import Line, grid, labels, notes
from ..tables import Table, build_tables
from . import facts

TITLES = {
    BASE_TO_NEW: "Base to new",
    FEW_SHOT: "Few-shot",
    CROSS_DATASET: "Cross-dataset",
    DOMAINS: "Domain generalisation",
}


@dataclass(frozen=True)
class Picture:
    """A figure: its address by theme, which holds the picture itself, and its width in pixels."""

    addresses: dict[str, str]
    width: int


@dataclass(frozen=True)
class ShownTable:
    """A table of results, as text."""

    anchor: str
    title: str
    headers: list[str]
    names: int  # how many columns in front are names, and no numbers
    lines: list[Line]
    notes: list[str]
    picture: Picture | None


@dataclass(frozen=True)
class Lack:
    """Something that is in no table, and why, as far as that is not plain."""

    where: str
    why: str = ""


@dataclass(frozen=True)
class Lacks:
    """All of one kind."""

    title: str
    entries: list[Lack]


@dataclass(frozen=True)
class ShownRun:
    """A finished run; `command` is empty where it left no record."""

    method: str
    what: str  # tells it from the method's other runs on the dataset
    accuracy: str
    calibration: str
    seconds: str
    path: str
    command: str
    facts: list[facts.Facts]


@dataclass(frozen=True)
class Group:
    """The runs of one setting on one dataset."""

    title: str
    runs: list[ShownRun]


@dataclass(frozen=True)
class Page:
    title: str
    version: str  # of this program
    counts: list[str]
    tables: list[ShownTable]
    missing: list[Lacks]
    groups: list[Group]


def page_of(folder: Path, found: Found) -> Page:
    """The page of what was found below `folder`."""
    tables = build_tables(found.runs) if found.runs else {}
    runs = sorted(found.runs, key=_order)
    return Page(
        title=f"Results of {Path(os.path.abspath(folder)).name or folder}",
        version=__version__,
        counts=[
            counted(len(runs), "run"),
            counted(len({run.dataset for run in runs}), "dataset"),
            counted(len({_method(run) for run in runs}), "method"),
            *([f"{bare:,} without a record"] if (bare := sum(run.record is None for run in runs)) else []),
        ],
        tables=[_table(setting, table) for setting, table in tables.items()],
        missing=[lacks for lacks in _missing(found, tables.values()) if lacks.entries],
        groups=[Group(title, [*map(_run, own)]) for title, own in groupby(runs, key=_title)],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------------------------------------------------
def _table(setting: str, table: Table) -> ShownTable:
    names = labels(table)
    headers, lines = grid(table, table.rows, names)
    picture = _picture(setting, table) if setting in DRAWN else None
    return ShownTable(setting.replace("_", "-"), table.title, headers, len(names), lines, notes(table), picture)


def _picture(setting: str, table: Table) -> Picture:
    drawn = {theme: svg(setting, table, theme) for theme in INKS}
    encoded = {theme: base64.b64encode(content).decode("ascii") for theme, (content, _) in drawn.items()}
    return Picture({theme: f"data:image/svg+xml;base64,{text}" for theme, text in encoded.items()}, drawn["light"][1])


# ---------------------------------------------------------------------------------------------------------------------
# What is missing
# ---------------------------------------------------------------------------------------------------------------------
def _missing(found: Found, tables: Iterable[Table]) -> Iterator[Lacks]:
    yield Lacks("Rows without all numbers", [*_holes(tables)])
    yield Lacks("Unfinished", [*_unfinished(found)])
    validated = [Lack(path, f"{run.accuracy:.2f} %") for path, run in found.validation]
    yield Lacks("Tested on validation images, in no table", validated)
    yield Lacks("Left out", [Lack(path, why) for path, why in found.left_out])
    yield Lacks("Not read: in no known layout, or trained on all images", [Lack(path) for path in found.elsewhere])


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


def _unfinished(found: Found) -> Iterator[Lack]:
    for path, run in found.unfinished:
        older = f"the result of {run.path} counts" if run.accuracy is not None else ""
        reason = run.record.reason if run.record is not None and run.path == path else ""
        yield Lack(path, older or reason)


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------
def _order(run: Run) -> tuple:
    classes = ("base", "new", "all")
    place = [*TITLES].index(run.setting), dataset_order(run.dataset), method_order(run.trainer), run.inductive
    return *place, run.config, run.shots, -1 if run.seed is None else run.seed, classes.index(run.classes), run.path


def _title(run: Run) -> str:
    return f"{TITLES[run.setting]}, {run.dataset}"


def _method(run: Run) -> str:
    return method_name(run.trainer) + (MARK if run.inductive else "")


def _run(run: Run) -> ShownRun:
    what = [
        "" if run.seed is None else f"seed {run.seed}",
        f"{run.classes} classes" if run.setting == BASE_TO_NEW else "",
        f"{run.shots} shots" if run.shots else "",
        run.config,
    ]
    record, result = run.record, run.record.result if run.record is not None else None
    spent = record.cost.training_seconds + record.cost.evaluation_seconds if record is not None else 0
    return ShownRun(
        method=_method(run),
        what=", ".join(filter(None, what)),
        accuracy=f"{run.accuracy:.2f} %",
        calibration=f"{result.ece:.2f} %" if result is not None and result.ece is not None else "",
        seconds=facts.duration(spent) if spent else "",
        path=run.path,
        command=facts.command(record) if record is not None else "",
        facts=facts.of_record(record) if record is not None else facts.of_log(run),
    )
