"""Keys declared once: what they refuse, in which words, and what follows from them."""

import math
import pickle

import pytest
from yacs.config import CfgNode

from caspl.ground.errors import InputError, QuantityError, naming
from caspl.ground.keys import Key, add_keys, as_sections, as_table, as_text, check, matching, problems

KEYS = [
    Key("SEED", -1, "Seed of all random generators"),
    Key("OPTIM.LR", 0.1, "Learning rate", above=0),
    Key("OPTIM.MOMENTUM", 0.9, "Momentum of sgd", least=0, below=1),
    Key("OPTIM.EPOCHS", 10, "Number of epochs", least=1),
    Key("OPTIM.NAME", "sgd", "Optimiser", choices=("sgd", "adam")),
    Key("INPUT.STD", [0.2, 0.2, 0.2], "Deviation for each channel", length=3, above=0),
    Key("INPUT.SCALE", (0.1, 1.0), "Share", length=2, most=1, check=lambda v: v[0] <= v[1], rule="rising"),
    Key("INPUT.STEPS", (), "Steps", items=str, choices=("flip", "crop")),
    Key("A.B.TEXT", "", "Template", check=lambda v: "{}" in (v or "{}"), rule="empty or with {}"),
    Key("A.B.ON", False, "Switch"),
]
BY_NAME = {key.name: key for key in KEYS}


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("OPTIM.LR", -1, "OPTIM.LR is -1, expected above 0"),
        ("OPTIM.LR", 0.0, "OPTIM.LR is 0.0, expected above 0"),
        ("OPTIM.LR", math.nan, "OPTIM.LR is nan, expected a number above 0"),
        ("OPTIM.LR", math.inf, "OPTIM.LR is inf, expected a number above 0"),
        ("OPTIM.LR", None, "OPTIM.LR is None, expected a number above 0"),
        ("OPTIM.LR", True, "OPTIM.LR is True, expected a number above 0"),
        ("OPTIM.MOMENTUM", 1.0, "OPTIM.MOMENTUM is 1.0, expected 0 or more and below 1"),
        ("OPTIM.EPOCHS", 0, "OPTIM.EPOCHS is 0, expected 1 or more"),
        ("OPTIM.EPOCHS", 2.0, "OPTIM.EPOCHS is 2.0, expected a whole number, 1 or more"),
        ("OPTIM.NAME", "sdg", 'OPTIM.NAME is "sdg", expected one of sgd, adam'),
        ("INPUT.STD", [0.2, 0.0, 0.2], "INPUT.STD is [0.2, 0.0, 0.2], expected a list of 3 numbers above 0"),
        ("INPUT.STD", (0.2, 0.2), "INPUT.STD is (0.2, 0.2), expected a list of 3 numbers above 0"),
        ("INPUT.SCALE", (0.5, 0.1), "INPUT.SCALE is (0.5, 0.1), expected a list of 2 numbers, 1 or less, rising"),
        ("INPUT.STEPS", ("flop",), "INPUT.STEPS is ('flop',), expected a list of words out of flip, crop"),
        ("INPUT.STEPS", "flip", 'INPUT.STEPS is "flip", expected a list of words out of flip, crop'),
        ("A.B.TEXT", "a photo", 'A.B.TEXT is "a photo", expected text, empty or with {}'),
        ("A.B.ON", 1, "A.B.ON is 1, expected True or False"),
        ("SEED", 1.5, "SEED is 1.5, expected a whole number"),
    ],
)
def test_what_cannot_be_is_said(name, value, words):
    assert BY_NAME[name].problem(value) == words


@pytest.mark.parametrize(
    "name, value",
    [
        ("OPTIM.LR", 1),
        ("OPTIM.MOMENTUM", 0),
        ("INPUT.STD", (1, 2, 3)),
        ("INPUT.SCALE", [1.0, 1.0]),
        ("INPUT.STEPS", ["crop"]),
        ("A.B.TEXT", "{}"),
        ("A.B.TEXT", None),
        ("A.B.TEXT", False),
        ("SEED", -5),
    ],
)
def test_what_can_be_passes(name, value):
    assert BY_NAME[name].problem(value) == ""


def test_defaults_join_a_configuration_where_they_are_missing():
    cfg = CfgNode({"OPTIM": {"LR": 5.0, "MORE": 1}})
    add_keys(cfg, KEYS)
    assert (cfg.OPTIM.LR, cfg.OPTIM.MORE, cfg.OPTIM.NAME, cfg.A.B.TEXT) == (5.0, 1, "sgd", "")
    assert isinstance(cfg.A.B, CfgNode)
    cfg.INPUT.STD.append(1)
    assert BY_NAME["INPUT.STD"].default == [0.2, 0.2, 0.2]
    with pytest.raises(InputError, match=r"the configuration has A\.B = 3, where A\.B\.TEXT is to be"):
        add_keys(CfgNode({"A": {"B": 3}}), KEYS)


def test_all_mistakes_are_one_sentence():
    cfg = CfgNode()
    add_keys(cfg, KEYS)
    check(cfg, KEYS)
    cfg.OPTIM.LR, cfg.OPTIM.NAME = 0, "adamm"
    del cfg["SEED"]  # a host may lack it
    assert len(problems(cfg, KEYS)) == 2
    with pytest.raises(InputError, match=r'^OPTIM\.LR is 0, expected above 0; OPTIM\.NAME is "adamm", expected one of'):
        check(cfg, KEYS)


def test_keys_describe_themselves():
    assert as_text(matching(KEYS, "learning")) == "OPTIM.LR = 0.1  (a number above 0)\n    Learning rate"
    assert (
        as_table([BY_NAME["A.B.TEXT"]]).splitlines()[2] == '| `A.B.TEXT` | `""` | text, empty or with {} | Template |'
    )
    sections = dict(as_sections(KEYS, "Top"))
    assert list(sections) == ["Top", "OPTIM", "INPUT", "A.B"] and len(sections["OPTIM"]) == 4


def test_quantities_are_called_by_their_keys():
    class Special(QuantityError):
        pass

    with pytest.raises(Special) as caught, naming({"depth": "X.DEPTH"}):
        raise Special(("depth", "is 0, expected 1 or more"), ("length", "is -1, expected 0 or more"))
    assert str(caught.value) == "X.DEPTH is 0, expected 1 or more; length is -1, expected 0 or more"
    again = pickle.loads(pickle.dumps(QuantityError(("depth", "is 0"), ("length", "is 1"))))
    assert (str(again), again.problems) == ("depth is 0; length is 1", (("depth", "is 0"), ("length", "is 1")))
    with pytest.raises(InputError, match="^as it is$"), naming({"depth": "X.DEPTH"}):
        raise InputError("as it is")
