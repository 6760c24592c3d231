"""Records out of JSON; tests/caspl/checkpoints/test_record.py has a table of what is refused."""

from dataclasses import dataclass

import pytest

from caspl.checkpoints.fields import number, one_of, parse, several, text
from caspl.ground.files import load_json


@dataclass(frozen=True)
class Part:
    weight: float = number(0, 1)
    kind: str = one_of("a", "b")

    def problem(self):
        return "is too heavy for a" if self.kind == "a" and self.weight > 0.5 else ""


@dataclass(frozen=True)
class Whole:
    name: str
    count: int = number(0, 10)
    parts: list[Part] = several(2)
    sizes: list[list[int]] = several(2, number(1, 9))


GOOD = {"name": "x", "count": 1, "parts": [{"weight": 1, "kind": "b"}], "sizes": [[1, 2], []]}


def test_what_is_declared_is_made():
    found = parse(
        Whole, load_json('{"name": "x", "count": 1, "parts": [{"weight": 1, "kind": "b"}], "sizes": [[1, 2], []]}')
    )
    assert found == Whole("x", 1, [Part(1.0, "b")], [[1, 2], []]) == parse(Whole, GOOD)
    assert isinstance(found.parts[0].weight, float)  # JSON of other programs writes 1.0 as 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 11}, "count is 11, expected 0 to 10"),
        ({"name": None}, "name is null, expected a text"),
        ({"parts": [{"weight": 0.7, "kind": "a"}]}, r"parts\[0\] is too heavy for a"),
        ({"parts": [{"kind": "c"}]}, r'it lacks parts\[0\].weight; parts\[0\].kind is "c", expected one of "a", "b"'),
        ({"sizes": [[1, 10]]}, r"sizes\[0\]\[1\] is 10, expected 1 to 9"),
        ({"sizes": [1]}, r"sizes\[0\] has 1, expected a list of 0 to 8"),
    ],
)
def test_what_is_not_is_named(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse(Whole, GOOD | changes)


@dataclass(frozen=True)
class Loose:
    known: bool
    part: Part | None
    share: float | None = number(0, 1)
    notes: dict[str, str] = several(2, text(3))


LOOSE = {"known": True, "part": None, "share": None, "notes": {"a": "b"}}


def test_what_may_be_missing_or_true():
    assert parse(Loose, LOOSE) == Loose(True, None, None, {"a": "b"})
    full = LOOSE | {"part": {"weight": 1, "kind": "b"}, "share": 1}
    assert parse(Loose, full) == Loose(True, Part(1.0, "b"), 1.0, {"a": "b"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"known": 1}, "known is 1, expected true or false"),
        ({"known": None}, "known is null, expected true or false"),
        ({"part": {"weight": 2, "kind": "b"}}, "part.weight is 2, expected 0 to 1"),
        ({"share": True}, "share is true, expected a finite number"),
        ({"share": float("nan")}, "share is NaN, expected 0 to 1"),
        ({"share": 10**400}, r"share is 10+\.\.\., expected 0 to 1"),
        ({"notes": {"a": 1}}, r'notes\["a"\] is 1, expected a text'),
        ({"notes": {"long": ""}}, "a name in notes has 4 characters, expected 3 or fewer"),
        ({"notes": {"a": "", "b": "", "c": ""}}, "notes has 3 entries, expected up to 2 texts with names"),
        ({"notes": []}, r"notes has \[\], expected up to 2 texts with names"),
    ],
)
def test_what_they_are_not_is_named(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse(Loose, LOOSE | changes)
