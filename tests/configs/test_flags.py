"""The words of a command line: flags, and pairs KEY VALUE, in any order."""

import pytest

import train
from caspl.configs import convert, flags
from caspl.ground.errors import InputError

LR = ["OPTIM.LR", "1"]
UNDERSTOOD = [
    ("OPTIM.LR 1 --seed 2", 2, LR),
    ("--seed 2 OPTIM.LR 1", 2, LR),
    ("OPTIM.LR=1 --seed=2", 2, LR),
    ("--trainer CoOp OPTIM.LR 1 --seed 1 SEED 3 --no-train", 1, [*LR, "SEED", "3"]),
    ("SEED 2 --seed 2", 2, ["SEED", "2"]),
    ("OPTIM.LR 1 --transforms normalize random_flip", None, LR),
    ("OPTIM.LR 1 -- OPTIM.GAMMA -1 --seed 2", 2, [*LR, "OPTIM.GAMMA", "-1"]),
    ("DATASET.ROOT=/a=b --see 2", 2, ["DATASET.ROOT", "/a=b"]),
    ("DATASET.ROOT a=b", None, ["DATASET.ROOT", "a=b"]),
    ("OPTIM.LR --1", None, ["OPTIM.LR", "--1"]),
    ("OPTIM.LR 1 OPTIM.LR", None, [*LR, "OPTIM.LR"]),  # told when it is merged
    ("OPTIM.LR 1 -seed 2", None, [*LR, "-seed", "2"]),  # so is this
    ("--seed 2", 2, []),
]


@pytest.mark.parametrize("line, seed, pairs", UNDERSTOOD)
def test_flags_and_pairs_in_any_order(line, seed, pairs):
    args = train.parse_args(line.split())
    assert (args.seed, args.opts) == (seed, pairs)
    again = train.parse_args(flags.words_of(args))
    assert again == args


@pytest.mark.parametrize("line, seed, pairs", [case for case in UNDERSTOOD if len(case[2]) % 2 == 0])
def test_the_converter_takes_the_same_commands(line, seed, pairs):
    _, args = convert.parsed(
        ["python", "train.py", *line.replace("--see 2", "--seed 2").split(), "--output", "mine.yaml"]
    )
    assert (args.seed, args.opts, args.output) == (None if seed is None else str(seed), pairs, "mine.yaml")


@pytest.mark.parametrize(
    "line, said",
    [
        ("SEED 1 --seed 2", "SEED is 1, and --seed behind it 2; leave out one of the two"),
        ("OPTIM.LR --seed 2", "OPTIM.LR has no value, --seed stands behind it; give the pair KEY VALUE"),
        ("OPTIM.LR --seed=2", "OPTIM.LR has no value, --seed=2 stands behind it"),
        ("OPTIM.LR 1 --sed 2", "unrecognized arguments: --sed"),
        ("--sed 2 OPTIM.LR 1", "unrecognized arguments: --sed"),
        ("OPTIM.LR 1 --output_dir x", "unrecognized arguments: --output_dir; do you mean --output-dir?"),
        ("--SEED 2", "do you mean --seed?"),
        ("--eval_only", "do you mean --eval-only?"),
        ("--frobnicate 2", "--help shows what there is"),
        ("OPTIM.LR 1 --sed", "unrecognized arguments: --sed"),
        ("OPTIM.LR 1 --seed", "argument --seed: expected one argument"),
        ("OPTIM.LR 1 --seed one", "argument --seed: invalid int value: 'one'"),
    ],
)
def test_what_is_ambiguous_or_unknown_is_told(line, said):
    with pytest.raises(InputError) as caught:
        train.parse_args(line.split())
    assert said in str(caught.value)
