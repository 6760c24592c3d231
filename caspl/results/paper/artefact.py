"""What is made of the runs for one table or figure of the paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..figures import style
from ..tables import Table


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn when it is asked for.

    Attributes:
        name: of its file, without an ending; no two pictures of a report share it.
        alt: what it shows, in words.
        drawing: gives a figure of matplotlib's.
    """

    name: str
    alt: str
    drawing: style.Drawing = field(compare=False)

    def svg(self, theme: str) -> tuple[bytes, int]:
        """The drawing for a page of a theme of `figures.INKS`, and its width in pixels; the same runs give the same bytes."""
        return style.svg(self.drawing, theme, self.name)

    def save(self, path: Path) -> None:
        """Write it as a PNG file."""
        style.save(self.drawing, path)


@dataclass(frozen=True)
class Artefact:
    """A table or figure of the paper, as far as there are runs for it.

    Attributes:
        name: table1, fig3 ...: what `caspl sweep reproduce` takes.
        title: as the paper counts it.
        about: what it shows, in a sentence or two.
        tables: own numbers beside the published ones; none where there is no run.
        pictures: likewise.
        missing: what would be needed and is not there, a phrase each; none: all of it is there.
        command: that makes what is missing.
    """

    name: str
    title: str
    about: str
    tables: list[Table]
    pictures: list[Picture]
    missing: list[str]
    command: str

    @property
    def made(self) -> bool:
        """Whether there is anything to show but what is missing."""
        return bool(self.tables or self.pictures)
