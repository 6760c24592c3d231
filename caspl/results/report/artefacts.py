"""The paper's tables and figures as the page shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..figures import INKS
from ..paper import Artefact
from .shown import Picture, ShownTable, Sources, address, shown_table


@dataclass(frozen=True)
class ShownArtefact:
    """One of which there is something to see."""

    anchor: str
    title: str
    about: str
    tables: list[ShownTable]
    pictures: list[Picture]
    missing: list[str]
    command: str  # that makes what is missing


@dataclass(frozen=True)
class Absent:
    """One of which there is nothing."""

    title: str
    missing: list[str]
    command: str


def shown_artefacts(artefacts: Iterable[Artefact], sources: Sources) -> tuple[list[ShownArtefact], list[Absent]]:
    """Those that can be shown, and the others."""
    made, absent = [], []
    for artefact in artefacts:
        if artefact.made:
            made.append(_shown(artefact, sources))
        else:
            absent.append(Absent(artefact.title, artefact.missing, artefact.command))
    return made, absent


def _shown(artefact: Artefact, sources: Sources) -> ShownArtefact:
    anchor = f"paper-{artefact.name}"
    pictures = []
    for number, picture in enumerate(artefact.pictures, 1):
        drawn = {theme: picture.svg(theme) for theme in INKS}
        addresses = {theme: address(content) for theme, (content, _) in drawn.items()}
        pictures.append(Picture(f"{anchor}-picture-{number}", addresses, drawn["light"][1], picture.alt))
    tables = [
        shown_table(f"{anchor}-table-{number}", table, sources) for number, table in enumerate(artefact.tables, 1)
    ]
    return ShownArtefact(anchor, artefact.title, artefact.about, tables, pictures, artefact.missing, artefact.command)
