"""Which figure belongs to the table of a setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..reading.run import BASE_TO_NEW, FEW_SHOT
from ..tables import Table
from . import style
from .bars import base_to_new
from .lines import few_shot

DRAWN = {BASE_TO_NEW: base_to_new, FEW_SHOT: few_shot}  # by setting, which others have no figure
FILES = {BASE_TO_NEW: "results.png", FEW_SHOT: "few_shot.png"}


def draw(setting: str, table: Table) -> Any:
    """The figure of a table of a setting that is in DRAWN."""
    return DRAWN[setting](table)


def save(setting: str, table: Table, path: Path) -> None:
    """Draw it as a PNG file."""
    style.save(lambda: draw(setting, table), path)


def svg(setting: str, table: Table, theme: str) -> tuple[bytes, int]:
    """As `style.svg`."""
    return style.svg(lambda: draw(setting, table), theme, setting)
