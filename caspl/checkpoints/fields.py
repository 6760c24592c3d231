"""Records out of JSON: dataclasses whose fields declare what is allowed, and one check of what was found.

    @dataclass(frozen=True)
    class Shot:
        dataset: str
        seed: int = number(0, 2**31)
        size: list[int] = several(2, number(1, 4096), fewest=2)

    parse(Shot, load_json('{"dataset": "pets", "seed": -1, "size": [3]}'))
    ValueError: seed is -1, expected 0 to 2147483648; size has 1 entries, expected a list of 2 to 2

Fields are texts, numbers, True and False, lists of them, texts by names, other records, and lists of those; `X | None` may be
null. Nothing is converted silently but a whole number where any finite one may stand; True is no number. A record with a method
`problem` says there what is wrong with its fields beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ..ground.errors import listed
from ..ground.files import as_json
from ..ground.keys import Bounds

LONGEST_TEXT = 100_000  # characters
LONGEST_INNER = 8  # entries of a list in a list

Record = TypeVar("Record")


# ---------------------------------------------------------------------------------------------------------------------
# Declaring
# ---------------------------------------------------------------------------------------------------------------------
def number(least: float, most: float, *, above: bool = False) -> Any:
    """A field of a number, or of (lists of) numbers, from `least`, itself left out with `above`, to `most`."""
    return field(metadata={"bounds": Bounds(above=least, most=most) if above else Bounds(least, most=most)})


def several(most: int, of: Any = None, *, fewest: int = 0) -> Any:
    """A field of a list of `fewest` to `most` entries, each as the field `of` has it."""
    return field(metadata={**(of.metadata if of else {}), "fewest": fewest, "count": most})


def text(longest: int) -> Any:
    """A field of a text, or of (lists of) texts, of at most `longest` characters."""
    return field(metadata={"longest": longest})


def one_of(*choices: str) -> Any:
    """A field of one of some texts."""
    return field(metadata={"choices": choices})


# ---------------------------------------------------------------------------------------------------------------------
# Checking
# ---------------------------------------------------------------------------------------------------------------------
def parse(kind: type[Record], values: Any) -> Record:
    """`values` as a record. Raises ValueError, naming up to three fields that are not as `kind` declares them."""
    problems = list(_wrong_record(kind, values, ""))
    if problems:
        raise ValueError(listed(problems))
    return _made(kind, values)


_types = cache(get_type_hints)  # of a class; they stand there as text, which takes time to understand


def _made(kind: Any, value: Any) -> Any:
    if get_origin(kind) is UnionType:
        return None if value is None else _made(get_args(kind)[0], value)
    if is_dataclass(kind):
        types = _types(kind)
        return kind(**{name: _made(types[name], entry) for name, entry in value.items()})
    if get_origin(kind) is list:
        inner = get_args(kind)[0]
        return list(map(inner, value)) if inner in _NOUNS else [_made(inner, entry) for entry in value]
    return dict(value) if get_origin(kind) is dict else kind(value)


def _wrong_record(kind: Any, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{place or 'it'} is {as_json(value)}, expected fields with names".strip()
        return
    known, types, inside = {f.name: f for f in fields(kind)}, _types(kind), f"{place}." if place else ""
    yield from (f"it lacks {inside}{name}" for name in known if name not in value)
    yield from (f"it has {inside}{as_json(name)[1:-1]}, which is not known here" for name in value if name not in known)
    wrong = [p for n, f in known.items() if n in value for p in _wrong(types[n], value[n], inside + n, f.metadata)]
    yield from wrong
    whole = not wrong and known.keys() == value.keys()
    if whole and hasattr(kind, "problem") and (odd := _made(kind, value).problem()):
        yield f"{place or 'it'} {odd}"


def _wrong(kind: Any, value: Any, place: str, allowed: Mapping[str, Any]) -> Iterator[str]:
    """A phrase for what is wrong with a field's value."""
    if get_origin(kind) is UnionType and value is not None:
        kind = get_args(kind)[0]
    if get_origin(kind) is UnionType:
        return
    if is_dataclass(kind):
        yield from _wrong_record(kind, value, place)
    elif get_origin(kind) is list:
        yield from _wrong_list(kind, value, place, allowed)
    elif get_origin(kind) is dict:
        yield from _wrong_texts(value, place, allowed)
    elif not _is(kind, value):
        yield f"{place} is {as_json(value)}, expected {_NOUNS[kind]}"
    elif kind is bool:
        return
    elif kind is str:
        if len(value) > (longest := allowed.get("longest", LONGEST_TEXT)):
            yield f"{place} has {len(value):,} characters, expected {longest:,} or fewer"
        if value not in allowed.get("choices", (value,)):
            yield f"{place} is {as_json(value)}, expected one of {', '.join(map(as_json, allowed['choices']))}"
    elif value not in allowed["bounds"]:
        yield f"{place} is {as_json(value)}, expected {allowed['bounds']}"


def _wrong_list(kind: Any, value: Any, place: str, allowed: Mapping[str, Any]) -> Iterator[str]:
    fewest, most = allowed.get("fewest", 0), allowed.get("count", LONGEST_INNER)
    if not isinstance(value, list) or not fewest <= len(value) <= most:
        found = f"{len(value):,} entries" if isinstance(value, list) else as_json(value)
        yield f"{place} has {found}, expected a list of {fewest} to {most:,}"
        return
    within = {key: bound for key, bound in allowed.items() if key not in ("fewest", "count")}
    if _all_right(get_args(kind)[0], value, within):
        return
    for number_, entry in enumerate(value):
        yield from _wrong(get_args(kind)[0], entry, f"{place}[{number_}]", within)


def _all_right(kind: Any, entries: list[Any], allowed: Mapping[str, Any]) -> bool:
    """Whether nothing is wrong with a list of numbers or texts, found out faster than by asking for what is."""
    if not entries or kind not in (int, str) or set(map(type, entries)) != {kind} or "choices" in allowed:
        return False
    if kind is str:
        return len(max(entries, key=len)) <= allowed.get("longest", LONGEST_TEXT)
    return min(entries) in allowed["bounds"] and max(entries) in allowed["bounds"]


def _wrong_texts(value: Any, place: str, allowed: Mapping[str, Any]) -> Iterator[str]:
    """A phrase for what is wrong with texts by names, each as long as `allowed` says."""
    if not isinstance(value, Mapping) or len(value) > allowed["count"]:
        found = f"{len(value):,} entries" if isinstance(value, Mapping) else as_json(value)
        yield f"{place} has {found}, expected up to {allowed['count']:,} texts with names"
        return
    for name, entry in value.items():
        yield from _wrong(str, name, f"a name in {place}", allowed)
        yield from _wrong(str, entry, f"{place}[{as_json(name)}]", allowed)


_NOUNS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}


def _is(kind: type, value: Any) -> bool:
    types = (int, float) if kind is float else kind  # JSON writes 1.0 as 1 in other programs
    return isinstance(value, types) and isinstance(value, bool) == (kind is bool)
