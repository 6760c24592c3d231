"""Merging YAML files and `KEY VALUE` options into a configuration, with all mistakes reported in one sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from yacs.config import CfgNode

from caspl.ground.errors import InputError, nearest
from caspl.ground.keys import MISSING, flat, put, value_of
from caspl.ground.texts import shown
from caspl.ground.yaml_files import beside, lineage, merged

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
    foreign: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Overwrite values of `cfg` with those of a YAML file over its `_BASE_`, as yacs's `merge_from_file`.

    A whole number is accepted for a key that holds a float. When anything is wrong `cfg` stays as it was. Python
    files, which yacs would execute, are refused. `locate` finds a base, see `caspl.ground.yaml_files`. If `problems` is
    given, what is wrong is appended to it, what is right is merged, and nothing is raised. `foreign` says of keys that other
    code has, by their full paths, what stands for them here.

    Raises:
        InputError: the file or a base is missing or not YAML; or keys are unknown or values of a wrong type: all are listed,
            each with its file.
    """
    wrong: list[str] = []
    try:
        files = lineage(path, locate)
        for file, values in files:
            mistakes: list[str] = []
            _coerce_section(values, cfg, [], mistakes, cfg, foreign)
            if mistakes:
                wrong.append(f"{os.path.normpath(file)}: {'; '.join(mistakes)}")
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
    foreign: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Overwrite values of `cfg` with `[key, value, key, value, ...]`, as yacs's `merge_from_list`.

    Keys are full paths such as `OPTIM.LR`; text is read as a Python literal where it is one. Of a key that comes twice the
    last value holds, as in the family's scripts. When anything is wrong `cfg` stays as it was. `problems` and `foreign` are as
    in `merge_file`.

    Raises:
        InputError: a key without a value, an unknown key or a value of a wrong type; all are listed.
    """
    opts, wrong = list(opts), []
    if len(opts) % 2:
        wrong.append(
            f"they must come in pairs KEY VALUE, but {len(opts)} words were given and the last, "
            f"{_quoted(opts[-1])}, is left over"
        )
    right: dict[str, Any] = {}
    for key, raw in zip(opts[0::2], opts[1::2], strict=False):
        node = value_of(cfg, str(key))
        if node is MISSING:
            wrong.append(_unknown(str(key), cfg, foreign))
        elif isinstance(node, CfgNode):
            wrong.append(f"{key} is a section; give one of its keys, such as {_first_key(str(key), node)}")
        elif (value := _coerce(raw, node, str(key), wrong)) is not MISSING:
            right[str(key)] = value
    _refuse("Options: ", wrong, problems)
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


def _coerce_section(
    values: dict[str, Any],
    node: CfgNode,
    prefix: list[str],
    problems: list[str],
    root: CfgNode,
    foreign: Mapping[str, str],
) -> None:
    """Check `values` against `node` and convert them in place; append what is wrong to `problems`, and leave it out."""
    for key, value in list(values.items()):
        full_key = ".".join([*prefix, str(key)])
        if key not in node:
            if not node.is_new_allowed():
                inside = [f"{full_key}.{name}" for name in value] if isinstance(value, dict) else []
                known = [name for name in inside if name in foreign]
                problems += [_unknown(name, root, foreign) for name in known or [full_key]]
                del values[key]
        elif not isinstance(node[key], CfgNode):
            if (coerced := _coerce(value, node[key], full_key, problems)) is MISSING:
                del values[key]
            else:
                values[key] = coerced
        elif isinstance(value, dict):
            _coerce_section(value, node[key], [*prefix, str(key)], problems, root, foreign)
        else:
            del values[key]  # None is a section whose keys are all commented out
            if value is not None:
                problems.append(f"{full_key} is a section, but a value was found: {shown(value)}")


def _put(values: dict[str, Any], node: CfgNode) -> None:
    """Put values that `_coerce_section` has converted in their places; yacs would take a text for a literal once more."""
    for key, value in values.items():
        if isinstance(node.get(key), CfgNode):
            _put(value or {}, node[key])
        else:
            node[key] = CfgNode(value) if isinstance(value, dict) else value


def _coerce(raw: Any, present: Any, full_key: str, problems: list[str]) -> Any:
    """Return `raw` as the type of `present` by yacs's rules, and int as float; if that fails, note it and return `MISSING`.

    Nothing (YAML's null, Python's None) is no value of any key.
    """
    value = _decoded(raw)
    wanted = type(present)
    if type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if wanted in (list, tuple) and isinstance(value, (list, tuple)):
        return wanted(value)
    hint = _hint(value, wanted)
    problems.append(f"{full_key} must be {_WORDS[wanted]}, but {_quoted(raw)} ({_word(value)}) was found{hint}")
    return MISSING


def _decoded(raw: Any) -> Any:
    try:
        return CfgNode._decode_cfg_value(raw)
    except (MemoryError, RecursionError, OverflowError):  # too deep or too large for Python's reader
        return raw


def _quoted(raw: Any) -> str:
    return f"'{shown(raw).strip(chr(34))}'" if isinstance(raw, str) else shown(raw)


def _hint(value: Any, wanted: type) -> str:
    """Say what to write instead, where that can be guessed."""
    if value is None:
        return "; leave the key out, or write '' for an empty text" if wanted is str else "; leave the key out"
    if wanted is str and isinstance(value, (int, float)):
        return f"; write \"'{shown(value)}'\""
    if wanted is float:
        return "; write for example 1.0"
    if wanted is int:
        return f"; write {int(value)}" if isinstance(value, float) and value.is_integer() else "; write for example 1"
    if wanted is bool:
        return "; write True or False"
    if wanted in (list, tuple):
        return f"; write [{_quoted(value)}]"
    return ""


def _word(value: Any) -> str:
    return _WORDS.get(type(value), type(value).__name__)


def _unknown(full_key: str, cfg: CfgNode, foreign: Mapping[str, str]) -> str:
    if full_key in foreign:
        return f"{full_key} is {foreign[full_key]}"
    if full_key.startswith("-"):
        return f"{shown(full_key)} stands where a key is expected; flags come before the pairs KEY VALUE"
    if len(full_key) > 200 or not full_key.isprintable():
        return f"unknown key {shown(full_key)}"
    return f"unknown key {full_key} (do you mean {nearest(full_key, flat(cfg))}?)"


def _first_key(prefix: str, node: CfgNode) -> str:
    return next(iter(flat(node, f"{prefix}.")), prefix)
