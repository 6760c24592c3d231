"""What may stand next on a command line that begins with `caspl`, by table.json. Nothing here imports PyTorch.

A node of the table is a command or one of its own commands: `words` are the nodes of these, `options` its flags with what they
take, and `places` what its positional arguments are, the last of which may come again. What is taken is a list of words, or the
name of one in `lists`; "" is anything, which the shell completes as a file. "pairs" are KEY VALUE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import configs

TABLE = Path(__file__).with_name("table.json")
PAIRS = "pairs"
CONFIGS = "configs/"  # in front of a folder of configuration files
SEPARATORS = re.compile(r"[ ,]")  # in a list of names, such as --trainers CoOp,MaPLe

Answer = tuple[str, str]  # a word, and what it means in a few


class Table:
    """table.json; `lists` are read where they are asked for."""

    def __init__(self, path: Path = TABLE) -> None:
        self.content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def files(self) -> list[str]:
        return configs.names()

    def words(self, taken: str | list[str]) -> list[Answer]:
        """All that `taken` names."""
        if isinstance(taken, list):
            return [(word, "") for word in taken]
        if taken == "configuration names":
            return [(name, "") for name in sorted({Path(file).stem for file in self.files if "/trainers/" in file})]
        if taken.startswith(CONFIGS):
            return [(file, "") for file in self.files if file.startswith(taken)]
        if taken == "keys":
            return [(name, key["about"]) for name, key in self.content["keys"].items()]
        return [(word, "") for word in self.content["lists"].get(taken, ())]

    def values_of(self, key: str) -> list[Answer]:
        """What a configuration key takes, as far as it is a choice."""
        return self.words(self.content["keys"].get(key, {}).get("values", ""))


@dataclass
class Line:
    """Where a command line has come to."""

    node: dict[str, Any]
    option: dict[str, Any] | None = None  # whose value is next
    half: dict[str, Any] | None = None  # whose value the last word was, unless = and the rest of it follow: CoOp=digits
    place: int = 0
    pairs: list[str] | None = None  # once they have begun
    closed: bool = False  # behind --, where no flags come any more
    used: set[str] = field(default_factory=set)

    def take(self, word: str) -> None:
        """Go on behind `word`; bash has the sign of KEY=VALUE as a word of its own."""
        if word == "=":
            self.option = self.option or self.half
            return
        self.half = self.option
        if self.option and not (self.option.get("many") == "words" and word.startswith("-")):
            self.option = self.option if self.option.get("many") == "words" else None
        elif word == "--" and not self.closed:
            self.closed, self.pairs, self.option = True, [] if self.node.get(PAIRS) else self.pairs, None
        elif word.startswith("-") and not self.closed:
            name, equals, _ = word.partition("=")
            self.used.add(name)
            option = self.node["options"].get(name)
            self.option = option if option and option["takes"] is not None and not equals else None
        elif self.pairs is not None:
            self.pairs += word.split("=", 1)
        elif word in self.node["words"] and not self.place:
            self.node, self.used = self.node["words"][word], set()
        else:
            if self.kind == PAIRS:
                self.pairs = word.split("=", 1)
            self.place += 1

    @property
    def kind(self) -> str | list[str]:
        """What the next positional argument is."""
        places = self.node["places"]
        return places[min(self.place, len(places) - 1)] if places else []


def answers(words: Sequence[str], table: Table | None = None) -> list[Answer]:
    """What may take the place of the last of `words`, which stand behind `caspl`; none: what the shell does with files.

    bash has taken KEY=VALUE and --option=value apart at the sign; the others have not.
    """
    table = table or Table()
    words = [*words]
    current = words.pop().lstrip("\"'") if words else ""
    line = Line(table.content["caspl"])
    for word in words:
        line.take(word)
    before, equals, rest = current.partition("=")
    if equals and not before:  # the sign alone, in bash
        return answers([*words, equals, ""], table)
    if equals and line.option:  # TRAINER=NAME of --config
        return [(f"{before}={word}", about) for word, about in _beginning(rest, table.words(line.option["takes"]))]
    if equals:
        return [(f"{before}={word}", about) for word, about in answers([*words, before, rest], table)]
    if line.option and line.option.get("many"):
        return [*_of_a_list(current, _next(line, table))]
    if current.startswith("-") and not line.option and not line.closed:
        return [*_beginning(current, _options(line))]
    found = [*_beginning(current, _next(line, table))]
    return found or (
        _options(line) if not current and not line.option and not line.node["places"] and not line.place else []
    )


def _next(line: Line, table: Table) -> list[Answer]:
    if line.option:
        return table.words(line.option["takes"])
    if line.pairs is not None and len(line.pairs) % 2:
        return table.values_of(line.pairs[-1])
    if line.pairs is not None or line.kind == PAIRS:
        return table.words("keys")
    own = [(word, node["about"]) for word, node in line.node["words"].items()] if not line.place else []
    return [*own, *table.words(line.kind)]


def _options(line: Line) -> list[Answer]:
    if line.closed or line.pairs and len(line.pairs) % 2:
        return []
    return [
        (name, option["about"])
        for name, option in line.node["options"].items()
        if name not in line.used or option.get("again")
    ]


def _beginning(current: str, found: Sequence[Answer]) -> Iterator[Answer]:
    return ((word, about) for word, about in found if word.startswith(current))


def _of_a_list(current: str, found: Sequence[Answer]) -> Iterator[Answer]:
    """The last name of a list, and what stands before it again."""
    last = SEPARATORS.split(current)[-1]
    before = current[: len(current) - len(last)]
    there = SEPARATORS.split(before)
    return ((before + word, about) for word, about in found if word.startswith(last) and word not in there)
