"""caspl convert config: files and commands in the layout of the published code, and the same settings under our keys."""

import pytest
import yaml

import train
from caspl.__main__ import main
from caspl.configs import convert, flags, published
from caspl.ground import door
from caspl.ground.errors import InputError
from caspl.ground.keys import value_of

SHARED = """
DATALOADER:
  TRAIN_X:
    BATCH_SIZE: 4
INPUT:
  SIZE: (224, 224)
  TRANSFORMS: ["random_resized_crop", "random_flip", "normalize"]
OPTIM:
  NAME: "sgd"
  LR: 0.0025
  MAX_EPOCH: 7
  WARMUP_EPOCH: 1
  WARMUP_TYPE: "constant"
  WARMUP_CONS_LR: 1e-5
MODEL:
  BACKBONE:
    NAME: "ViT-B/16"
"""
PHASE_1 = """
TRAINER:
  IVLP:
    N_CTX_VISION: 4
    N_CTX_TEXT: 5
    PROMPT_DEPTH_VISION: 3
    PROMPT_DEPTH_TEXT: 12
"""
COOP = "TRAINER:\n  COOP:\n    N_CTX: 8\n    CTX_INIT: ''\n    PREC: fp32\n"
SWITCHES = "KD.IS_TEST True KD.FIRST_TRAIN False KD.SECOND_TRAIN True KD.DIR_NAME a&1 KD.RESULT_PATH r KD.N_CTX_TEXT 8"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder in the layout of the published code; `there("CasPL", text)` writes a configuration and gives its path."""
    monkeypatch.chdir(tmp_path)

    def write(trainer, text, name="theirs.yaml"):
        path = tmp_path / "configs" / "trainers" / trainer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SHARED + text)
        return f"configs/trainers/{trainer}/{name}"

    return write


def settings_of(*words):
    """The configuration that train.py makes of a command."""
    return train.setup_cfg(train.parse_args(["--dataset-config-file", "configs/datasets/dtd.yaml", *words]))


@pytest.fixture(autouse=True)
def datasets(tmp_path):
    (tmp_path / "configs" / "datasets").mkdir(parents=True)
    (tmp_path / "configs" / "datasets" / "dtd.yaml").write_text("DATASET:\n  NAME: DescribableTextures\n")


def test_phase_1_has_the_same_settings_under_our_keys(there, tmp_path, capsys):
    assert main(["convert", "config", there("CasPL", PHASE_1), "--output", "mine.yaml"]) == 0
    assert (
        capsys.readouterr().out == "written: mine.yaml\npython train.py --config-file mine.yaml --trainer CasPLBoost\n"
    )
    cfg = settings_of("--trainer", "CasPLBoost", "--config-file", "mine.yaml")
    keys = cfg.TRAINER.CASPL
    assert (keys.N_CTX_VISION, keys.N_CTX_TEXT, keys.DEPTH_VISION, keys.DEPTH_TEXT) == (4, 5, 3, 12)
    assert (keys.CTX_INIT, keys.PREC, keys.TEACHER, keys.TEMPERATURE) == ("a photo of a", "fp16", "ViT-L/14", 1.0)
    theirs = convert.flat(yaml.safe_load((tmp_path / "configs/trainers/CasPL/theirs.yaml").read_text()))
    ours = convert.flat(yaml.safe_load((tmp_path / "mine.yaml").read_text()))
    shared = {name: value for name, value in theirs.items() if not name.startswith("TRAINER.")}
    assert {name: value for name, value in ours.items() if not name.startswith("TRAINER.")} == shared
    assert len(ours) == len(shared) + 8


def test_defaults_of_the_published_code_are_written_down(there, capsys):
    assert main(["convert", "config", there("CasPL", "")]) == 0
    ours = convert.flat(yaml.safe_load(capsys.readouterr().out))
    assert {name: ours[name] for name in ours if name.startswith("TRAINER.")} == {
        key.phase_1: key.default for key in published.KEYS.values() if key.phase_1 and not key.negated
    }


COMMAND = (
    "python train.py --root DATA --seed 2 --trainer {trainer} --dataset-config-file configs/datasets/dtd.yaml "
    "--config-file configs/trainers/{trainer}/theirs.yaml --output-dir OUT {more} {switches}"
)
PHASE_2 = [
    ("CasPL_CoOp", COOP, {"TRAINER.COOP.N_CTX": 8, "TRAINER.COOP.PREC": "fp32"}),
    ("CasPL_MaPLe", "TRAINER:\n  MAPLE:\n    N_CTX: 8\n    PROMPT_DEPTH: 12\n", {"TRAINER.MAPLE.PROMPT_DEPTH": 12}),
    (
        "CasPL_PromptSRC",
        "TRAINER:\n  PROMPTSRC:\n    N_CTX_TEXT: 8\n    GPA_MEAN: 3\n",
        {"TRAINER.PROMPTSRC.N_CTX_TEXT": 8, "TRAINER.CASPL.DEPTH_OF_ADAPTING": True},
    ),
]


@pytest.mark.parametrize("trainer, text, expected", PHASE_2, ids=[trainer for trainer, *_ in PHASE_2])
def test_a_command_of_phase_2(trainer, text, expected, there, capsys):
    there(trainer, text)
    command = COMMAND.format(trainer=trainer, more="--model-dir P/seed1 --load-epoch 20", switches=SWITCHES)
    assert main(["convert", "config", "--output", "mine.yaml", command]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("python train.py "))
    words = line.split()[2:]
    assert "--model-dir" not in words and "KD" not in line and words[words.index("--config-file") + 1] == "mine.yaml"
    cfg = settings_of(*words)
    assert cfg.TRAINER.CASPL.BOOSTING == "P/seed1/CasPL/model.pth.tar-20"
    assert (cfg.TEST.NO_TEST, cfg.SEED, cfg.OPTIM.MAX_EPOCH, cfg.OPTIM.LR) == (False, 2, 7, 0.0025)
    assert {name: value_of(cfg, name) for name in expected} == expected


def test_a_test_of_phase_2_keeps_its_model(there, capsys):
    there("CasPL_CoOp", COOP)
    more = "--model-dir RUN --load-epoch 50 --eval-only"
    assert main(["convert", "config", COMMAND.format(trainer="CasPL_CoOp", more=more, switches=SWITCHES)]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert "--eval-only --model-dir RUN --load-epoch 50" in line and "BOOSTING" not in line


def test_what_is_not_carried_over_is_said(there, capsys):
    path = there("CasPL_CoOp", COOP.replace("''", "a photo of a") + "KD:\n  USE_DATASET_LIST: 1\n")
    assert (
        main(
            [
                "convert",
                "config",
                path,
                "--",
                "KD.SECOND_PARAMETER_USE",
                "True",
                "KD.ODD",
                "1\n2",
                "KD.TEMPERATURE",
                "2",
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    head = [line for line in printed.splitlines() if line.startswith("#")]
    for said in (
        "KD.USE_DATASET_LIST 1: nobody trains on the test images",
        r"KD.ODD 1\n2: neither the published code nor this program has such a key",
        "KD.TEMPERATURE 2: phase 1 reads it, and this is phase 2",
        "TRAINER.COOP.N_CTX 8: there are as many tokens as CTX_INIT has words, 4",
        "TRAINER.CASPL.BOOSTING is to be set",
    ):
        assert any(said in line for line in head), said
    assert head[1].endswith("TRAINER.CASPL.FREEZE False")
    assert "N_CTX" not in convert.flat(yaml.safe_load(printed))
    few = there("CasPL", PHASE_1.replace("N_CTX_TEXT: 5", "N_CTX_TEXT: 2"))
    assert main(["convert", "config", few]) == 0
    assert '#   the words "of a", which the published code keeps behind the tokens' in capsys.readouterr().out


def test_a_script_gives_its_command(there, tmp_path, capsys):
    there("CasPL", PHASE_1)
    (tmp_path / "phase1.sh").write_text(
        "TRAINER=CasPL\nDATA=$1\nCFG=theirs\n"
        'if [ -d "$DIR" ]; then\n' + 2 * "    python train.py \\\n    --root ${DATA} --seed 1 --trainer ${TRAINER} \\\n"
        "    --config-file configs/trainers/${TRAINER}/${CFG}.yaml \\\n    KD.FIRST_TRAIN True\nelse\n"
    )
    assert main(["convert", "config", "phase1.sh"]) == 0
    printed = capsys.readouterr().out
    assert '# python train.py --root "${DATA}" --seed 1 --config-file FILE --trainer CasPLBoost\n' in printed
    assert yaml.safe_load(printed)["TRAINER"]["CASPL"]["N_CTX_TEXT"] == 5


FLAGS = "--trainer CasPL --seed 1"
SHELL = {  # a script, the words behind the trainer in our command
    "redirected": ("python -u train.py {flags} OPTIM.LR 1 > log.txt 2>&1 &", "OPTIM.LR 1"),
    "others around": ("cd x && python train.py {flags} OPTIM.LR 1; echo done | tee log", "OPTIM.LR 1"),
    "quotes": ('export A="OPTIM.LR 1"; B=\'x y\'\npython train.py {flags} --root "$B" $A', "OPTIM.LR 1"),
    "spelled in two ways": ("S=$1\npython train.py {flags} --root ${S}\nA=1 python3 train.py {flags} --root $S", ""),
    "in a remark": ("# don't: python train.py --trainer CoOp\n  python train.py {flags} OPTIM.LR 1", "OPTIM.LR 1"),
    "of two values": ("A=1\nA=2\npython train.py {flags} OPTIM.LR ${A}", 'OPTIM.LR "${A}"'),
}


@pytest.mark.parametrize("case", SHELL)
def test_words_of_a_shell(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, pairs = SHELL[case]
    (tmp_path / "case.sh").write_text(text.replace("{flags}", FLAGS))
    assert main(["convert", "config", "case.sh"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].rpartition("--trainer CasPLBoost")[2].strip() == pairs
    assert "has such a key" not in printed


def test_a_plain_trainer_needs_no_phase_1(capsys):
    assert main(["convert", "config", "python train.py --trainer CoOp OPTIM.LR 1"]) == 0
    assert "BOOSTING" not in capsys.readouterr().out


def test_a_file_that_is_not_here_is_named(capsys):
    command = COMMAND.format(trainer="CasPL", more="", switches="KD.TEMPERATURE 2")
    assert main(["convert", "config", command]) == 0
    printed = capsys.readouterr().out
    assert (
        "--config-file configs/trainers/CasPLBoost/theirs.yaml" in printed and "TRAINER.CASPL.TEMPERATURE 2" in printed
    )
    assert "configs/trainers/CasPL/theirs.yaml is not here, convert it by itself" in printed


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "there is nothing to convert"),
        (["nothing.yaml"], "nothing.yaml does not exist"),
        (["python train.py --frob 1"], "unrecognized arguments: --frob"),
        (["python train.py 'open"], "the command cannot be read"),
        (["python train.py --trainer CasPL KD.TEMPERATURE"], "KD.TEMPERATURE is left over"),
        (["python train.py OPTIM.LR 1"], "nothing here tells which trainer is meant"),
        (["none.sh"], "the script none.sh cannot be read"),
        (["python train.py --trainer CasPL --seed $(date +%s)"], "the command has (, what only a shell can carry out"),
        (["python train.py --trainer CasPL --seed `date`"], "the command has `date`, what only a shell can carry out"),
        (["python train.py --seed 1; python train.py --seed 2"], "the text has 2 different commands of train.py"),
    ],
)
def test_mistakes(words, said, capsys):
    assert main(["convert", "config", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and said in err


def test_every_key_of_the_table_stands_for_one_of_ours_or_says_why():
    known = {key.name for key in convert.keys.declared()}
    for name, key in published.KEYS.items():
        ours = {key.phase_1, key.phase_2} - {""}
        assert ours <= known and bool(ours) != bool(key.words), name
        assert "\n" not in key.answer and not key.answer.endswith(".")


def test_flags_say_themselves_again():
    words = [
        "--root",
        "a",
        "--seed",
        "3",
        "--transforms",
        "normalize",
        "random_flip",
        "--eval-only",
        "--model-dir",
        "m",
    ]
    words += ["OPTIM.LR", "1"]
    args = flags.add_arguments(door.Parser()).parse_args(words)
    assert flags.words_of(args) == words
    with pytest.raises(InputError, match="invalid int value: 'x'"):
        flags.add_arguments(door.Parser()).parse_args(["--seed", "x"])
