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

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field, fields
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
    wrong: list[str] = []
    made = _record(kind, values, "", wrong)
    if wrong:
        raise ValueError(listed(wrong))
    return made


# Each gives what it makes of a value, which is worth nothing where it adds to `wrong`, phrases of what is not as declared.
def _record(kind: Any, value: Any, place: str, wrong: list[str]) -> Any:
    if not isinstance(value, Mapping):
        wrong.append(f"{place or 'it'} is {as_json(value)}, expected fields with names".strip())
        return None
    known, inside, before = _declared(kind), f"{place}." if place else "", len(wrong)
    wrong += (f"it lacks {inside}{name}" for name in known if name not in value)
    wrong += (f"it has {inside}{as_json(name)[1:-1]}, which is not known here" for name in value if name not in known)
    entries = {n: _value(k, value[n], inside + n, allowed, wrong) for n, (k, allowed) in known.items() if n in value}
    if len(wrong) > before:
        return None
    made = kind(**entries)
    if hasattr(kind, "problem") and (odd := made.problem()):
        wrong.append(f"{place or 'it'} {odd}")
    return made


# What is written of a class and of a type takes time to understand, and is asked for again and again
_origin, _inner = cache(get_origin), cache(get_args)


@cache
def _declared(kind: Any) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """The type of each field of a record, and what is allowed there."""
    types = get_type_hints(kind)
    return {each.name: (types[each.name], each.metadata) for each in fields(kind)}


def _value(kind: Any, value: Any, place: str, allowed: Mapping[str, Any], wrong: list[str]) -> Any:
    origin = _origin(kind)
    if origin is UnionType:
        return None if value is None else _value(_inner(kind)[0], value, place, allowed, wrong)
    if origin is list:
        return _list(_inner(kind)[0], value, place, allowed, wrong)
    if origin is dict:
        return _texts(value, place, allowed, wrong)
    if kind not in _NOUNS:
        return _record(kind, value, place, wrong)
    if not _is(kind, value):
        wrong.append(f"{place} is {as_json(value)}, expected {_NOUNS[kind]}")
        return None
    if kind is str:
        wrong += _wrong_text(value, place, allowed)
    elif kind is not bool and value not in allowed["bounds"]:
        wrong.append(f"{place} is {as_json(value)}, expected {allowed['bounds']}")
        return None
    return float(value) if kind is float else value


def _wrong_text(value: str, place: str, allowed: Mapping[str, Any]) -> Iterator[str]:
    if len(value) > (longest := allowed.get("longest", LONGEST_TEXT)):
        yield f"{place} has {len(value):,} characters, expected {longest:,} or fewer"
    if value not in allowed.get("choices", (value,)):
        yield f"{place} is {as_json(value)}, expected one of {', '.join(map(as_json, allowed['choices']))}"


def _list(kind: Any, value: Any, place: str, allowed: Mapping[str, Any], wrong: list[str]) -> Any:
    fewest, most = allowed.get("fewest", 0), allowed.get("count", LONGEST_INNER)
    if not isinstance(value, list) or not fewest <= len(value) <= most:
        found = f"{len(value):,} entries" if isinstance(value, list) else as_json(value)
        wrong.append(f"{place} has {found}, expected a list of {fewest} to {most:,}")
        return None
    within = {key: bound for key, bound in allowed.items() if key not in ("fewest", "count")}
    if _all_right(kind, value, within):
        return list(value)
    return [_value(kind, entry, f"{place}[{number_}]", within, wrong) for number_, entry in enumerate(value)]


def _all_right(kind: Any, entries: Collection[Any], allowed: Mapping[str, Any]) -> bool:
    """Whether nothing is wrong with numbers or texts, found out faster than by asking for what is."""
    if not entries or kind not in (int, str) or set(map(type, entries)) != {kind} or "choices" in allowed:
        return False
    if kind is str:
        return len(max(entries, key=len)) <= allowed.get("longest", LONGEST_TEXT)
    return min(entries) in allowed["bounds"] and max(entries) in allowed["bounds"]


def _texts(value: Any, place: str, allowed: Mapping[str, Any], wrong: list[str]) -> Any:
    """Texts by names, each as long as `allowed` says."""
    if not isinstance(value, Mapping) or len(value) > allowed["count"]:
        found = f"{len(value):,} entries" if isinstance(value, Mapping) else as_json(value)
        wrong.append(f"{place} has {found}, expected up to {allowed['count']:,} texts with names")
        return None
    if not (_all_right(str, value, allowed) and _all_right(str, value.values(), allowed)):
        for name, entry in value.items():
            _value(str, name, f"a name in {place}", allowed, wrong)
            _value(str, entry, f"{place}[{as_json(name)}]", allowed, wrong)
    return dict(value)


_NOUNS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}


def _is(kind: type, value: Any) -> bool:
    types = (int, float) if kind is float else kind  # JSON writes 1.0 as 1 in other programs
    return isinstance(value, types) and isinstance(value, bool) == (kind is bool)
