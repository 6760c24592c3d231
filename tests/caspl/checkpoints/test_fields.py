"""Records out of JSON; tests/caspl/checkpoints/test_record.py has a table of what is refused."""

from dataclasses import dataclass

import pytest

from caspl.checkpoints.fields import number, one_of, parse, several
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
