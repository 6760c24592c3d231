"""Merging YAML files and `KEY VALUE` options into a configuration, with all mistakes reported in one sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from caspl.ground.errors import InputError
from caspl.ground.keys import MISSING, Key, flat, literal, put, value_of
from caspl.ground.texts import quoted, shown
from caspl.ground.yaml_files import beside, lineage, merged

from .defaults import KEYS

ALIKE = 0.6  # of two names, by difflib, for one to be taken for a slip of the other
_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    tuple: "a list",
    type(None): "nothing",
    CfgNode: "a section",
}


def merge_file(
    cfg: CfgNode,
    path: str,
    locate: Callable[[Path, str], Path] = beside,
    problems: list[str] | None = None,
    foreign: Callable[[str], str | None] = lambda name: None,
    keys: Iterable[Key] = KEYS,
) -> None:
    """Overwrite values of `cfg` with those of a YAML file over its `_BASE_`, as yacs's `merge_from_file`.

    A whole number is accepted for a key that holds a float. When anything is wrong `cfg` stays as it was. Python
    files, which yacs would execute, are refused. `locate` finds a base, see `caspl.ground.yaml_files`. If `problems` is
    given, what is wrong is appended to it, what is right is merged, and nothing is raised. `foreign` says of a key that other
    code has, by its full path, what it is; None: it knows none of the name. `keys` say how values are read (`Key.taken`).

    Raises:
        InputError: the file or a base is missing or not YAML; or keys are unknown or values of a wrong type: all are listed,
            each with its file.
    """
    reader, wrong = _Reader(cfg, foreign, keys), []
    try:
        files = lineage(path, locate)
        for file, values in files:
            reader.wrong = []
            reader.section(values, cfg, [])
            if reader.wrong:
                wrong.append(f"{os.path.normpath(file)}: {'; '.join(reader.wrong)}")
        _refuse("Configuration file ", wrong, problems)
    except InputError as error:
        if problems is None:
            raise
        problems.append(str(error).rstrip("."))
    else:
        _put(merged(files), cfg)


def merge_options(
    cfg: CfgNode,
    opts: Sequence[Any],
    problems: list[str] | None = None,
    foreign: Callable[[str], str | None] = lambda name: None,
    keys: Iterable[Key] = KEYS,
) -> None:
    """Overwrite values of `cfg` with `[key, value, key, value, ...]`, as yacs's `merge_from_list`.

    Keys are full paths such as `OPTIM.LR`; text is read as a Python literal where it is one. Of a key that comes twice the
    last value holds, as in the family's scripts. When anything is wrong `cfg` stays as it was. `problems`, `foreign` and `keys`
    are as in `merge_file`.

    Raises:
        InputError: a key without a value, an unknown key or a value of a wrong type; all are listed.
    """
    opts, reader = list(opts), _Reader(cfg, foreign, keys)
    if len(opts) % 2:
        reader.wrong.append(
            f"they must come in pairs KEY VALUE, but {len(opts)} words were given and the last, "
            f"{_quoted(opts[-1])}, is left over"
        )
    right: dict[str, Any] = {}
    for key, raw in zip(opts[0::2], opts[1::2], strict=False):
        node = value_of(cfg, str(key))
        if node is MISSING:
            reader.unknown(str(key))
        elif isinstance(node, CfgNode):
            reader.wrong.append(f"{key} is a section; give one of its keys, such as {_first_key(str(key), node)}")
        elif (value := reader.value(raw, node, str(key))) is not MISSING:
            right[str(key)] = value
    _refuse("Options: ", reader.wrong, problems)
    for key, value in right.items():
        put(cfg, key, value)


def _refuse(where: str, wrong: list[str], problems: list[str] | None) -> None:
    """Raise InputError if anything is `wrong`, or append it to `problems`."""
    if not wrong:
        return
    sentence = f"{where}{'; '.join(wrong)}"
    if problems is None:
        raise InputError(f"{sentence}.")
    problems.append(sentence)


class _Reader:
    """Reads values for the keys of a configuration; what is wrong is appended to `wrong`, a clause each."""

    def __init__(self, cfg: CfgNode, foreign: Callable[[str], str | None], keys: Iterable[Key]):
        self.cfg, self.foreign, self.keys = cfg, foreign, {key.name: key for key in keys}
        self.wrong: list[str] = []

    def section(self, values: dict[str, Any], node: CfgNode, prefix: list[str]) -> None:
        """Check `values` against `node` and convert them in place; what is wrong is left out of them."""
        for key, value in list(values.items()):
            full_key = ".".join([*prefix, str(key)])
            if key not in node:
                if not node.is_new_allowed():
                    inside = [f"{full_key}.{name}" for name in value] if isinstance(value, dict) else []
                    known = [] if self.foreign(full_key) else [name for name in inside if self.foreign(name)]
                    for name in known or [full_key]:
                        self.unknown(name)
                    del values[key]
            elif not isinstance(node[key], CfgNode):
                if (taken := self.value(value, node[key], full_key)) is MISSING:
                    del values[key]
                else:
                    values[key] = taken
            elif isinstance(value, dict):
                self.section(value, node[key], [*prefix, str(key)])
            else:
                del values[key]  # None is a section whose keys are all commented out
                if value is not None:
                    self.wrong.append(f"{full_key} is a section, but a value was found: {shown(value)}")

    def value(self, raw: Any, present: Any, full_key: str) -> Any:
        """`raw` as the type of `present`, by yacs's rules, the key's own and int as float; MISSING if that fails.

        Nothing (YAML's null, Python's None) is no value of any key, but that of a text that may be empty.
        """
        key = self.keys.get(full_key)
        value, wanted = key.taken(raw) if key else literal(raw), type(present)
        if type(value) is wanted:
            return value
        if wanted is float and type(value) is int:
            try:
                return float(value)
            except OverflowError:
                return math.inf if value > 0 else -math.inf
        if wanted in (list, tuple) and isinstance(value, (list, tuple)):
            return wanted(value)
        hint = _hint(value, present, key)
        self.wrong.append(f"{full_key} must be {_WORDS[wanted]}, but {_quoted(raw)} ({_word(value)}) was found{hint}")
        return MISSING

    def unknown(self, full_key: str) -> None:
        if answer := self.foreign(full_key):
            self.wrong.append(f"{full_key} is {answer}")
        elif full_key.startswith("-"):
            self.wrong.append(f"{shown(full_key)} stands where a key is expected, in pairs KEY VALUE")
        elif len(full_key) > 200 or not full_key.isprintable():
            self.wrong.append(f"unknown key {shown(full_key)}")
        else:
            self.wrong.append(f"unknown key {full_key} ({self.way_out(full_key)})")

    def way_out(self, full_key: str) -> str:
        """The key that may be meant: one of the same last word, or one that resembles it."""
        names, word = flat(self.cfg), full_key.upper()
        namesakes = [name for name in names if name.endswith(f".{word.rpartition('.')[2]}")]
        close = get_close_matches(word, namesakes, 1, 0.0) or get_close_matches(word, names, 1, ALIKE)
        return f"do you mean {close[0]}?" if close else "python -m caspl.configs keys lists all"


def _put(values: dict[str, Any], node: CfgNode) -> None:
    """Put values that `_Reader.section` has converted in their places; yacs would take a text for a literal once more."""
    for key, value in values.items():
        if isinstance(node.get(key), CfgNode):
            _put(value or {}, node[key])
        else:
            node[key] = CfgNode(value) if isinstance(value, dict) else value


def _quoted(raw: Any) -> str:
    return f"'{shown(raw).strip(chr(34))}'" if isinstance(raw, str) else shown(raw)


def _hint(value: Any, present: Any, key: Key | None) -> str:
    """Say what to write instead, as a file and a shell take it; where that cannot be guessed, the default as an example."""
    wanted, example = type(present), key.default if key else present
    guesses: list[Any] = []
    if wanted is str and type(value) in (int, float):
        guesses = [str(value)]
    elif wanted is int and isinstance(value, float) and value.is_integer():
        guesses = [int(value)]
    elif wanted in (list, tuple) and not isinstance(value, dict):
        guesses = [value.split(",") if isinstance(value, str) else [value]]
    elif wanted is bool:
        guesses = list(key.choices if key and key.choices else (True, False))
    guesses = [guess for guess in guesses if key is None or not key.problem(guess)]
    if value is None or not guesses and example in ("", [], ()):
        return "; leave the key out"
    if guesses:
        return f"; write {' or '.join(map(_as_written, guesses))}"
    return f"; write for example {_as_written(example)}"


def _as_written(value: Any) -> str:
    """A value in a file and in a shell: quotation marks where one of them needs some."""
    return str(value) if isinstance(value, (bool, int, float)) else quoted(str(value))


def _word(value: Any) -> str:
    return _WORDS.get(type(value), type(value).__name__)


def _first_key(prefix: str, node: CfgNode) -> str:
    return next(iter(flat(node, f"{prefix}.")), prefix)
