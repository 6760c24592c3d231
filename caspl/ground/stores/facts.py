"""What decides the content of a store: facts in plain values, by whose digest its folder is named, and which lie beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..files import load_json, regular, replacing

NAME = "facts.json"
MOST_BYTES = 2**20  # of the file


@dataclass(frozen=True)
class Facts:
    """What a store holds.

    Attributes:
        kind: which kind of store it is, a name of `kinds.KINDS`.
        facts: what decides the content, in plain values; others mean another store.
        about: what else a reader wants to know, such as a name; decides nothing.
    """

    kind: str
    facts: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def digest(self) -> bytes:
        """16 bytes."""
        return blake2b(json.dumps([self.kind, self.facts], sort_keys=True).encode(), digest_size=16).digest()

    def write(self, folder: Path) -> None:
        """Let them lie in the folder of the store. Raises OSError."""
        with suppress(OSError, ValueError):
            if read(folder).digest == self.digest:
                return
        with replacing(folder / NAME) as temporary:
            text = {"kind": self.kind, "facts": self.facts, "about": self.about}
            temporary.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Facts:
    """Those in the folder of a store. Raises OSError, and ValueError, a phrase about "it", where they are not of its name."""
    found = load_json(regular(folder / NAME, MOST_BYTES).read_bytes())
    if not isinstance(found, dict) or [type(found.get(key)) for key in ("kind", "facts", "about")] != [str, dict, dict]:
        raise ValueError("it does not say what a store holds")
    facts = Facts(found["kind"], found["facts"], found["about"])
    if facts.digest.hex() != folder.name:
        raise ValueError("it is not of the folder that it lies in")
    return facts
