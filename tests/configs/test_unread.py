"""Keys that are set and not read, flags that mean nothing: what train.py says before anything is loaded."""

import re

import pytest

import train
from caspl.ground.errors import InputError

DIGITS = ["--dataset-config-file", "configs/datasets/digits.yaml"]
PHASE_1 = """
TRAINER:
  IVLP:
    N_CTX_VISION: 4
    N_CTX_TEXT: 2
    CTX_INIT: "a photo of a"
    PREC: "fp16"
    PROMPT_DEPTH_VISION: 12
    PROMPT_DEPTH_TEXT: 3
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """`said("CoOp", "OPTIM.LR", "1", file="TRAINER: ...")` -> what train.py has against it; "" for nothing."""

    def call(trainer, *words, file="", to_run=False):
        (tmp_path / "own.yaml").write_text(file)
        given = ["--trainer", trainer, *DIGITS, "--config-file", str(tmp_path / "own.yaml"), *words]
        try:
            train.setup_cfg(train.parse_args(given), to_run=to_run)
        except InputError as error:
            assert "\n" not in str(error)
            return str(error)
        return ""

    return call


def test_the_published_phase_1_is_not_taken_for_ours(said):
    """Also what stands in the file and is the default of the other method: 2 tokens are not the 8 that would be trained."""
    told = said("CasPLBoost", file=PHASE_1)
    for theirs, ours in (
        (r"TRAINER.IVLP.N_CTX_VISION is 4 \(\S*own.yaml\)", "TRAINER.CASPL.N_CTX_VISION"),
        ("TRAINER.IVLP.N_CTX_TEXT is 2 .*", "TRAINER.CASPL.N_CTX_TEXT"),
        ('TRAINER.IVLP.CTX_INIT is "a photo of a" .*', "TRAINER.CASPL.CTX_INIT"),
        ("TRAINER.IVLP.PROMPT_DEPTH_TEXT is 3 .*", "TRAINER.CASPL.DEPTH_TEXT"),
    ):
        assert re.search(f"{theirs}, but CasPLBoost does not read it; it reads {ours}", told)
    assert "PROMPT_DEPTH_VISION" not in told and "IVLP.PREC" not in told  # the same as ours
    assert told.endswith("caspl convert config FILE turns a file or a command of the published code into ours")
    assert said("IVLP", file=PHASE_1) == ""


def test_a_published_command_is_answered(said):
    pairs = ["KD.FIRST_TRAIN", "True", "KD.USE_DATASET_LIST", "0", "KD.RESULT_PATH", "x", "KD.N_CTX_TEXT", "4"]
    told = said("CasPL", *pairs, file=PHASE_1)
    for part in (
        'trainer "CasPL" is phase 1 of the published code; here it is CasPLBoost',
        "KD.FIRST_TRAIN is a key of the published code; here --trainer CasPLBoost",
        "KD.USE_DATASET_LIST is a key of the published code; here nobody trains on the test images",
        "KD.RESULT_PATH is a key of the published code; here results go to --output-dir",
        "KD.N_CTX_TEXT is a key of the published code; here phase 1 has TRAINER.CASPL.N_CTX_TEXT",
        "TRAINER.IVLP.N_CTX_VISION is 4",
    ):
        assert part in told
    assert "KD.TEMPERATURE is a key of the published code; here it is TRAINER.CASPL.TEMPERATURE" in said(
        "CasPLBoost", file="KD:\n  TEMPERATURE: 2\n  IS_TEST: True\n"
    )


NOT_READ = [
    ("CoOp", ("DATASET.MEMBERS", "('Digits',)"), "but it is read only with DATASET.NAME Union"),
    (
        "CoOp",
        ("TRAINER.COCOOP.N_CTX", "4"),
        "TRAINER.COCOOP.N_CTX is 4 (command line), but CoOp does not read it; it reads ",
    ),
    ("KgCoOp", ("TRAINER.MAPLE.PREC", "fp32"), "it reads TRAINER.COOP.PREC"),
    ("LinearProbe", ("DATALOADER.CACHE", "2"), "but LinearProbe does not read it; leave it out"),
    ("MaPLe", ("TRAINER.IVLP.PROMPT_DEPTH_TEXT", "3"), "it reads TRAINER.MAPLE.PROMPT_DEPTH"),
    (
        "CoOp",
        ("TRAINER.CASPL.BOOSTING", "here"),
        "of the published code (phase 2)); take --trainer CasPL_CoOp, or leave it out",
    ),
    ("CasPLBoost", ("TRAINER.CASPL.BOOSTING", "here"), "of the published code (phase 2)); leave it out"),
    ("LinearProbe", ("TRAINER.CASPL.BOOSTING", "here"), "of the published code (phase 2)); leave it out"),
    ("CoOp", ("TRAINER.COOP.W", "2.0"), "CoOp does not read it (KgCoOp: weight of the distance"),
    ("CoOp", ("LOSS.T", "2.0"), "CoOp does not read it (ProGrad: temperature"),
    (
        "CasPL_CoOp",
        ("TRAINER.CASPL.TEMPERATURE", "2.0"),
        "CasPL_CoOp does not read it (Temperature of the distillation loss",
    ),
    ("CasPL_IVLP", ("TRAINER.CASPL.N_CTX_TEXT", "4"), "CasPL_IVLP does not read it (Boosting tokens in the text tower"),
    ("CasPLBoost", ("TRAINER.CASPL.FREEZE", "False"), "CasPLBoost does not read it (False: train the boosting prompts"),
    ("ZeroshotCLIP", ("TEST.FEATURE_STORE", "here"), "ZeroshotCLIP does not read it (Folder where image features"),
    ("ZeroshotCLIP", ("MODEL.INIT_WEIGHTS", "here"), "ZeroshotCLIP does not read it; leave it out"),
    ("ZeroshotCLIP", ("TRAINER.COOP.CSC", "True"), "ZeroshotCLIP does not read it (True: "),
    ("CoOp", ("INPUT.RANDAUGMENT_N", "3"), "nothing here reads it; leave it out"),
    ("CoOp", ("DATALOADER.TRAIN_U.BATCH_SIZE", "3"), "nothing here reads it"),
    ("CoOp", ("--head", "mlp"), 'MODEL.HEAD.NAME is "mlp" (--head), but nothing here reads it'),
    (
        "CoOp",
        ("--source-domains", "a"),
        "DATASET.SOURCE_DOMAINS is ['a'] (--source-domains), but nothing here reads it",
    ),
    (
        "CoOp",
        ("OPTIM.MOMENTUM", "0.5"),
        "it is read only with OPTIM.NAME sgd or rmsprop; set that, too, or leave it out",
    ),
    ("CoOp", ("INPUT.CUTOUT_N", "2"), "it is read only with INPUT.TRANSFORMS cutout"),
    (
        "CoOp",
        ("OPTIM.GAMMA", "0.5", "OPTIM.LR_SCHEDULER", "cosine"),
        "read only with OPTIM.LR_SCHEDULER single_step or multi",
    ),
]


def test_keys_of_another_dataset_are_a_mistake_in_files_too(said):
    told = said("CoOp", file="DATASET:\n  PATHS: [photos]\n  CLASSNAMES: names.txt\n  MEMBERS: [Digits]\n")
    assert told.count("read only with DATASET.NAME") == 3 and "own.yaml" in told


def test_boosting_for_a_plain_trainer_is_no_sign_of_the_published_code(said):
    assert "caspl convert" not in said("CoOp", "TRAINER.CASPL.BOOSTING", "here")


@pytest.mark.parametrize("trainer, words, expected", NOT_READ)
def test_what_is_not_read_is_a_mistake(trainer, words, expected, said):
    told = said(trainer, *words)
    assert expected in told and words[1] in told and told.count(" but ") == 1


@pytest.mark.parametrize(
    "trainer, words, file",
    [
        ("CoOp", (), "TRAINER:\n  COCOOP:\n    N_CTX: 16\n    PREC: fp16\n"),  # their defaults, and what CoOp does
        (
            "ZeroshotCLIP",
            (),
            "OPTIM:\n  NAME: sgd\n  LR: 0.1\nTRAINER:\n  COOP:\n    PREC: fp16\n",
        ),  # CoOp's file
        (
            "ZeroshotCLIP2",
            (),
            "TRAINER:\n  COOP:\n    CTX_INIT: a photo of a\n    CSC: True\n",
        ),  # one of them with words
        (
            "CoOp",
            ("OPTIM.NAME", "adam"),
            "OPTIM:\n  NAME: sgd\n  MOMENTUM: 0.8\n",
        ),
        ("CoOp", ("OPTIM.WARMUP_EPOCH", "0"), "OPTIM:\n  WARMUP_TYPE: constant\n"),
        ("CasPL_CoOp", ("TRAINER.CASPL.ONE_PHASE", "True", "TRAINER.CASPL.N_CTX_TEXT", "4"), ""),
        ("CoOp", ("OPTIM.NAME", "sgd", "OPTIM.MOMENTUM", "0.5", "OPTIM.MOMENTUM", "0.8"), ""),  # the last value holds
        ("CoOp", ("INPUT.RANDAUGMENT_N", "2"), "INPUT:\n  RANDAUGMENT_N: 3\n"),  # put back
    ],
)
def test_what_changes_nothing_passes(trainer, words, file, said):
    assert said(trainer, *words, file=file) == ""


FLAGS = [
    (("--eval-only",), "--eval-only needs --model-dir, the output folder of a run of CoOp"),
    (
        ("--eval-only", "--model-dir", "{}/none"),
        "--model-dir {}/none is not there; expected the output folder of a run",
    ),
    (("--eval-only", "--model-dir", "{}/own.yaml"), "own.yaml is no folder"),
    (("--eval-only", "--model-dir", "{}", "--load-epoch", "3"), "there is no file {}/prompt_learner/model.pth.tar-3"),
    (("--eval-only", "--model-dir", "{}", "--load-epoch", "-3"), "--load-epoch is -3, expected the number of an epoch"),
    (("--eval-only", "--load-epoch", "3"), "--load-epoch is 3, but there is no --model-dir"),
    (("--model-dir", "{}", "--load-epoch", "20"), "--model-dir and --load-epoch without --eval-only"),
    (("--eval-only", "--no-train"), "--eval-only tests and --no-train only builds"),
    (("--no-train", "--resume", "{}"), "but with --no-train nothing goes on"),
    (("--resume", "{}/none"), "RESUME (--resume) is {}/none, which is not there"),
    (("--resume", "{}"), "which holds no resume.pth.tar and no prompt_learner/ to go on from"),
    (("--root", "{}/own.yaml"), "own.yaml, which is no folder"),
    (("--trainer", ""), "--trainer is empty"),
    (("--seed", "-7"), "SEED is -7, expected -1 to 4294967295"),
    (("MODEL.INIT_WEIGHTS", "{}/none"), "MODEL.INIT_WEIGHTS is {}/none, which is no file"),
    (("OPTIM.LR", "1", "--seed", "-7"), "SEED is -7, expected -1 to 4294967295"),
    (("TEST.EVALUATOR", "Regression"), 'evaluator (TEST.EVALUATOR) "Regression"'),
]


@pytest.mark.parametrize("words, expected", FLAGS, ids=[" ".join(words) for words, _ in FLAGS])
def test_flags_that_mean_nothing(words, expected, said, tmp_path):
    told = said("CoOp", *(word.replace("{}", str(tmp_path)) for word in words), to_run=True)
    assert expected.replace("{}", str(tmp_path)) in told


def test_what_a_trainer_needs_is_asked_before_it_is_built(said, tmp_path):
    assert "ZeroshotCLIP has nothing to train; add --eval-only" in said("ZeroshotCLIP", to_run=True)
    assert said("ZeroshotCLIP", "--eval-only", to_run=True) == ""
    assert "ZeroshotCLIP learns nothing" in said(
        "ZeroshotCLIP", "--eval-only", "--model-dir", str(tmp_path), to_run=True
    )
    assert "TRAINER.CASPL.BOOSTING is empty; CasPL_CoOp needs" in said("CasPL_CoOp", to_run=True)
    assert "there is no file or folder absent" in said("CasPL_CoOp", "TRAINER.CASPL.BOOSTING", "absent", to_run=True)
    both = said("LinearProbe", "--eval-only", "OPTIM.LR", "0", "OPTIM.MAX_EPOCH", "0", to_run=True)
    assert all(part in both for part in ("OPTIM.LR is 0", "OPTIM.MAX_EPOCH is 0", "--eval-only needs --model-dir"))


RULES = [
    (
        "CoOp",
        ("INPUT.TRANSFORMS", "['gaussian_blur']", "INPUT.SIZE", "(8, 32)"),
        "expected a kernel of less than twice",
    ),
    ("CasPLBoost", ("TRAINER.CASPL.N_CTX_TEXT", "0", "TRAINER.CASPL.N_CTX_VISION", "0"), "expected tokens in one of"),
    ("IVLP", ("TRAINER.IVLP.N_CTX_TEXT", "0", "TRAINER.IVLP.N_CTX_VISION", "0"), "expected tokens in one of"),
    ("CoOp", ("OPTIM.MAX_EPOCH", "3", "OPTIM.WARMUP_EPOCH", "4"), "expected no more epochs of warm-up than epochs"),
    ("CoOp", ("OPTIM.NAME", "sgd", "OPTIM.SGD_NESTEROV", "True", "OPTIM.MOMENTUM", "0"), "expected a momentum above 0"),
    ("CoOp", ("OPTIM.STAGED_LR", "True"), "expected the names of the layers"),
    ("CoOp", ("OPTIM.LR_SCHEDULER", "multi_step"), "expected rising epochs from 1"),
    (
        "CoOp",
        ("DATALOADER.TRAIN_X.SAMPLER", "RandomClassSampler", "DATALOADER.TRAIN_X.BATCH_SIZE", "8"),
        "expected batches that",
    ),
    ("CoOp", ("TRAINER.COOP.N_CTX", "8", "TRAINER.COOP.CTX_INIT", "a photo of a"), "expected as many tokens as words"),
    ("ProGrad", ("TRAINER.COOP.N_CTX", "8", "TRAINER.COOP.CTX_INIT", "template"), ""),
    (
        "CoCoOp",
        ("TRAINER.COCOOP.N_CTX", "8", "TRAINER.COCOOP.CTX_INIT", "a photo of a"),
        "expected as many tokens as words",
    ),
    ("PromptSRC", ("TRAINER.PROMPTSRC.GPA_MEAN", "500"), "expected a mean that is one of the epochs"),
    ("PromptSRC", ("TRAINER.PROMPTSRC.GPA_MEAN", "15", "OPTIM.MAX_EPOCH", "5"), ""),
]


@pytest.mark.parametrize("trainer, words, expected", RULES)
def test_what_several_keys_have_to_be_together(trainer, words, expected, said):
    told = said(trainer, *words)
    assert expected in told and bool(told) == bool(expected)
