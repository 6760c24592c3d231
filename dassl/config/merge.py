"""Merging YAML files and `KEY VALUE` options into a configuration, with all mistakes reported in one sentence."""

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


def merge_file(
    cfg: CfgNode, path: str, locate: Callable[[Path, str], Path] = beside, problems: list[str] | None = None
) -> None:
    """Overwrite values of `cfg` with those of a YAML file over its `_BASE_`, as yacs's `merge_from_file`.

    A whole number is accepted for a key that holds a float. When anything is wrong `cfg` stays as it was. Python
    files, which yacs would execute, are refused. `locate` finds a base, see `caspl.ground.yaml_files`. If `problems` is
    given, what is wrong is appended to it, what is right is merged, and nothing is raised.

    Raises:
        InputError: the file or a base is missing or not YAML; or keys are unknown or values of a wrong type: all are listed,
            each with its file.
    """
    wrong: list[str] = []
    try:
        files = lineage(path, locate)
        for file, values in files:
            mistakes: list[str] = []
            _coerce_section(values, cfg, [], mistakes, cfg)
            if mistakes:
                wrong.append(f"{os.path.normpath(file)}: {'; '.join(mistakes)}")
        _refuse("Configuration file ", wrong, problems)
    except InputError as error:
        if problems is None:
            raise
        problems.append(str(error).rstrip("."))
    else:
        cfg.merge_from_other_cfg(CfgNode(merged(files)))


def merge_options(cfg: CfgNode, opts: Sequence[Any], problems: list[str] | None = None) -> None:
    """Overwrite values of `cfg` with `[key, value, key, value, ...]`, as yacs's `merge_from_list`.

    Keys are full paths such as `OPTIM.LR`; text is read as a Python literal where it is one. When anything is wrong
    `cfg` stays as it was. `problems` is as in `merge_file`.

    Raises:
        InputError: a key without a value, an unknown key or a value of a wrong type; all are listed.
    """
    opts, wrong = list(opts), []
    if len(opts) % 2:
        wrong.append(
            f"they must come in pairs KEY VALUE, but {len(opts)} words were given and the last, {opts[-1]!r}, is left over"
        )
    pairs: list[Any] = []
    for key, raw in zip(opts[0::2], opts[1::2], strict=False):
        node: Any = cfg
        for part in str(key).split("."):
            node = node[part] if isinstance(node, CfgNode) and part in node else _MISSING
        if node is _MISSING:
            wrong.append(_unknown(str(key), cfg))
        elif isinstance(node, CfgNode):
            wrong.append(f"{key} is a section; give one of its keys, such as {_first_key(str(key), node)}")
        elif (value := _coerce(raw, node, str(key), wrong)) is not _MISSING:
            pairs += [key, value]
    _refuse("Options: ", wrong, problems)
    cfg.merge_from_list(pairs)


_MISSING = object()


def _refuse(where: str, wrong: list[str], problems: list[str] | None) -> None:
    """Raise InputError if anything is `wrong`, or append it to `problems`."""
    if not wrong:
        return
    sentence = f"{where}{'; '.join(wrong)}"
    if problems is None:
        raise InputError(f"{sentence}.")
    problems.append(sentence)


def _coerce_section(
    values: dict[str, Any], node: CfgNode, prefix: list[str], problems: list[str], root: CfgNode
) -> None:
    """Check `values` against `node` and convert them in place; append what is wrong to `problems`, and leave it out."""
    for key, value in list(values.items()):
        full_key = ".".join([*prefix, str(key)])
        if key not in node:
            if not node.is_new_allowed():
                problems.append(_unknown(full_key, root))
                del values[key]
        elif not isinstance(node[key], CfgNode):
            if (coerced := _coerce(value, node[key], full_key, problems)) is _MISSING:
                del values[key]
            else:
                values[key] = coerced
        elif isinstance(value, dict):
            _coerce_section(value, node[key], [*prefix, str(key)], problems, root)
        else:
            del values[key]  # None is a section whose keys are all commented out
            if value is not None:
                problems.append(f"{full_key} is a section, but a value was found: {value!r}")


def _coerce(raw: Any, present: Any, full_key: str, problems: list[str]) -> Any:
    """Return `raw` as the type of `present` by yacs's rules, and int as float; if that fails, note it and return `_MISSING`."""
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
    return _MISSING


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
