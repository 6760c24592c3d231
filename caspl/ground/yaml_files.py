"""Reading configuration files in YAML: no code runs, no key appears twice, and `_BASE_` names the files that one builds on.

    _BASE_: [../../bases/vit_b16.yaml, ../../bases/coop.yaml]
    OPTIM:
      MAX_EPOCH: 50

is what the two bases say, the second over the first, and the lines below over both. A base may have bases of its own. Paths
start at the file that names them. The word is detectron2's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from .errors import InputError, cause, nearest
from .files import regular

BASE = "_BASE_"
SUFFIXES = (".yaml", ".yml")
MOST_BYTES = 2**18  # which take PyYAML seconds; the largest configuration has a few thousand


def beside(file: Path, base: str) -> Path:
    """Where `base` is, if it is named in `file`."""
    return file.parent / base


def read_yaml(path: str | Path, locate: Callable[[Path, str], Path] = beside) -> dict[str, Any]:
    """The settings of a file over those of its bases, as plain nested dicts without `_BASE_`.

    Sections are merged key by key; everything else, lists too, is replaced as a whole. An empty section changes nothing.

    Args:
        locate: gives the path of a base from the file that names it and its text there.

    Raises:
        InputError: a file is missing, not a YAML file or no mapping, has a key twice, or `_BASE_` is no relative path, no list
            of such, or leads back to the file.
    """
    return merged(lineage(path, locate))


def lineage(path: str | Path, locate: Callable[[Path, str], Path] = beside) -> list[tuple[Path, dict[str, Any]]]:
    """Every file that is read for `path`, itself last, with its own settings; later ones are merged over earlier ones.

    Arguments and errors as in `read_yaml`.
    """
    return _lineage([Path(path)], locate)


def merged(files: list[tuple[Path, dict[str, Any]]]) -> dict[str, Any]:
    """The settings of a `lineage`, those of later files over those of earlier ones."""
    return reduce(_over, (values for _, values in files), {})


def names_bases(path: str | Path) -> bool:
    """Whether `_BASE_` appears in a file, which may be in any language."""
    return BASE.encode() in regular(path, MOST_BYTES).read_bytes()


def _lineage(chain: list[Path], locate: Callable[[Path, str], Path]) -> list[tuple[Path, dict[str, Any]]]:
    """`lineage` of the last file of `chain`, in which each file names the next."""
    path = chain[-1]
    values = _read(path, f" ({BASE} of {_shown(chain[-2])})" if len(chain) > 1 else "")
    found = []
    for base in _bases(path, values):
        way = [*chain, locate(path, base)]
        if way[-1].resolve() in [file.resolve() for file in chain]:
            raise InputError(f"{BASE} leads in a circle: {' -> '.join(map(_shown, way))}; take one of them out.")
        found += _lineage(way, locate)
    return [*found, (path, values)]


def _bases(path: Path, values: dict[str, Any]) -> list[str]:
    """Take `_BASE_` out of `values`."""
    if BASE not in values:
        return []
    given = values.pop(BASE)
    bases = given if isinstance(given, list) else [given]
    if not bases or not all(map(_is_relative, bases)):
        raise InputError(
            f"Configuration file {_shown(path)}: {BASE} is {given!r}, expected a path that starts at the file's folder, "
            "such as ../../bases/clip.yaml, or a list of such paths."
        )
    return bases


def _is_relative(base: Any) -> bool:
    if not isinstance(base, str) or not base.strip() or "\0" in base:
        return False
    return not base.startswith("~") and not os.path.isabs(base)


def _over(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """`upper` merged over `lower`; both stay as they are."""
    result = dict(lower)
    for key, value in upper.items():
        section = result.get(key)
        if isinstance(section, dict) and (value is None or isinstance(value, dict)):
            value = _over(section, value or {})  # None: a section whose keys are all commented out
        result[key] = value
    return result


# ---------------------------------------------------------------------------------------------------------------------
# One file
# ---------------------------------------------------------------------------------------------------------------------
MOST_ENTRIES = 100_000  # of a file, aliases written out
MOST_DIGITS = 1_000  # of a whole number; Python writes up to 4,300
# What PyYAML raises for texts that are no YAML, or no value of the type that they claim
BROKEN = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError, OverflowError)


class _Loader(yaml.SafeLoader):
    """Refuses a key that appears twice, of which PyYAML takes the last, aliases that lead in a circle or multiply, and whole
    numbers too large to be written again.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count(node, {}, set())
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name = (key.tag, key.value)
            if name in lines:
                problem = f"the key {key.value} is in line {lines[name]} already; keep one of the two"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[name] = key.start_mark.line + 1
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MOST_DIGITS:
            raise yaml.MarkedYAMLError(problem="it has a number of thousands of digits", problem_mark=node.start_mark)
        return super().construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _count(node: yaml.Node, counts: dict[int, int], above: set[int]) -> int:
    """The entries in `node` with aliases written out. `counts` holds those of nodes met before, `above` those that it is in.

    Raises MarkedYAMLError for a node in itself, and for too many entries.
    """
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem="it holds itself by an alias", problem_mark=node.start_mark)
    if id(node) not in counts:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        inside = [*chain(*pairs)] or (node.value if isinstance(node, yaml.SequenceNode) else ())
        counts[id(node)] = 1 + sum(_count(child, counts, above | {id(node)}) for child in inside)
    if counts[id(node)] > MOST_ENTRIES:
        raise yaml.MarkedYAMLError(
            problem=f"it has more than {MOST_ENTRIES:,} entries, aliases written out", problem_mark=node.start_mark
        )
    return counts[id(node)]


def load_yaml(text: str) -> Any:
    """What a YAML text says.

    Raises ValueError where it is none, has a key twice, or has too much in it; the phrase goes on after the name of the text:
    ", line 2, column 1 is not valid YAML: ...".
    """
    try:
        return yaml.load(text, _Loader)
    except BROKEN as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ValueError(f"{place} is not valid YAML: {problem}") from None


def _read(path: Path, role: str = "") -> dict[str, Any]:
    """The mapping in one file; an empty file is an empty mapping."""
    named = f"Configuration file {_shown(path)}{role}"
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{named} must end in .yaml or .yml.")
    try:
        content = load_yaml(regular(path, MOST_BYTES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{named} does not exist{_nearest(path)}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{named} cannot be read: {cause(error)}.") from None
    except ValueError as error:
        raise InputError(f"{named}{error}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        found = "a list" if isinstance(content, list) else "a single value"
        raise InputError(f"{named} must hold keys and values, but holds {found}.")
    return content


def _nearest(path: Path) -> str:
    """What to give instead of a file that is not there, as the end of a sentence."""
    folder = Path(_shown(path.parent))
    if not path.parent.is_dir():
        return f", nor does the folder {folder}"
    names = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in SUFFIXES]
    close = nearest(path.name, names)
    return f"; the nearest name in {folder} is {close}" if close else f"; {folder} holds no YAML file"


def _shown(path: Path) -> str:
    """`path` as people write it, without the steps up that lead from a file to its base."""
    return os.path.normpath(path)
