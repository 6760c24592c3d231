"""Advice that a mistake is answered with is followed as it is printed, and leads on.

The advice is read out of the sentence by `WAYS`, never typed here; one in words that are not known there fails, too.
"""

import re
import shlex
from dataclasses import dataclass, replace

import pytest
from dassl.engine import TRAINER_REGISTRY

import train
from caspl.__main__ import main as caspl
from caspl.configs import keys
from caspl.ground.errors import InputError

EVERY_KEY = keys.declared()
DIGITS = "configs/datasets/digits.yaml"


@dataclass(frozen=True)
class Command:
    """What was given to train.py: a key's value in a file is the text that stands there."""

    trainer: str
    pairs: tuple[tuple[str, str], ...] = ()
    file: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()

    def words(self, folder):
        words = ["--trainer", self.trainer, "--dataset-config-file", DIGITS, *self.flags]
        if self.file:
            (folder / "case.yaml").write_text("".join(map(in_yaml, self.file)), encoding="utf-8")
            words += ["--config-file", str(folder / "case.yaml")]
        return [*words, *(word for pair in self.pairs for word in pair)]

    def said(self, folder, to_run=False):
        """What train.py has against it; "" for nothing."""
        try:
            train.setup_cfg(train.parse_args(self.words(folder)), to_run=to_run)
        except InputError as error:
            assert str(error).isprintable()
            return str(error)
        return ""

    def each(self, change):
        """With `change` of every pair, of the command or the file; None takes one out."""
        pairs, file = ([new for new in map(change, some) if new] for some in (self.pairs, self.file))
        return replace(self, pairs=tuple(pairs), file=tuple(file))

    def with_value(self, key, text):
        """A text as a shell takes it and as YAML does."""
        bare = " ".join(shlex.split(text))
        of = {key: bare}
        changed = self.each(lambda pair: (pair[0], of.get(*pair)))
        return replace(changed, file=tuple((name, text if name == key else value) for name, value in self.file))

    def without(self, key):
        short = [f"--{key.rpartition('.')[2].lower().replace('_', '-')}"]
        changed = self.each(lambda pair: None if f"{pair[0]}.".startswith(f"{key}.") else pair)
        kept = tuple(word for word in changed.flags if word not in short)
        return replace(changed, flags=kept)

    def renamed(self, key, name):
        return self.each(lambda pair: (name if pair[0] == key else pair[0], pair[1]))


def in_yaml(pair):
    *sections, last = pair[0].split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    return "\n".join([*lines, f"{'  ' * len(sections)}{last}: {pair[1]}", ""])


def written(command, key, advice):
    """One command for each of several values that may be written."""
    return [command.with_value(key, text) for text in advice.removeprefix("for example ").split(" or ")]


KEY = r"(?P<key>[A-Za-z_]+(?:\.[A-Za-z0-9_]+)*)"
# What a clause says, and the commands that come of it
WAYS = (
    (rf"{KEY} must be .* was found; write (?P<advice>.*)", lambda c, key, advice: written(c, key, advice)),
    (rf"{KEY} must be .*(?P<advice>leave the key out)", lambda c, key, advice: [c.without(key)]),
    (rf"unknown key {KEY} \(do you mean (?P<advice>\S+)\?\)", lambda c, key, advice: [c.renamed(key, advice)]),
    (
        rf"{KEY} is a section; give one of its keys, such as (?P<advice>\S+)",
        lambda c, key, advice: [c.renamed(key, advice)],
    ),
    (
        rf"{KEY} is a key of the published code; here it is (?P<advice>[A-Z_.]+)",
        lambda c, key, advice: [c.renamed(key, advice)],
    ),
    (
        rf"{KEY} is .* does not read it; it reads (?P<advice>[A-Z_.]+)",
        lambda c, key, advice: [c.without(key), c.renamed(key, advice)],
    ),
    (
        rf"{KEY} is .*; take --trainer (?P<advice>\S+), or leave it out",
        lambda c, key, advice: [replace(c, trainer=advice), c.without(key)],
    ),
    (
        rf"{KEY} is .* it is read only with (?P<advice>\S+ \S+).*; set that, too, or leave it out",
        lambda c, key, advice: [
            c.without(key),
            replace(c, pairs=(*c.pairs, (advice.split()[0], as_value(*advice.split())))),
        ],
    ),
    (rf"{KEY} is .*; (?P<advice>leave it out)", lambda c, key, advice: [c.without(key)]),
    (
        rf"{KEY} is .* and (?P<advice>[A-Z_.]+) is .*\(leave one of the two out\)",
        lambda c, key, advice: [c.without(key), c.without(advice)],
    ),
    (
        r'[Uu]nknown (?P<key>trainer) .*\(do you mean "(?P<advice>\w+)"\?\)',
        lambda c, key, advice: [replace(c.without("TRAINER.NAME"), trainer=advice)],
    ),
    (
        rf'[Uu]nknown \w+ \({KEY}\) .*\(do you mean "(?P<advice>\w+)"\?\)',
        lambda c, key, advice: [c.with_value(key, advice)],
    ),
    (r"(?P<key>\w+) has nothing to train; add (?P<advice>--\S+)", lambda c, key, advice: [flagged(c, advice)]),
    (
        r"(?P<key>--\S+) without --eval-only: .*; add (?P<advice>--eval-only)",
        lambda c, key, advice: [flagged(c, advice)],
    ),
)


def as_value(key, word):
    """A word for a key that may hold a list of such."""
    return f"['{word}']" if key == "INPUT.TRANSFORMS" else word


def flagged(command, flag):
    return replace(command, flags=(*command.flags, flag))


def ways_out(command, said):
    """The clause, and the commands that follow its advice, for the first clause that has any."""
    for pattern, follow in WAYS:
        if found := re.search(pattern, said):
            return found[0], follow(command, found["key"], found["advice"])
    return "", []


ADVICE = re.compile(r"[;,] (?:write|set|give|add|take|remove|leave)\b|do you mean")


def leads_on(command, folder, to_run=False, seen=()):
    """Follow every piece of advice until nothing is said, or nothing is advised. Gives the clause that was said first."""
    said = command.said(folder, to_run)
    assert command not in seen, f"the advice leads in a circle: {said}"
    clause, commands = ways_out(command, said)
    assert clause or not ADVICE.search(said), f"advice that is not followed here: {said}"
    for following in commands:
        after = following.said(folder, to_run)
        assert clause not in after, f"{clause!r} is followed, and said again: {after!r}"
        if "; write " in clause:  # the value can be, or it is told that nothing reads the key
            key = clause.split()[0]
            assert not re.search(rf"{re.escape(key)} (must be|is \\S+, expected)", after), after
        leads_on(following, folder, to_run, (*seen, command))
    return clause


MISTAKES = {
    int: ("many", "1.5", "2.0", "None", "[3]", "{'a': 1}", "True"),
    float: ("fast", "None", "[3]", "True", "{'a': 1}"),
    str: ("True", "None", "[1]", "{'a': 1}", "3", "1.5"),
    bool: ("1", "maybe", "None", "[True]", "0.0"),
    list: ("x", "3", "None", "{'a': 1}", "1.5", "True"),
}


def reader_of(key):
    """A trainer that reads it, CoOp where all do."""
    for trainer in ("CoOp", *TRAINER_REGISTRY.registered_names()):
        if key.name in [own.name for own in TRAINER_REGISTRY.get(trainer).declared()]:
            return trainer
    return "CoOp"


@pytest.mark.parametrize("key", EVERY_KEY, ids=lambda key: key.name)
def test_what_is_advised_for_a_value_of_another_type(key, tmp_path):
    trainer = reader_of(key)
    number = EVERY_KEY.index(
        key
    )  # keys in turn: the mistakes with even numbers or the odd ones, in a file or a command
    for text in MISTAKES[key.kind][number % 2 :: 2]:
        if number % 4 < 2:
            leads_on(Command(trainer, pairs=((key.name, text),)), tmp_path)
        else:
            in_file = text.replace("None", "null").replace("True", "true")
            leads_on(Command(trainer, file=((key.name, in_file),)), tmp_path)


@pytest.mark.parametrize("key", EVERY_KEY, ids=lambda key: key.name)
def test_a_key_in_small_letters_is_found_again(key, tmp_path):
    command = Command(reader_of(key), pairs=((key.name.lower(), str(key.default) or "''"),))
    assert f"unknown key {key.name.lower()} (do you mean {key.name}?)" in leads_on(command, tmp_path)


OTHERS = [
    Command("CoOp", pairs=(("OPTIM", "3"),)),
    Command("CoOp", pairs=(("OPTIM.LRR", "0.1"),)),
    Command("CoOp", pairs=(("LR", "0.1"),)),
    Command("CoOpp"),
    Command("copo"),
    Command("CoOp", pairs=(("DATASET.NAME", "Digit"),)),
    Command("CoOp", pairs=(("TEST.EVALUATOR", "Classify"),)),
    Command("CoOp", pairs=(("TRAINER.COCOOP.N_CTX", "4"),)),
    Command("KgCoOp", pairs=(("TRAINER.MAPLE.PREC", "fp32"),)),
    Command("CoOp", pairs=(("TRAINER.CASPL.BOOSTING", "here"),)),
    Command("CoOp", pairs=(("TRAINER.COOP.W", "2.0"),)),
    Command("CoOp", pairs=(("LOSS.T", "2.0"),)),
    Command("ZeroshotCLIP", pairs=(("MODEL.INIT_WEIGHTS", "here"),)),
    Command("CoOp", pairs=(("INPUT.RANDAUGMENT_N", "3"),)),
    Command("CoOp", pairs=(("OPTIM.MOMENTUM", "0.5"), ("OPTIM.NAME", "adam"))),
    Command("CoOp", pairs=(("INPUT.CUTOUT_N", "2"),)),
    Command("CoOp", pairs=(("TRAINER.COOP.N_CTX", "8"), ("TRAINER.COOP.CTX_INIT", "a photo of a"))),
    Command("KgCoOp", pairs=(("TRAINER.COOP.N_CTX", "8"), ("TRAINER.COOP.CTX_INIT", "True"))),
    Command("CasPLBoost", pairs=(("KD.TEMPERATURE", "2"),)),
    Command("CasPLBoost", file=(("TRAINER.IVLP.N_CTX_TEXT", "4"),)),
    Command("CoOp", file=(("TRAINER.MMRL.ALPHA", "4"),)),
    Command("CoOp", pairs=(("TRAINER.PLOT.N", "4"),)),
    Command("CoOp", pairs=(("TRAINER.PROMPTKD.KD_WEIGHT", "1"),)),
]


@pytest.mark.parametrize(
    "command", OTHERS, ids=lambda c: " ".join([c.trainer, *(" ".join(p) for p in c.pairs + c.file)])
)
def test_what_is_advised_for_names_keys_and_pairs(command, tmp_path):
    assert leads_on(command, tmp_path)


def test_what_is_advised_for_flags(tmp_path):
    assert leads_on(Command("ZeroshotCLIP"), tmp_path, to_run=True)
    wanting = Command("CoOp", flags=("--model-dir", str(tmp_path)))
    assert "add --eval-only" in leads_on(wanting, tmp_path)


def test_the_command_that_is_advised_for_files_of_the_published_code(tmp_path, capsys):
    (tmp_path / "theirs.yaml").write_text("TRAINER:\n  IVLP:\n    N_CTX_TEXT: 4\nKD:\n  TEMPERATURE: 2\n")
    given = ["--trainer", "CasPL", "--dataset-config-file", DIGITS, "--config-file", str(tmp_path / "theirs.yaml")]
    with pytest.raises(InputError) as caught:
        train.setup_cfg(train.parse_args(given))
    (advice,) = re.findall(r"(caspl convert config FILE) turns", str(caught.value))
    words = advice.replace("FILE", str(tmp_path / "theirs.yaml")).split()[1:]
    assert caspl([*words, "--trainer", "CasPL", "--output", str(tmp_path / "ours.yaml")]) == 0
    assert "written:" in capsys.readouterr().out
    given = ["--trainer", "CasPLBoost", "--dataset-config-file", DIGITS, "--config-file", str(tmp_path / "ours.yaml")]
    train.setup_cfg(train.parse_args(given))
