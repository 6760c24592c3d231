"""Files and commands of other code of the family: read with the meaning that they have there, or answered by method."""

import re
from pathlib import Path

import pytest

import train
from bench.originals import public_configs
from caspl.ground.errors import InputError
from caspl.ground.keys import value_of

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ["--dataset-config-file", "configs/datasets/digits.yaml"]


def said_of(file, trainer, *words):
    """The configuration, or the sentence that it is refused with."""
    try:
        return train.setup_cfg(train.parse_args(["--trainer", trainer, *DIGITS, "--config-file", str(file), *words]))
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)


@pytest.mark.parametrize(
    "trainer, text, key, value",
    [
        ("KgCoOp", "TRAINER:\n  COOP:\n    CTX_INIT: True\n    ALPHA: 1.0\n", "TRAINER.COOP.CTX_INIT", "template"),
        ("ProGrad", "LOSS:\n  NAME: prograd\n  T: 1.0\n  GM: False\n  ALPHA: 0.\n", "LOSS.T", 1.0),
        ("prograd", "LOSS:\n  NAME: ''\nTRAINER:\n  COOP:\n    CTX_INIT: True\n", "TRAINER.NAME", "ProGrad"),
        ("COCOOP", "TRAINER:\n  COCOOP:\n    CTX_INIT: False\n", "TRAINER.COCOOP.CTX_INIT", ""),
        ("CoOp", "OPTIM:\n  NAME: AdamW\n  LR: '1e-3'\n", "OPTIM.NAME", "adamw"),
        ("CoOp", "TRAINER:\n  COOP:\n    CTX_INIT: null\n    PREC: FP32\n", "TRAINER.COOP.PREC", "fp32"),
        ("CoOp", "DATASET:\n  NAME: digits\n", "DATASET.NAME", "Digits"),
        ("CoOp", "TEST:\n  EVALUATOR: classification\n", "TEST.EVALUATOR", "Classification"),
    ],
)
def test_a_file_of_the_family_is_read(trainer, text, key, value, tmp_path):
    (tmp_path / "theirs.yaml").write_text(text)
    assert value_of(said_of(tmp_path / "theirs.yaml", trainer), key) == value


@pytest.mark.parametrize(
    "trainer, text, said",
    [
        (
            "MMRL",
            "TRAINER:\n  MMRL:\n    ALPHA: 1\n    BETA: 1\n",
            "TRAINER.MMRL is a key of MMRL, which no method here reads",
        ),
        ("mmrlpp", "OPTIM:\n", 'trainer "mmrlpp" is not here, it belongs to MMRL++; available: '),
        (
            "CoOp_ATP",
            "TRAINER:\n  ATPROMPT:\n    N_ATT1: 1\n",
            'trainer "CoOp_ATP" is not here, it belongs to ATPrompt',
        ),
        ("TCP", "TRAINER:\n  COOP:\n    CTX_INIT: False\n", 'trainer "TCP" is not here, it belongs to TCP'),
        ("ExtrasLinearProbeMaPLe", "OPTIM:\n", "it belongs to DePT; "),
        ("MCD", "OPTIM:\n", "it belongs to Dassl's methods for several domains"),
        (
            "CoOp",
            "TRAINER:\n  PLOT:\n    N: 4\n",
            "TRAINER.PLOT is a key of the method PLOT, which is not here; leave it out",
        ),
        ("CoOp", "TRAINER:\n  N_CTX: 4\n", "unknown key TRAINER.N_CTX (do you mean TRAINER."),
        ("CoOp", "TRAINER:\n  COPO:\n    N_CTX: 4\n", "unknown key TRAINER.COPO"),
        ("CoOp", "TRAINER:\n  MODAL: base2novel\nTASK: B2N\n", "TRAINER.MODAL is a key of PromptKD, "),
        ("CoOp", "LOSS:\n  GM: True\n", "(Kept for upstream's files: nothing reads it); leave it out"),
        ("ProGrad", "LOSS:\n  NAME: ce\n", 'LOSS.NAME is "ce", expected text, prograd or empty'),
        ("MaPLe", "TRAINER:\n  MAPLE:\n    CTX_INIT: True\n", "TRAINER.MAPLE.CTX_INIT must be a text, but True "),
    ],
)
def test_what_only_another_method_has_is_named_with_it(trainer, text, said, tmp_path):
    (tmp_path / "theirs.yaml").write_text(text)
    assert said in said_of(tmp_path / "theirs.yaml", trainer)


def test_keys_of_other_methods_are_named_in_pairs_too(tmp_path):
    (tmp_path / "theirs.yaml").write_text("")
    told = said_of(tmp_path / "theirs.yaml", "CoOp", "TRAINER.PROMPTKD.KD_WEIGHT", "1", "TRAINER.COPO.N_CTX", "4")
    assert "TRAINER.PROMPTKD.KD_WEIGHT is a key of PromptKD, which no method here reads; leave it out" in told
    assert "unknown key TRAINER.COPO.N_CTX (do you mean TRAINER.COOP.N_CTX?)" in told


def test_the_table_of_public_files(tmp_path, capsys):
    """python -m bench public_configs: the trainer is the folder's; Dassl's own folders and copies of editors are left out."""
    for name, text in {
        "KgCoOp/a.yaml": "TRAINER:\n  COOP:\n    CTX_INIT: True\n",
        "MMRL/b.yaml": "TRAINER:\n  MMRL:\n    ALPHA: 1\n",
        "CoOp/c.yaml": "OPTIM:\n  LRR: 1\n",
        "da/dael/d.yaml": "OPTIM:\n  LR: 1\n",
    }.items():
        path = tmp_path / "theirs" / "configs" / "trainers" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert public_configs.BENCH.main([str(tmp_path / "theirs")]) == 1
    printed = capsys.readouterr().out
    for what in ("refused otherwise", "read", "refused for another method"):
        assert re.search(rf"^{what} +1 files", printed, re.MULTILINE)
    assert "at most 0 files: MISSED" in printed
    assert [line.split()[-1] for line in printed.splitlines() if "KgCoOp/a" in line] == ["read"]
