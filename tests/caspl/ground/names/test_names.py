"""Files of class names as people have them: what each is read as, and the sentence where it cannot be told."""

from __future__ import annotations

import json

import pytest

from caspl.ground.errors import InputError
from caspl.ground.names.matching import NamesFile
from caspl.ground.names.reading import read_entries

WNIDS = ["n01440764", "n01443537", "n02012849"]
NAMED = ["tench", "goldfish", "crane"]
PAIRS = list(zip(WNIDS, NAMED, strict=True))
SYNONYMS = ["tench, Tinca tinca", "goldfish, Carassius auratus", "crane"]
ANIMALS = ["ant", "bee", "cat"]
LATIN = ["formica", "apis", "felis"]


def lines(*rows) -> str:
    return "".join(f"{row}\n" for row in rows)


def joined(separator: str, *columns) -> str:
    return lines(*(separator.join(row) for row in zip(*columns, strict=True)))


@pytest.fixture
def names_of(tmp_path):
    """A function from the text of a file, and the classes where they are known, to the names."""

    def names_of(text: str, classes=None, file: str = "names.txt"):
        path = tmp_path / file
        path.write_bytes(text.encode())
        found = NamesFile(path, "the file of names")
        return found.names() if classes is None else found.for_classes(classes)

    return names_of


READ = {
    "a name a line": (lines(*LATIN), ANIMALS, LATIN),
    "names that hold commas": (lines("x, old", "y, new", "z, a"), ANIMALS, ["x, old", "y, new", "z, a"]),
    "BOM, CRLF, blanks, comments": ("\ufeff# mine\r\nformica \r\n\r\n  apis\r\nfelis\r\n\r\n", ANIMALS, LATIN),
    "underscores and hashes stay": (lines("#ant_hill", "#bee", "#cat"), ANIMALS, ["#ant_hill", "#bee", "#cat"]),
    "tab": (joined("\t", ANIMALS, LATIN), ANIMALS, LATIN),
    "tab, others too": (joined("\t", [*ANIMALS, "dog"], [*LATIN, "canis"]), ANIMALS, LATIN),
    "tab, in another order": (joined("\t", ANIMALS[::-1], LATIN[::-1]), ANIMALS, LATIN),
    "comma": (joined(",", ANIMALS[::-1], LATIN[::-1]), ANIMALS, LATIN),
    "comma and blank": (joined(", ", ANIMALS, LATIN), ANIMALS, LATIN),
    "comma, with quotes": (lines('ant,"formica, red"', "bee,apis", 'cat,"felis"'), ANIMALS, ["formica, red", "apis", "felis"]),
    "comma, with a header": ("folder,name\n" + joined(",", ANIMALS, LATIN), ANIMALS, LATIN),
    "semicolon": (joined(";", ANIMALS, LATIN), ANIMALS, LATIN),
    "colon": (joined(": ", ANIMALS, LATIN), ANIMALS, LATIN),
    "blank": (joined(" ", ANIMALS, ["red ant", "honey bee", "wild cat"]), ANIMALS, ["red ant", "honey bee", "wild cat"]),
    "name before folder": (joined(",", LATIN, ANIMALS), ANIMALS, LATIN),
    "name before folder, header": ("name,folder\n" + joined(",", LATIN[::-1], ANIMALS[::-1]), ANIMALS, LATIN),
    "folders with blanks": (lines("a b c", "a dog"), ["a", "a b"], ["dog", "c"]),
    "folders in other case": (joined("\t", ["Ant", "BEE", "cat"], LATIN), ANIMALS, LATIN),
    "folders of a Mac": (lines("cafe\u0301\tbar", "zoo\tpark"), ["caf\u00e9", "zoo"], ["bar", "park"]),
    "names of a Mac": (lines("cafe\u0301", "zoo"), ["a", "b"], ["caf\u00e9", "zoo"]),
    "the folders themselves": (lines(*ANIMALS[::-1]), ANIMALS, ANIMALS),
    "wnid and blank": (joined(" ", WNIDS, NAMED), WNIDS, NAMED),
    "wnid and blank, others too": (joined(" ", *zip(("n00004475", "organism"), *PAIRS, strict=True)), WNIDS, NAMED),
    "wnid of the folder's name": (joined(" ", WNIDS, NAMED), [f"{wnid}-x" for wnid in WNIDS], NAMED),
    "wnid and synonyms": (joined(" ", WNIDS, SYNONYMS), WNIDS, NAMED),
    "synonyms that two share": (joined(" ", WNIDS, ["maillot", "maillot, tank suit", "crane"]), WNIDS)
    + (["maillot", "maillot, tank suit", "crane"],),
    "wnid, tab, underscores": (joined("\t", WNIDS, ["kit_fox", "b", "c"]), WNIDS, ["kit_fox", "b", "c"]),
    "wnid, number, name": (joined(" ", WNIDS, "123", NAMED), WNIDS, NAMED),
    "number, wnid, name": (joined(",", "012", WNIDS, NAMED), WNIDS, NAMED),
    "name, wnid": (joined(" ", NAMED, WNIDS), WNIDS, NAMED),
    "numbers": (joined(" ", "012", LATIN), ANIMALS, LATIN),
    "numbers from 1": (joined(" ", "123", LATIN), ANIMALS, LATIN),
    "numbers and colons, in another order": (joined(": ", "201", LATIN), ANIMALS, ["apis", "felis", "formica"]),
    "numbers and dots": (joined(". ", "123", LATIN), ANIMALS, LATIN),
    "numbers that are folders": (joined(" ", ["10", "2"], ["ten", "two"]), ["10", "2"], ["ten", "two"]),
    "labels of a table": (joined(",", "210", LATIN), ["0", "1", "2"], LATIN[::-1]),
    "wnids in order for labels": (joined(" ", WNIDS, NAMED), ["0", "1", "2"], NAMED),
    "in quotes, with commas": (lines("'ant': 'formica',", "'bee': 'apis',", "'cat': 'felis',"), ANIMALS, LATIN),
    "arrows": (joined(" -> ", ANIMALS, LATIN), ANIMALS, LATIN),
    "bars": (joined(" | ", ANIMALS, LATIN), ANIMALS, LATIN),
    "dashes": (joined(" - ", WNIDS, NAMED), WNIDS, NAMED),
    "paths": (joined(" ", ["./ant/", "./bee/", "./cat/"], LATIN), ANIMALS, LATIN),
    "a list in YAML": (lines(*(f"- {name}" for name in LATIN)), ANIMALS, LATIN),
    "a dictionary of Python's, in lines": ("{0: 'tench, Tinca tinca',\n 1: 'goldfish',\n 2: 'crane'}", WNIDS, NAMED),
    "wnids as folders have them": (lines("n01440764-tench", "n01443537_goldfish", "n02012849 crane"), ANIMALS, NAMED),
    "names that begin with numbers": (lines("1 euro", "2 euro", "5 euro"), ["1 euro", "2 euro", "5 euro"])
    + (["1 euro", "2 euro", "5 euro"],),
    "names that begin as folders": (lines("red car", "dark green car", "blue car"), ["red", "green", "blue"])
    + (["red car", "dark green car", "blue car"],),
}  # fmt: skip

JSON = {
    "index to wnid and name": ({str(n): list(pair) for n, pair in enumerate(PAIRS)}, WNIDS, NAMED),
    "the same for labels": ({str(n): list(pair) for n, pair in enumerate(PAIRS)}, ["0", "1", "2"], NAMED),
    "index to name": ({str(n): name for n, name in enumerate(LATIN)}, ANIMALS, LATIN),
    "folder to name": (dict(zip(ANIMALS[::-1], LATIN[::-1], strict=True)), ANIMALS, LATIN),
    "folder to index": ({"bee": 1, "cat": 2, "ant": 0}, ANIMALS, ANIMALS),
    "a list": (LATIN, ANIMALS, LATIN),
    "a list of objects": (
        [{"folder": "cat", "name": "felis"}, {"folder": "ant", "name": "formica"}]
        + [{"folder": "bee", "name": "apis"}],
        ANIMALS,
        LATIN,
    ),
    "a model's": ({"id2label": {"0": "formica", "1": "apis", "2": "felis"}, "label2id": {}}, ANIMALS, LATIN),
    "a list with a name": ({"names": LATIN}, ANIMALS, LATIN),
    "a list of pairs": ([["cat", "felis"], ["ant", "formica"], ["bee", "apis"]], ANIMALS, LATIN),
    "no classes known": ({str(n): list(pair) for n, pair in enumerate(PAIRS)}, None, NAMED),
}


@pytest.mark.parametrize("case", READ)
def test_read(names_of, case):
    text, classes, names = READ[case]
    assert names_of(text, classes) == names
    assert names_of(text.replace("\n", "\r\n"), classes) == names


@pytest.mark.parametrize("case", JSON)
@pytest.mark.parametrize("file", ["names.json", "names.txt"])
def test_json(names_of, case, file):
    content, classes, names = JSON[case]
    assert names_of(json.dumps(content, indent=1), classes, file) == names
    assert names_of(repr(content), classes, file) == names  # as Python prints it


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (lines(*LATIN), LATIN),
        (
            lines("3 cats", "1 dog", "9 birds and more", "mice", "rats"),
            ["3 cats", "1 dog", "9 birds and more", "mice", "rats"],
        ),
        (lines("0", "1", "2"), ["0", "1", "2"]),
        (joined(" ", WNIDS, SYNONYMS), NAMED),
        (joined("\t", WNIDS[::-1], NAMED[::-1]), NAMED[::-1]),
        (joined(" ", "102", LATIN), ["apis", "formica", "felis"]),
        (joined(" ", "012", WNIDS, NAMED), NAMED),
        (joined("\t", ANIMALS, LATIN), LATIN),
        ("one\n", ["one"]),
    ],
)
def test_no_classes_known(names_of, text, names):
    assert names_of(text) == names


def test_folders_may_stand_beside(tmp_path):
    (path := tmp_path / "names.txt").write_text(joined(" ", ANIMALS[::-1], LATIN[::-1]))
    assert NamesFile(path, "names").names(ANIMALS) == LATIN[::-1]
    assert NamesFile(path, "names").names(["ant", "photos"])[0] == "cat felis"
    path.write_text(lines(*ANIMALS[::-1]))
    assert NamesFile(path, "names").names(ANIMALS) == ANIMALS[::-1]


REFUSED = {
    "too few": (lines("x", "y"), ANIMALS, "holds 2 names, expected 3, one for each class from 'ant' to 'cat'"),
    "in another order": (lines("Cat", "bee", "formica"), ANIMALS, "line 1 .* calls the class 'ant' 'Cat', which is another"),
    "in another order, numbered": (lines("bee", "ant", "cat"), ["1.ant", "2.bee", "3.cat"], "'1.ant' 'bee', which is another"),
    "in another order, of wnids": (lines("Pug", "x"), ["n02085620-x", "n02110958-pug"], "'n02085620-x' 'Pug', which is"),
    "no tab": ("ant\tx\nbee\ncat\tz\n", ANIMALS, "line 2 .* is 'bee', expected class, tab, name as in the first line"),
    "no comma": ("ant,x\nbee\ncat,z\n", ANIMALS, "line 2 .* is 'bee', expected class, ',', name as in the first line"),
    "an unknown folder": ("ant,x\nbee,y\ndog,z\n", ANIMALS, "line 3 .* is 'dog,z', expected class, ',', name"),
    "a missing folder": ("ant,x\nbee,y\n", ANIMALS, "has no line for the class 'cat', expected one for each of"),
    "one wnid missing": (joined(" ", WNIDS[:2], NAMED[:2]) + "crane\n", WNIDS, "line 3 .* is 'crane', expected WordNet id"),
    "wnids for other folders": (joined(" ", WNIDS, NAMED), ANIMALS, "line 1 .* has the WordNet id 'n01440764', which is none"),
    "some wnids": (joined(" ", WNIDS[:2], NAMED[:2]) + "crane\n", None, "line 3 .* is 'crane', expected WordNet id"),
    "another wnid": (joined(" ", [*WNIDS[:2], "n09999999"], NAMED), WNIDS, "has no line for the class 'n02012849'"),
    "a column too many": (joined(",", ANIMALS, LATIN, ["12", "7", "12"]), ANIMALS, "line 1 .* more than a name, 'formica,12'"),
    "a third column": (joined("\t", ANIMALS, LATIN, LATIN), ANIMALS, "line 1 .* more than a name, 'formica.*, expected"),
    "numbers that are sorted as texts": (lines(*"abc"), ["1", "10", "2"], "is 1, 10, 2 ..., as texts are sorted"),
    "a gap": (joined(" ", "013", LATIN), ANIMALS, r"has the numbers 0, 1, 3 \.\.\. 3 beside its 3 names, expected each from"),
    "a number twice": (joined(": ", "011", LATIN), None, "has the numbers 0, 1, 1"),
    "no number": ("0 x\n1 y\nz\n", ANIMALS, "line 3 .* is 'z', expected number, blank, name as in the first line"),
    "one class twice": ("ant\tx\nbee\ty\ncat\tz\nant\tw\n", ANIMALS, "line 4 .* calls the class 'ant' 'w', which another line"),
    "wnids alone": (lines(*WNIDS), None, "line 1 of .* is a WordNet id, expected a name"),
    "wnids in order": (lines(*WNIDS), ANIMALS, "line 1 of .* is a WordNet id, expected a name"),
    "JSON of other kinds": ('{"a": {"b": 1}, "c": 2}', ANIMALS, "entry 0 of .* expected a name, or a folder or number"),
    "a ragged list": ('[["ant", "x"], ["bee"], ["cat", "z"]]', ANIMALS, "entry 1 of .* has 1 values, expected 2 as in"),
    "hidden": ("ant\x1b\nbee\ncat\n", ANIMALS, r"line 1 of .* holds the hidden character \\x1b"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(names_of, case):
    text, classes, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        names_of(text, classes)
    assert "the file of names" in str(caught.value)


def test_who_names_each(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("train\tsteam train\ntest\tan exam\n")
    assert NamesFile(path, "names").names_each(["train", "test"]) and not NamesFile(path, "names").names_each(
        ["ant", "bee"]
    )
    path.write_text("one\ntwo\n")
    assert not NamesFile(path, "names").names_each(["train", "test"])


def test_a_broken_json(names_of):
    with pytest.raises(InputError, match=r"names\.json is not JSON"):
        names_of("{", ANIMALS, "names.json")
    assert names_of(lines("[x]", "{y}", "z"), ANIMALS) == ["[x]", "{y}", "z"]


def test_what_is_no_list(tmp_path):
    path = tmp_path / "names.txt"
    for content, message in ((b"\n", "is empty"), (b"\xff\xfe", "is not text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"^the list .*names.txt {message}"):
            read_entries(path, "the list")
    with pytest.raises(
        InputError, match=r"the list .*none cannot be read \(No such file or directory\); .* below here"
    ):
        read_entries(tmp_path / "none", "the list", " below here")
    for odd in (tmp_path, "/dev/zero", "a\0b"):
        with pytest.raises(InputError, match=r"the list .* cannot be read \("):
            read_entries(odd, "the list")
