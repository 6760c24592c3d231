import pytest
from dassl.config import clean_cfg, get_cfg_default, merge_file, merge_options
from dassl.config.defaults import KEYS

import caspl.datasets
import caspl.trainers
from caspl.ground.errors import InputError
from caspl.ground.keys import problems as problems_of
from caspl.ground.keys import value_of

EVERY_KEY = [*KEYS, *caspl.trainers.KEYS, *caspl.datasets.KEYS]


@pytest.fixture
def cfg():
    return get_cfg_default()


@pytest.fixture
def full(cfg):
    """With the keys of the trainers and datasets."""
    caspl.trainers.extend_cfg(cfg)
    caspl.datasets.extend_cfg(cfg)
    return cfg


def write(tmp_path, text, name="a.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_defaults_are_upstreams(cfg):
    assert (cfg.OUTPUT_DIR, cfg.SEED, cfg.INPUT.SIZE, cfg.TRAIN.PRINT_FREQ) == ("./output", -1, (224, 224), 10)
    assert (cfg.INPUT.INTERPOLATION, cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.TEST.BATCH_SIZE) == ("bilinear", 4, 32)
    assert (cfg.OPTIM.NAME, cfg.OPTIM.LR, cfg.OPTIM.WEIGHT_DECAY, cfg.OPTIM.MAX_EPOCH) == ("adam", 0.0003, 5e-4, 10)
    assert (cfg.OPTIM.WARMUP_EPOCH, cfg.OPTIM.WARMUP_RECOUNT, cfg.OPTIM.STEPSIZE) == (-1, True, (-1,))
    assert (cfg.TEST.FINAL_MODEL, cfg.TEST.SPLIT, cfg.TRAIN.RESUME_FREQ) == ("last_step", "test", 1)


def test_default_is_a_copy(cfg):
    cfg.OPTIM.LR = 1.0
    assert get_cfg_default().OPTIM.LR == 0.0003


def test_clean_cfg_keeps_one_trainer(cfg):
    cfg.TRAINER.COOP = type(cfg)()
    cfg.TRAINER.COCOOP = type(cfg)()
    clean_cfg(cfg, "CoOp")
    assert set(cfg.TRAINER) == {"NAME", "COOP"}


def test_merge_file(cfg, tmp_path):
    path = write(
        tmp_path,
        "DATALOADER:\n  TRAIN_X:\n    BATCH_SIZE: 8\nINPUT:\n  SIZE: [32, 32]\n  INTERPOLATION: bicubic\n"
        "OPTIM:\n  LR: 1\n  WEIGHT_DECAY: 1e-3\nTEST:\n",
    )
    merge_file(cfg, path)
    assert cfg.DATALOADER.TRAIN_X.BATCH_SIZE == 8 and cfg.INPUT.SIZE == (32, 32)
    assert cfg.OPTIM.LR == 1.0 and isinstance(cfg.OPTIM.LR, float) and cfg.OPTIM.WEIGHT_DECAY == 1e-3
    merge_file(cfg, write(tmp_path, "", "empty.yml"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("OPTIM:\n  LRR: 1.0\n", r"a\.yaml: unknown key OPTIM\.LRR \(do you mean OPTIM\.LR\?\)"),
        ("OPTIM:\n  LR: fast\n", r"OPTIM\.LR must be a number, but 'fast' \(a text\) was found; write .* 0\.0003"),
        ("OPTIM:\n  MAX_EPOCH: 5.0\n", r"OPTIM\.MAX_EPOCH must be a whole number, .*; write 5"),
        ("USE_CUDA: 1\n", r"USE_CUDA must be True or False"),
        ("OPTIM: 3\n", r"OPTIM is a section, but a value was found: 3"),
        ("OPTIM:\n  LR: [1\n", r"a\.yaml, line \d+, column \d+ is not valid YAML"),
        ("- 1\n", r"must hold keys and values, but holds a list"),
        ("A: 1\nOPTIM:\n  LR: x\n", r"unknown key A .*; OPTIM\.LR must be"),
    ],
)
def test_merge_file_mistakes(cfg, tmp_path, text, message):
    before = cfg.dump()
    with pytest.raises(InputError, match=message) as caught:
        merge_file(cfg, write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert cfg.dump() == before


def test_merge_file_with_bases(cfg, tmp_path):
    write(tmp_path, "OPTIM:\n  LR: 1\n  MAX_EPOCH: 5\nINPUT:\n  SIZE: (32, 32)\n", "base.yaml")
    merge_file(cfg, write(tmp_path, "_BASE_: base.yaml\nOPTIM:\n  MAX_EPOCH: 7\n"))
    assert (cfg.OPTIM.LR, cfg.OPTIM.MAX_EPOCH, cfg.INPUT.SIZE, "_BASE_" in cfg) == (1.0, 7, (32, 32), False)

    write(tmp_path, "OPTIM:\n  LRR: 1\n", "base.yaml")
    with pytest.raises(InputError, match=r"base\.yaml: unknown key OPTIM\.LRR .*; \S*a\.yaml: unknown key A "):
        merge_file(cfg, write(tmp_path, "_BASE_: base.yaml\nA: 1\nSEED: 9\n"))
    assert cfg.SEED != 9


def test_merge_file_missing(cfg, tmp_path):
    write(tmp_path, "", "vit_b16_ep50.yaml")
    with pytest.raises(InputError, match=r"ep5\.yaml does not exist; the nearest name in .* is vit_b16_ep50\.yaml"):
        merge_file(cfg, str(tmp_path / "vit_b16_ep5.yaml"))
    with pytest.raises(InputError, match="nor does the folder"):
        merge_file(cfg, str(tmp_path / "none" / "a.yaml"))


def test_merge_file_runs_no_code(cfg, tmp_path):
    path = write(tmp_path, "raise SystemExit('executed')\n", "a.py")
    with pytest.raises(InputError, match=r"must end in \.yaml or \.yml"):
        merge_file(cfg, path)


def test_merge_options(cfg):
    merge_options(cfg, ["OPTIM.LR", "1", "INPUT.SIZE", "(32, 32)", "DATASET.NAME", "Pets", "OPTIM.MAX_EPOCH", 3])
    assert (cfg.OPTIM.LR, cfg.INPUT.SIZE, cfg.DATASET.NAME, cfg.OPTIM.MAX_EPOCH) == (1.0, (32, 32), "Pets", 3)
    merge_options(cfg, [])


@pytest.mark.parametrize(
    "opts, message",
    [
        (
            ["OPTIM.LR"],
            r"Options: they must come in pairs KEY VALUE, but 1 words were given and the last, 'OPTIM\.LR', is left",
        ),
        (["OPTIM.LRR", "1"], r"unknown key OPTIM\.LRR \(do you mean OPTIM\.LR\?\)"),
        (["OPTIM.LR.X", "1"], r"unknown key OPTIM\.LR\.X"),
        (["OPTIM", "1"], r"OPTIM is a section; give one of its keys, such as OPTIM\.NAME"),
        (["VERBOSE", "maybe"], r"VERBOSE must be True or False, but 'maybe' \(a text\) was found"),
        (["DATASET.NAME", 7], r"DATASET\.NAME must be a text, but 7 \(a whole number\) was found; write \"7\""),
        (["INPUT.SIZE", "32"], r"INPUT\.SIZE must be a list, .*; write for example \"\(224, 224\)\""),
        (
            ["INPUT.TRANSFORMS", "normalize,random_flip"],
            r"must be a list, .*; write \"\['normalize', 'random_flip'\]\"",
        ),
        (["OPTIM.STEPSIZE", "32"], r"OPTIM\.STEPSIZE must be a list, .*; write \"\[32\]\""),
    ],
)
def test_merge_options_mistakes(cfg, opts, message):
    before = cfg.dump()
    with pytest.raises(InputError, match=message):
        merge_options(cfg, opts)
    assert cfg.dump() == before


def test_mistakes_can_be_collected(cfg, tmp_path):
    problems = []
    merge_file(cfg, write(tmp_path, "OPTIM:\n  LR: fast\n  LRR: 1\n  MAX_EPOCH: 7\nMODEL: 3\n"), problems=problems)
    merge_file(cfg, str(tmp_path / "none.yaml"), problems=problems)
    merge_options(cfg, ["OPTIM.NAME", "sgd", "USE_CUDA", "perhaps", "SEED"], problems)
    assert (cfg.OPTIM.LR, cfg.OPTIM.MAX_EPOCH, cfg.OPTIM.NAME) == (0.0003, 7, "sgd")  # what is right is merged
    words = ("OPTIM.LR must be", "unknown key OPTIM.LRR", "MODEL is a section")
    assert all(part in problems[0] for part in words) and "none.yaml" in problems[1]
    assert all(part in problems[2] for part in ("USE_CUDA must be", "'SEED', is left over")) and len(problems) == 3


def test_every_default_can_be(cfg):
    assert problems_of(cfg, KEYS) == []
    names = [key.name for key in KEYS]
    assert len(names) == len(set(names)) and not [key.name for key in KEYS if key.about.endswith(".")]


@pytest.mark.parametrize(
    "options, words",
    [
        (["OPTIM.LR", "-1"], "OPTIM.LR is -1.0, expected above 0"),
        (["OPTIM.MOMENTUM", "1"], "OPTIM.MOMENTUM is 1.0, expected 0 or more and below 1"),
        (["OPTIM.NAME", "sdg"], 'OPTIM.NAME is "sdg", expected one of adam, amsgrad, sgd, rmsprop, radam, adamw'),
        (
            ["OPTIM.STEPSIZE", "()"],
            "OPTIM.STEPSIZE is (), expected a list of whole numbers, -1 to 1000000, one or more",
        ),
        (["INPUT.PIXEL_STD", "[0.2,0.2,0]"], "expected a list of 3 numbers, 0.001 to 10"),
        (["INPUT.RRCROP_SCALE", "(0.9,0.5)"], "expected a list of 2 numbers above 0 and 1 or less, the smaller first"),
        (["INPUT.TRANSFORMS", "('random_flop',)"], "expected a list of words out of random_flip,"),
        (["INPUT.GB_K", "4"], "INPUT.GB_K is 4, expected a whole number, 1 to 1023, odd"),
        (["DATALOADER.NUM_WORKERS", "-1"], "DATALOADER.NUM_WORKERS is -1, expected 0 to 256"),
        (["TEST.FINAL_MODEL", "best"], "expected one of last_step, best_val"),
    ],
)
def test_values_that_cannot_be(cfg, options, words):
    merge_options(cfg, options)
    (problem,) = problems_of(cfg, KEYS)
    assert words in problem


# Of each key with a bound or a choice: values on the wrong side of it
ABSURD = {
    int: [-(2**31), 2**40, 10**400, 1.5, True, "many", None, [3]],
    float: [-1e300, 1e300, 10**400, float("nan"), float("inf"), "fast", None, False],
    str: [3, ["a"], "a\x1b[2Jb", "\udcff", "x" * 5000],
    bool: [1, "yes", None, 0.0],
    list: ["a", 3, None, [[1]], {"a": 1}, [None]],
}


@pytest.mark.parametrize("key", EVERY_KEY, ids=lambda key: key.name)
def test_every_key_has_bounds(key):
    """What is absurd is refused in one line that a terminal can show, and the whole range of a number is said."""
    for value in ABSURD[key.kind]:
        problem = key.problem(value)
        assert problem.startswith(f"{key.name} is ") and problem.isprintable() and len(problem) < 700, value
    if key.kind in (int, float) and not key.choices and not key.unread:
        assert (key.least, key.above) != (None, None) and (key.most, key.below) != (None, None)


@pytest.mark.parametrize("key", EVERY_KEY, ids=lambda key: key.name)
def test_nothing_is_no_value_but_an_empty_text(key, full, tmp_path):
    problems = []
    merge_options(full, [key.name, "None"], problems, keys=EVERY_KEY)
    *sections, name = key.name.split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    text = "\n".join([*lines, f"{'  ' * len(sections)}{name}: null", ""])
    merge_file(full, write(tmp_path, text), problems=problems, keys=EVERY_KEY)
    if key.kind is str and not key.problem(""):
        assert not problems and value_of(full, key.name) == ""
        return
    assert len(problems) == 2
    assert all(f"{key.name} must be " in said and "(nothing) was found; leave the key out" in said for said in problems)


@pytest.mark.parametrize(
    "value",
    ["(" * 5000, "-" * 100_000 + "1", "[" * 150 + "]" * 150, "9" * 5000, "0x" + "f" * 5000, "{1:2}", "\x1b[2J"],
)
@pytest.mark.parametrize("name", ["OPTIM.LR", "OPTIM.MAX_EPOCH", "INPUT.SIZE", "USE_CUDA", "DATASET.NAME"])
def test_values_beyond_python_are_one_sentence(name, value, cfg):
    problems = []
    merge_options(cfg, [name, value], problems)
    (problem,) = problems or problems_of(cfg, KEYS)
    assert name in problem and len(problem) < 500 and problem.isprintable()


def test_a_text_that_looks_like_a_number_stays_a_text(cfg, tmp_path):
    merge_options(cfg, ["DATASET.NAME", "'7'"])
    assert cfg.DATASET.NAME == "7"
    merge_file(cfg, write(tmp_path, "MODEL:\n  BACKBONE:\n    NAME: \"'8'\"\n"))
    assert cfg.MODEL.BACKBONE.NAME == "8"


def test_the_last_of_two_values_holds(cfg):
    merge_options(cfg, ["OPTIM.LR", "1", "OPTIM.LR", "0.5"])
    assert cfg.OPTIM.LR == 0.5
    with pytest.raises(InputError, match=r"OPTIM\.LR must be a number"):
        merge_options(cfg, ["OPTIM.LR", "fast", "OPTIM.LR", "0.5"])


def test_keys_of_other_code_are_answered(cfg, tmp_path):
    foreign = {"KD.T": "theirs; here it is OPTIM.GAMMA"}.get
    with pytest.raises(InputError, match=r"^Options: KD\.T is theirs; here it is OPTIM\.GAMMA\.$"):
        merge_options(cfg, ["KD.T", "1"], foreign=foreign)
    with pytest.raises(InputError, match=r"a\.yaml: KD\.T is theirs; here it is OPTIM\.GAMMA\.$"):
        merge_file(cfg, write(tmp_path, "KD:\n  T: 1\n"), foreign=foreign)


@pytest.mark.parametrize(
    "name, given, taken",
    [
        ("OPTIM.NAME", "AdamW", "adamw"),
        ("OPTIM.NAME", "SGD", "sgd"),
        ("OPTIM.LR_SCHEDULER", "Cosine", "cosine"),
        ("INPUT.INTERPOLATION", "BICUBIC", "bicubic"),
        ("INPUT.TRANSFORMS", "['Random_Flip', 'normalize']", ("random_flip", "normalize")),
        ("DATALOADER.TRAIN_X.SAMPLER", "randomclasssampler", "RandomClassSampler"),
        ("TRAINER.COOP.PREC", "FP32", "fp32"),
        ("TRAINER.COOP.CTX_INIT", "True", "template"),
        ("TRAINER.COOP.CTX_INIT", "'True'", "True"),  # the word
        ("TRAINER.COOP.CTX_INIT", "'none'", "none"),
        ("TRAINER.COOP.CTX_INIT", "false", ""),
        ("TRAINER.COCOOP.CTX_INIT", "NULL", ""),
        ("MODEL.INIT_WEIGHTS", "None", ""),
        ("OUTPUT_DIR", "none", "none"),  # it cannot be empty
        ("OUTPUT_DIR", "2024", "2024"),
        ("OUTPUT_DIR", "1e5", "1e5"),
        ("USE_CUDA", "false", False),
        ("USE_CUDA", "'False'", False),
        ("USE_CUDA", "\"'off'\"", False),
        ("TEST.NO_TEST", "yes", True),
        ("SEED", "'16'", 16),
        ("OPTIM.LR", "'1e-3'", 1e-3),
        ("OPTIM.LR", "1", 1.0),
        ("INPUT.SIZE", "[32, 32]", (32, 32)),
    ],
)
def test_what_can_only_mean_one_value_is_that_value(name, given, taken, full, tmp_path):
    *sections, last = name.split(".")
    lines = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    quoted = given.replace('"', '\\"')
    text = "\n".join([*lines, f'{"  " * len(sections)}{last}: "{quoted}"', ""])
    other = full.clone()
    merge_options(full, [name, given], keys=EVERY_KEY)
    merge_file(other, write(tmp_path, text), keys=EVERY_KEY)
    for cfg in (full, other):
        assert value_of(cfg, name) == taken and type(value_of(cfg, name)) is type(taken)


@pytest.mark.parametrize("word", ["-5", "-seed"])
def test_what_is_no_key_is_told(word, cfg):
    with pytest.raises(InputError, match=f'"{word}" stands where a key is expected, in pairs KEY VALUE'):
        merge_options(cfg, ["OPTIM.LR", "1", word, "1"])


@pytest.mark.parametrize(
    "given, close",
    [("optim.lr", "OPTIM.LR"), ("LR", "OPTIM.LR"), ("OPTIM.LRR", "OPTIM.LR"), ("NUM_SHOTS", "DATASET.NUM_SHOTS")],
)
def test_a_key_that_is_almost_one_is_named(given, close, cfg):
    with pytest.raises(InputError, match=rf"unknown key {given} \(do you mean {close}\?\)"):
        merge_options(cfg, [given, "1"])
    with pytest.raises(InputError, match=r"unknown key QQQ \(python -m caspl\.configs keys lists all\)"):
        merge_options(cfg, ["QQQ", "1"])
