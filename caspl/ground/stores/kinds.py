"""The kinds of stores that there are: how a file of each is known, what it says of itself, and whether it is what was written.

A store of another kind is a row in KINDS. What no row knows is nobody's here: it is neither listed nor removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import load_json, regular
from ..tensors.sealed import check_seal, check_table
from . import facts as facts_files
from .segments import ENDING, DamagedError, ForeignError, Segment, header_of


@dataclass(frozen=True)
class Content:
    """What a file of a store says of itself: `facts` that decide its content and whatever else is known, and its rows."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Attributes:
        name: for `--kind`, one word.
        about: what is kept, in a few words.
        ending: of the names of its files.
        look: what a file says of itself, read from its beginning only; None: it is of no such store.
        check: reads all of a file; raises ValueError, with a phrase about "it", where it is not what was written.
    """

    name: str
    about: str
    ending: str
    look: Callable[[Path], Content | None]
    check: Callable[[Path], None]


# ---------------------------------------------------------------------------------------------------------------------
# Rows (rows.py): many files in a folder with facts.json, which says the kind
# ---------------------------------------------------------------------------------------------------------------------
def rows_of(kind: str) -> Callable[[Path], Content | None]:
    def look(path: Path) -> Content | None:
        try:
            facts = facts_files.read(path.parent)
            if facts.kind != kind:
                return None
            rows = header_of(path).rows
        except DamagedError:
            rows = 0
        except (ForeignError, ValueError, OSError):
            return None
        return Content({**facts.about, **facts.facts}, rows)

    return look


def check_rows(path: Path) -> None:
    segment = Segment(path)
    try:
        if segment.header.shape.digest.hex() != path.parent.name:
            raise ValueError("it is of another store than the folder that it lies in")
        if damaged := segment.check():
            raise ValueError(f"{damaged:,} of its {segment.header.rows:,} rows are not what was written")
    finally:
        segment.close()


# ---------------------------------------------------------------------------------------------------------------------
# Features (clip/feature_store.py): safetensors files named by a digest, with facts among their metadata
# ---------------------------------------------------------------------------------------------------------------------
DIGEST = re.compile(r"[0-9a-f]{32}")


def features_with(fact: str) -> Callable[[Path], Content | None]:
    """Files of tensors among whose facts there is one called so."""

    def look(path: Path) -> Content | None:
        if not DIGEST.fullmatch(path.stem):
            return None
        try:
            check_table(regular(path))
            with open(path, "rb") as file:
                table = load_json(file.read(int.from_bytes(file.read(8), "little")))
            facts = load_json(table["__metadata__"]["facts"])
            rows = int(next(entry["shape"][0] for name, entry in table.items() if name != "__metadata__"))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
            return None
        return Content(facts, rows) if isinstance(facts, dict) and fact in facts else None

    return look


def check_features(path: Path) -> None:
    check_table(regular(path))
    check_seal(path)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("teacher", "image features of teachers", ENDING, rows_of("teacher"), check_rows),
        Kind("images", "test images, resized and cropped", ENDING, rows_of("images"), check_rows),
        Kind(
            "features", "image features of test sets", ".safetensors", features_with("vision prompts"), check_features
        ),
        Kind(
            "texts", "class features of hand-written texts", ".safetensors", features_with("templates"), check_features
        ),
    )
}
