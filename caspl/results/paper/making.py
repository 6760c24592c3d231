"""All that can be made of some runs, in the paper's order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..reading.run import Run
from .ablations import fig4, table5, table6
from .artefact import Artefact
from .cascade import fig1c, table1, table7
from .domains import table2
from .selection import on_one_backbone
from .shots import fig3, table3
from .spread import fig5

MADE = (table1, table2, table3, table5, table6, table7, fig1c, fig3, fig4)


def artefacts(runs: Sequence[Run], folder: Path) -> list[Artefact]:
    """Tables first. `runs` are finished ones, `folder` is what their paths are relative to."""
    own = on_one_backbone(runs)
    return [*(make(own) for make in MADE), fig5(own, folder)]
