"""What stands on the page, as typed values: all that is computed is computed here, and the template only shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ... import __version__
from ...ground.texts import counted
from ..certainty.tables import behind
from ..certainty.verdict import verdicts
from ..paper import artefacts
from ..reading.run import Found
from ..tables import ablation_tables, build_tables
from .artefacts import Absent, ShownArtefact, shown_artefacts
from .evidence import Evidences, Group, method_of
from .missing import Lacks, missing
from .panels.pooled import MOST_READ
from .shown import Picture, ShownTable, Source, Sources, picture_of, shown_table
from .verdict import ShownVerdict, shown_verdicts


@dataclass(frozen=True)
class Page:
    title: str
    version: str  # of this program
    counts: list[str]
    verdicts: list[list[ShownVerdict]]  # by setting
    tables: list[ShownTable]
    certainty: list[ShownTable]
    paper: list[ShownArtefact]
    absent: list[Absent]  # tables and figures of the paper for which there is no run
    missing: list[Lacks]
    groups: list[Group]
    sources: list[Source]
    limits: list[str]  # what the page leaves out, and why

    @property
    def pictures(self) -> list[Picture]:
        of_tables = [table.picture for table in self.tables if table.picture is not None]
        return [*of_tables, *(picture for artefact in self.paper for picture in artefact.pictures)]


def page_of(folder: Path, found: Found, beside: Path | None = None) -> Page:
    """The page of what was found below `folder`; written into the folder `beside` it links to the runs' records."""
    tables = build_tables(found.runs) if found.runs else {}
    evidences = Evidences(folder, found.runs, beside)
    sources = Sources(evidences)
    shown = [
        shown_table(setting.replace("_", "-"), table, sources, picture_of(f"picture-{number}", setting, table))
        for number, (setting, table) in enumerate(tables.items(), 1)
    ]
    varied = ablation_tables(found.runs)
    shown += [
        shown_table(f"{setting.replace('_', '-')}-ablations", table, sources) for setting, table in varied.items()
    ]
    certainty = [shown_table(f"certainty-{number}", table, sources) for number, table in enumerate(behind(tables), 1)]
    best = shown_verdicts(verdicts(found.runs, folder) if found.runs else (), sources)
    paper, absent = shown_artefacts(artefacts(found.runs, folder) if found.runs else (), sources)
    groups = evidences.groups()
    return Page(
        title=f"Results of {Path(os.path.abspath(folder)).name or folder}",
        version=__version__,
        counts=[
            counted(len(found.runs), "run"),
            counted(len({run.dataset for run in found.runs}), "dataset"),
            counted(len({method_of(run) for run in found.runs}), "method"),
            *([f"{bare:,} without a record"] if (bare := sum(run.record is None for run in found.runs)) else []),
        ],
        verdicts=best,
        tables=shown,
        certainty=certainty,
        paper=paper,
        absent=absent,
        missing=missing(folder, found, [*tables.values(), *varied.values()], evidences.reader.unread),
        groups=groups,
        sources=sources.lists,
        limits=[*_limits(evidences)],
    )


def _limits(evidences: Evidences) -> Iterator[str]:
    """What the panels lack, each said once."""
    for (dataset, root), count in sorted(evidences.finder.missing.items()):
        images = counted(count, "example image")
        yield f"{dataset}: {images} left out, not found below {root or 'the present folder'}."
    if left := evidences.reader.left:
        yield f"Of {counted(left, 'run')} predictions are not read: a page takes {MOST_READ:,} of them, the first seeds' first."
