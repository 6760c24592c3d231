"""Merging YAML files and `KEY VALUE` options into a configuration, with every mistake told in one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from caspl.ground.errors import InputError, nearest
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


def merge_file(cfg: CfgNode, path: str, locate: Callable[[Path, str], Path] = beside) -> None:
    """Overwrite values of `cfg` with those of a YAML file over its `_BASE_`, as yacs's `merge_from_file`.

    A whole number is accepted for a key that holds a float. When anything is wrong `cfg` stays as it was. Python
    files, which yacs would execute, are refused. `locate` finds a base, see `caspl.ground.yaml_files`.

    Raises:
        InputError: the file or a base is missing or not YAML; or keys are unknown or values of a wrong type: all are listed,
            each with its file.
    """
    files = lineage(path, locate)
    mistakes: list[str] = []
    for file, values in files:
        problems: list[str] = []
        _coerce_section(values, cfg, [], problems, cfg)
        if problems:
            mistakes.append(f"{os.path.normpath(file)}: {'; '.join(problems)}")
    if mistakes:
        raise InputError(f"Configuration file {'; '.join(mistakes)}.")
    cfg.merge_from_other_cfg(CfgNode(merged(files)))


def merge_options(cfg: CfgNode, opts: Sequence[Any]) -> None:
    """Overwrite values of `cfg` with `[key, value, key, value, ...]`, as yacs's `merge_from_list`.

    Keys are full paths such as `OPTIM.LR`; text is read as a Python literal where it is one. When anything is wrong
    `cfg` stays as it was.

    Raises:
        InputError: a key without a value, an unknown key or a value of a wrong type; all are listed.
    """
    opts = list(opts)
    if len(opts) % 2:
        raise InputError(
            f"Options must come in pairs KEY VALUE, but {len(opts)} words were given and the last, {opts[-1]!r}, "
            "is left over."
        )
    problems: list[str] = []
    pairs: list[Any] = []
    for key, raw in zip(opts[0::2], opts[1::2], strict=True):
        node: Any = cfg
        for part in str(key).split("."):
            node = node[part] if isinstance(node, CfgNode) and part in node else _MISSING
        if node is _MISSING:
            problems.append(_unknown(str(key), cfg))
        elif isinstance(node, CfgNode):
            problems.append(f"{key} is a section; give one of its keys, such as {_first_key(str(key), node)}")
        else:
            pairs += [key, _coerce(raw, node, str(key), problems)]
    if problems:
        raise InputError(f"Options: {'; '.join(problems)}.")
    cfg.merge_from_list(pairs)


_MISSING = object()


def _coerce_section(
    values: dict[str, Any], node: CfgNode, prefix: list[str], problems: list[str], root: CfgNode
) -> None:
    """Check `values` against `node` and convert them in place; append what is wrong to `problems`."""
    for key in list(values):
        full_key = ".".join([*prefix, str(key)])
        if key not in node:
            if not node.is_new_allowed():
                problems.append(_unknown(full_key, root))
        elif not isinstance(node[key], CfgNode):
            values[key] = _coerce(values[key], node[key], full_key, problems)
        elif values[key] is None:
            del values[key]  # a section whose keys are all commented out
        elif isinstance(values[key], dict):
            _coerce_section(values[key], node[key], [*prefix, str(key)], problems, root)
        else:
            problems.append(f"{full_key} is a section, but a value was found: {values[key]!r}")


def _coerce(raw: Any, present: Any, full_key: str, problems: list[str]) -> Any:
    """Return `raw` as the type of `present` by yacs's rules, and int as float; else append to `problems`."""
    value = CfgNode._decode_cfg_value(raw)
    wanted = type(present)
    if type(value) is wanted or value is None or present is None:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if wanted in (list, tuple) and isinstance(value, (list, tuple)):
        return wanted(value)
    hint = _hint(value, wanted)
    problems.append(f"{full_key} must be {_WORDS[wanted]}, but {raw!r} ({_word(value)}) was found{hint}")
    return value


def _hint(value: Any, wanted: type) -> str:
    """Say what to write instead, where that can be guessed."""
    if wanted is str and isinstance(value, (int, float)):
        return f"; write \"'{value}'\""
    if wanted is float:
        return "; write for example 1.0"
    if wanted is int:
        return f"; write {int(value)}" if isinstance(value, float) and value.is_integer() else "; write for example 1"
    if wanted is bool:
        return "; write True or False"
    if wanted in (list, tuple):
        return f"; write [{value!r}]"
    return ""


def _word(value: Any) -> str:
    return _WORDS.get(type(value), type(value).__name__)


def _unknown(full_key: str, cfg: CfgNode) -> str:
    return f"unknown key {full_key} (do you mean {nearest(full_key, _all_keys(cfg))}?)"


def _first_key(prefix: str, node: CfgNode) -> str:
    keys = _all_keys(node)
    return f"{prefix}.{keys[0]}" if keys else prefix


def _all_keys(node: CfgNode, prefix: str = "") -> list[str]:
    """Return the full path of every value below `node`."""
    keys = []
    for key, value in node.items():
        keys += _all_keys(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else [prefix + key]
    return keys
