"""Keys of a configuration, each declared once: default, type, bounds or choices, and a sentence.

This is the mechanism; it knows no key. A module declares `KEYS`, a list of `Key`, beside the code that reads them, and the
rest follows from it: `add_keys` puts the defaults into a configuration, `Key.taken` reads what people write, `check` finds
values that cannot be, `as_text` and `as_table` document. What several keys have to be together is a `Rule`, declared beside
them. A configuration is a yacs node, or any other dict of dicts whose class can be made empty.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import reduce
from operator import getitem
from typing import Any

from .errors import InputError
from .texts import shown

_ONE = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}
LONGEST = 4096  # characters of a text, the longest path of most systems
MOST_ENTRIES = 10_000  # of a list
NO_TEXT = ("none", "null", "~", "false")  # what people write for an empty text
SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}  # YAML's words


@dataclass(frozen=True)
class Bounds:
    """Which finite numbers there may be; `above` and `below` are left out themselves."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            _is_finite(value)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """In words: "1 to 9", "above 0 and below 1", "" where there are none."""
        if self.least is not None and self.most is not None:
            return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
        bounds = (
            ("{} or more", self.least),
            ("above {}", self.above),
            ("{} or less", self.most),
            ("below {}", self.below),
        )
        return " and ".join(text.format(bound) for text, bound in bounds if bound is not None)


@dataclass(frozen=True)
class Key:
    """One key. Bounds, choices and, where the value is a list, `items` are about each entry of it.

    Attributes:
        name: its full path, such as "OPTIM.LR".
        default: its value where nobody sets it.
        about: what it means, one sentence or less, with the unit; it ends without a full stop.
        kind: the type of its values; that of the default if not given. float takes whole numbers, too; a list is a tuple, too.
        items: the type of a list's entries; that of the default's first entry if not given.
        least, above, most, below: bounds of a number, with and without the bound itself.
        choices: all values that there are.
        length: how many entries a list has.
        check: whether a value of the right type and within the bounds can be.
        rule: what `check` asks for, in words that go on after "expected a number, ".
        read_with: another key and the values of it with which this one is read (of a list, one of its entries); else it is
            always read.
        unread: nothing here reads it; it is there for files that were written for other code.
        meant_by_true: the text that True stands for in files of other code; None: True is none of its values.
        recorded: what is tested can depend on it, so that model files say what it was.
    """

    name: str
    default: Any
    about: str
    _: KW_ONLY
    kind: type | None = None
    items: type | None = None
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    length: int | None = None
    check: Callable[[Any], bool] | None = None
    rule: str = ""
    read_with: tuple[str, tuple[Any, ...]] | None = None
    unread: bool = False
    meant_by_true: str | None = None
    recorded: bool = False

    def __post_init__(self) -> None:
        kind = self.kind or type(self.default)
        object.__setattr__(self, "kind", list if kind is tuple else kind)
        if self.kind is list and self.items is None:
            object.__setattr__(self, "items", type(self.default[0]))

    @property
    def section(self) -> str:
        """The path without the last word; "" for a key at the top."""
        return self.name.rpartition(".")[0]

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.least, self.above, self.most, self.below)

    @property
    def expected(self) -> str:
        """What a value has to be, in words: "a whole number, 1 or more"."""
        rule = f", {self.rule}" if self.rule else ""
        if self.kind is not list:
            return self._entries(_ONE) + rule
        count = f"{self.length} " if self.length else ""
        return f"a list of {count}{self._entries(_MANY)}{rule}"

    def problem(self, value: Any) -> str:
        """What is wrong with `value` as one clause, with the key, what was found and what was expected; "" if nothing is."""
        if self._holds(value):
            return ""
        return f"{self.name} is {shown(value)}, expected {self._range_alone(value) or self.expected}"

    def taken(self, raw: Any) -> Any:
        """What a file or a command line gives, as a value of this key where it can only mean one, else as Python reads it.

        Texts are read as Python literals, as yacs does; beyond that `TRUE` is True, `AdamW` the choice `adamw`, `2024` a text
        where a text is asked for, and `none` an empty one, if that can be.
        """
        value = literal(raw)
        if self.kind is str:
            value = self._text(raw, value)
        elif self.kind is bool and isinstance(value, str):
            value = SWITCHES.get(str(literal(value)).lower(), value)
        elif self.kind in (int, float):
            value = literal(value)  # a number in two pairs of quotation marks
        return self.canonical(value)

    def _text(self, raw: Any, value: Any) -> Any:
        if isinstance(value, str) and value != raw:
            return value  # in quotation marks of its own: these very characters
        word = str(value).lower() if value is None or isinstance(value, (bool, str)) else ""
        if word in NO_TEXT and self._holds(""):
            return ""
        if word == "false" and "off" in self.choices:  # what YAML makes of it
            return "off"
        if word == "true":
            return True if self.meant_by_true is None else self.meant_by_true
        return raw if isinstance(raw, str) and type(value) in (int, float) else value

    def canonical(self, value: Any) -> Any:
        """`value`, each choice in it spelt as it is declared."""
        if isinstance(value, (list, tuple)):
            return type(value)(map(self.canonical, value))
        return in_any_case(value, self.choices) if isinstance(value, str) else value

    def is_read(self, cfg: Any) -> bool:
        """Whether the rest of the configuration lets it be read, see `read_with`."""
        if self.read_with is None:
            return True
        other, values = self.read_with
        present = value_of(cfg, other)
        return present is MISSING or any(value in values for value in _entries(present))

    def _range_alone(self, value: Any) -> str:
        """The bounds, where they are what a number is refused for."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and self.kind in (type(value), float)
        return str(self.bounds) if number and _is_finite(value) and value not in self.bounds else ""

    def _entries(self, words: dict[type, str]) -> str:
        entry = self.items if self.kind is list else self.kind
        if len(self.choices) == 1:
            return str(self.choices[0])
        if self.choices:
            return f"{'one of' if words is _ONE else 'words out of'} {', '.join(map(str, self.choices))}"
        bounds = str(self.bounds)
        return f"{words[entry]}{', ' if bounds.startswith(tuple('-0123456789')) else ' '}{bounds}".strip()

    def _holds(self, value: Any) -> bool:
        if self.kind is str and (value is None or value is False):  # other code's words for no text
            value = ""
        if self.kind is not list:
            right = self._entry_holds(value, self.kind)
        elif not isinstance(value, (list, tuple)) or self.length not in (None, len(value)) or len(value) > MOST_ENTRIES:
            right = False
        else:
            right = all(self._entry_holds(entry, self.items) for entry in value)
        return right and (self.check is None or self.check(value))

    def _entry_holds(self, value: Any, kind: type) -> bool:
        types = (int, float) if kind is float else kind
        if not isinstance(value, types) or isinstance(value, bool) and kind is not bool:
            return False
        if self.choices:
            return value in self.choices
        if kind is str:
            return len(value) <= LONGEST and is_plain(value)
        return kind not in (int, float) or value in self.bounds


@dataclass(frozen=True)
class Rule:
    """What the values of several keys have to be together.

    Attributes:
        names: their full paths.
        holds: takes their values, in this order; each of them can be for itself.
        expected: what it asks for, in words that go on after "expected ".
    """

    names: tuple[str, ...]
    holds: Callable[..., bool]
    expected: str

    def problem(self, cfg: Any) -> str:
        """What is wrong with the values in a configuration as one clause; "" if nothing is, or if it lacks one of the keys."""
        values = [value_of(cfg, name) for name in self.names]
        if MISSING in values or self.holds(*values):
            return ""
        found = " and ".join(f"{name} is {shown(value)}" for name, value in zip(self.names, values, strict=True))
        return f"{found}, expected {self.expected}"


def literal(raw: Any) -> Any:
    """A text as the Python literal that it is, everything else as it is."""
    if not isinstance(raw, str):
        return raw
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError, MemoryError, RecursionError, OverflowError):  # no literal, too deep or too large
        return raw


def in_any_case(name: str, known: Iterable[Any]) -> str:
    """The one text of `known` that `name` is, upper and lower case aside; `name` itself where there is none, or several."""
    known = [each for each in known if isinstance(each, str)]
    alike = [each for each in known if each.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 and name not in known else name


def add_keys(cfg: Any, keys: Iterable[Key]) -> None:
    """Add to the configuration those of `keys` that it lacks, with their defaults and the sections that they are in.

    Raises InputError where a section that a key is in is a value there.
    """
    for key in keys:
        *sections, name = key.name.split(".")
        node = cfg
        for depth, section in enumerate(sections):
            node = node.setdefault(section, type(cfg)())
            if not isinstance(node, dict):
                raise InputError(
                    f"the configuration has {'.'.join(sections[: depth + 1])} = {node!r}, where {key.name} is to be; give "
                    f"that key of the host another name"
                )
        if name not in node:
            node[name] = copy.deepcopy(key.default)


def value_of(cfg: Any, name: str) -> Any:
    """The value of the key `name` in a configuration; MISSING where it has none."""
    node = cfg
    for word in name.split("."):
        node = node[word] if isinstance(node, dict) and word in node else MISSING
    return node


def put(cfg: Any, name: str, value: Any) -> None:
    """Give the key `name`, which the configuration has, a value."""
    *sections, last = name.split(".")
    reduce(getitem, sections, cfg)[last] = value


def flat(cfg: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a configuration by their full paths: {"OPTIM": {"LR": 1}} -> {"OPTIM.LR": 1}."""
    values: dict[str, Any] = {}
    for name, value in cfg.items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return values


def problems(cfg: Any, keys: Iterable[Key], rules: Iterable[Rule] = ()) -> list[str]:
    """What is wrong with the values of `keys` in a configuration, a clause each. Keys that it lacks are not looked at.

    Of the `rules` those are asked whose keys can be each for itself.
    """
    found = {
        key.name: problem
        for key in keys
        if (value := value_of(cfg, key.name)) is not MISSING and (problem := key.problem(value))
    }
    together = [rule.problem(cfg) for rule in rules if not found.keys() & set(rule.names)]
    return [*found.values(), *filter(None, together)]


def check(cfg: Any, keys: Iterable[Key], rules: Iterable[Rule] = ()) -> None:
    """Raise InputError, with all mistakes in one sentence, unless the values of `keys` in a configuration can be."""
    if found := problems(cfg, keys, rules):
        raise InputError("; ".join(found))


def matching(keys: Iterable[Key], word: str) -> list[Key]:
    """Those whose name or sentence contains `word`, in whatever case."""
    return [key for key in keys if word.lower() in f"{key.name} {key.about}".lower()]


def as_text(keys: Iterable[Key]) -> str:
    """Two lines for each key: name, default and what it takes, then its sentence."""
    return "\n".join(f"{key.name} = {shown(key.default)}  ({key.expected})\n    {key.about}" for key in keys)


def as_table(keys: Sequence[Key]) -> str:
    """A table in Markdown: key, default, what it takes, meaning."""
    rows = [f"| `{key.name}` | `{shown(key.default)}` | {key.expected} | {key.about} |" for key in keys]
    return "\n".join(["| key | default | takes | meaning |", "|---|---|---|---|", *rows])


def as_sections(keys: Iterable[Key], top: str) -> Iterator[tuple[str, list[Key]]]:
    """Each section's name and keys, in the order of their first keys; `top` is the name for keys without a section."""
    groups: dict[str, list[Key]] = {}
    for key in keys:
        groups.setdefault(key.section or top, []).append(key)
    yield from groups.items()


def is_plain(text: str) -> bool:
    """Whether a text has neither control characters nor what UTF-8 cannot hold (bytes of a command line that are no text)."""
    return not any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text)


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # a whole number may be too large for a float


def _entries(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


MISSING = object()
