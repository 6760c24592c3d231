"""Reading YAML files with `_BASE_`: what is merged over what, and every mistake in one sentence."""

import os
import re

import pytest

from caspl.ground.errors import InputError
from caspl.ground.yaml_files import lineage, names_bases, read_yaml


@pytest.fixture
def write(tmp_path):
    def write(**files):
        """Files by name (a__b is a/b.yaml); gives the path of the first."""
        paths = [tmp_path / f"{name.replace('__', '/')}.yaml" for name in files]
        for path, text in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return paths[0]

    return write


def test_later_files_are_merged_over_earlier_ones_key_by_key(write):
    path = write(
        top__a="_BASE_: [../low/b.yaml, c.yaml]\nX:\n  one: 1\n  list: [1]\n",
        low__b="_BASE_: d.yaml\nX: {one: 2, two: 2}\n",
        top__c="X: {two: 3, three: 3}\nY: (1, 2)\n",
        low__d="X: {one: 4, four: é, list: [4, 4]}\nZ: 1e-5\n",
    )
    merged = {"X": {"one": 1, "two": 3, "three": 3, "four": "é", "list": [1]}, "Y": "(1, 2)", "Z": "1e-5"}
    assert read_yaml(path) == read_yaml(str(path)) == merged
    assert [file.stem for file, _ in lineage(path)] == ["d", "b", "c", "a"]


def test_an_empty_section_changes_nothing_and_a_value_replaces_a_section(write):
    path = write(a="_BASE_: b.yaml\nX:\nY: 1\nZ: {z: 1}\nN:\n", b="X: {one: 1}\nY: {one: 1}\nZ: 0\nN: 1\n")
    assert read_yaml(path) == {"X": {"one": 1}, "Y": 1, "Z": {"z": 1}, "N": None}


def test_one_base_twice_is_no_circle_and_its_values_stay_apart(write):
    path = write(
        a="_BASE_: [b.yaml, c.yaml]\nX: {a: 1}\n",
        b="_BASE_: d.yaml\nX: {b: 1}\n",
        c="_BASE_: d.yaml\n",
        d="X: &x {d: 1}\nY: *x\n",
    )
    assert read_yaml(path) == {"X": {"d": 1, "b": 1, "a": 1}, "Y": {"d": 1}}


def test_an_empty_file_and_yamls_own_merge_key(write):
    assert read_yaml(write(a="# nothing\n")) == {}
    assert read_yaml(write(b="X: &x {one: 1, two: 2}\nY:\n  <<: *x\n  one: 3\n"))["Y"] == {"one": 3, "two": 2}


def test_which_files_name_bases(write, tmp_path):
    assert names_bases(write(a="_BASE_: b.yaml\n")) and not names_bases(write(b="BASE: 1\n"))
    (tmp_path / "c.py").write_bytes(b"\xff")
    assert not names_bases(tmp_path / "c.py")


NO_PATH = r"a\.yaml: _BASE_ is {}, expected a path that starts at the file's folder, .* or a list of such paths\.$"
MISTAKES = {
    "circle": (
        {"a": "_BASE_: x/b.yaml\n", "x__b": "_BASE_: [../c.yaml]\n", "c": "_BASE_: x/../a.yaml\n"},
        r"^_BASE_ leads in a circle: \S*/a\.yaml -> \S*/x/b\.yaml -> \S*/c\.yaml -> \S*/a\.yaml; take one of them out\.$",
    ),
    "itself": ({"a": "_BASE_: a.yaml\n"}, r"circle: \S*/a\.yaml -> \S*/a\.yaml"),
    "missing": (
        {"a": "_BASE_: vit_b61.yaml\n", "vit_b16": ""},
        r"vit_b61\.yaml \(_BASE_ of \S*/a\.yaml\) does not exist; the nearest name in \S+ is vit_b16\.yaml\.$",
    ),
    "missing folder": (
        {"a": "_BASE_: none/b.yaml\n"},
        r"b\.yaml \(_BASE_ of \S*a\.yaml\) does not exist, nor does the folder",
    ),
    "of another kind": ({"a": "_BASE_: b.py\n"}, r"b\.py \(_BASE_ of \S*a\.yaml\) must end in \.yaml or \.yml"),
    "number": ({"a": "_BASE_: 3\n"}, NO_PATH.format("3")),
    "nothing": ({"a": "_BASE_:\n"}, NO_PATH.format("None")),
    "empty list": ({"a": "_BASE_: []\n"}, NO_PATH.format(r"\[\]")),
    "list of numbers": ({"a": "_BASE_: [b.yaml, 1]\n", "b": ""}, NO_PATH.format(r"\['b\.yaml', 1\]")),
    "absolute": ({"a": "_BASE_: /b.yaml\n"}, NO_PATH.format("'/b.yaml'")),
    "no path at all": ({"a": '_BASE_: "b\\0.yaml"\n'}, NO_PATH.format(r"'b\\x00\.yaml'")),
    "home": ({"a": "_BASE_: ~/b.yaml\n"}, NO_PATH.format("'~/b.yaml'")),
    "key twice": (
        {"a": "OPTIM:\n  LR: 1\nSEED: 1\nOPTIM:\n  NAME: sgd\n"},
        r"a\.yaml, line 4, column 1 is not valid YAML: the key OPTIM is in line 1 already; keep one of the two\.$",
    ),
    "inner key twice in a base": (
        {"a": "_BASE_: b.yaml\n", "b": "OPTIM:\n  LR: 1\n  LR: 2\n"},
        r"b\.yaml \(_BASE_ of \S*a\.yaml\), line 3, column 3 is not valid YAML: the key LR is in line 2 already",
    ),
    "no mapping": ({"a": "- 1\n"}, "must hold keys and values, but holds a list"),
    "no YAML": ({"a": "X: [1\n"}, r"a\.yaml, line \d+, column \d+ is not valid YAML"),
    "a date that is none": ({"a": "X: 2024-13-45\n"}, r"a\.yaml is not valid YAML: month must be in 1\.\.12"),
    "an alias in itself": (
        {"a": "X: &a [1, *a]\n"},
        r"a\.yaml, line 1, column 4 is not valid YAML: it holds itself by an alias",
    ),
    "a merge with itself": ({"a": "X: &a\n  <<: *a\n"}, "it holds itself by an alias"),
    "a circle of two": ({"a": "X: &a {b: &b {a: *a}, c: *b}\n"}, "it holds itself by an alias"),
    "a number of thousands of digits": (
        {"a": f"X: 0x{'f' * 5000}\n"},
        r"a\.yaml, line 1, column 4 is not valid YAML: it has a number of thousands of digits",
    ),
    "laughs": (
        {"a": "X:\n  - &l0 [1, 2]\n" + "".join(f"  - &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]\n" for n in range(40))},
        r"is not valid YAML: it has more than 100,000 entries, aliases written out",
    ),
    "laughing merges": (
        {
            "a": "m0: &m0 {x: 1}\n"
            + "".join(f"m{n + 1}: &m{n + 1} {{<<: [{', '.join([f'*m{n}'] * 9)}]}}\n" for n in range(40))
        },
        "it has more than 100,000 entries",
    ),
    "deep lists": ({"a": "X: " + "[" * 5000}, r"a\.yaml is not valid YAML: maximum recursion depth"),
    "deep mappings": (
        {"a": "X: " + "{a: " * 5000},
        r"a\.yaml is not valid YAML: maximum recursion",
    ),
    "a number of many digits": (
        {"a": "X: " + "9" * 100_000},
        r"a\.yaml, line 1, column 4 is not valid YAML: it has a number of",
    ),
    "no number": ({"a": 'X: !!int ""\n'}, r"a\.yaml is not valid YAML"),
    "no truth": ({"a": "X: !!bool maybe\n"}, r"a\.yaml is not valid YAML"),
    "no date": ({"a": "X: !!timestamp x\n"}, r"a\.yaml is not valid YAML"),
    "two documents": ({"a": "X: 1\n---\nX: 2\n"}, r"line 2, column 1 is not valid YAML"),
    "null characters": ({"a": "X: \0\n"}, r"a\.yaml is not valid YAML"),
    "too large": (
        {"a": "#" * (2**18 + 1)},
        r"a\.yaml cannot be read: it has 262,145 bytes, expected at most 262,144\.$",
    ),
    "code": ({"a": "X: !!python/object/apply:os.getcwd []\n"}, r"line 1, column 4 is not valid YAML"),
}


@pytest.mark.parametrize("files, said", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_sentence(write, files, said):
    with pytest.raises(InputError) as caught:
        read_yaml(write(**files))
    assert re.search(said, str(caught.value)) and "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"a\.yaml cannot be read: .*utf-8"):
        read_yaml(path)


def test_a_pipe_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(InputError, match=r"a\.yaml cannot be read: it is a named pipe, expected a file\.$"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(OSError, match="it is a named pipe"):
        names_bases(tmp_path / "a.yaml")
