"""Which runs the sweeps plan: folders, configurations, epochs, keys; and what they answer to mistakes."""

import shlex
from subprocess import CompletedProcess

import pytest
from dassl.config import get_cfg_default
from dassl.engine import TRAINER_REGISTRY

import caspl.trainers
import train
from caspl.sweeps import __main__ as door
from caspl.sweeps import place
from caspl.sweeps.command.options import options_of
from caspl.sweeps.protocols.reading import reads
from caspl.sweeps.protocols.table import BENCHMARK, IMAGENET_VARIANTS

from .conftest import ROOT, Run

ALL_TRAINERS = sorted(path.name for path in (ROOT / "configs" / "trainers").iterdir() if path.is_dir())
CLASSES = "DATASET.SUBSAMPLE_CLASSES"
BOOSTING = "TRAINER.CASPL.BOOSTING"
PHASE1 = "vit_b16_c2_ep20_batch4_8+8ctx_l12"


# ------------------------------------------------------------ folders
def test_base_to_new(sweeps):
    plan = sweeps.plan("base2new", "--datasets", "digits", "--seeds", "1,2")
    caspl, coop = "digits/shots_16/CasPL_CoOp/digits", "digits/shots_16/CoOp/digits"
    assert list(plan) == [
        *(f"base2new/{part}/{coop}/seed{seed}" for seed in (1, 2) for part in ("train_base", "test_new")),
        "boost/digits/digits/seed1",
        *(f"base2new/{part}/{caspl}/seed{seed}" for seed in (1, 2) for part in ("train_base", "test_new")),
    ]
    train_base, test_new = plan[f"base2new/train_base/{caspl}/seed2"], plan[f"base2new/test_new/{caspl}/seed2"]
    assert train_base["--seed"] == "2" and train_base["DATASET.NUM_SHOTS"] == "16" and train_base[CLASSES] == "base"
    assert train_base[BOOSTING] == "boost/digits/digits/seed1"  # seed 1 for all seeds, as published
    assert train_base["--dataset-config-file"] == "configs/datasets/digits.yaml"
    assert "--eval-only" in test_new and test_new[CLASSES] == "new" and BOOSTING not in test_new
    assert test_new["--model-dir"] == train_base.folder and test_new["--load-epoch"] == "50"
    phase1 = plan["boost/digits/digits/seed1"]
    assert CLASSES not in phase1 and "DATASET.NUM_SHOTS" not in phase1


def test_base_to_new_over_all_classes_and_without_labels(sweeps):
    trainers = "ZeroshotCLIP,ZeroshotCLIP2 CasPLBoost"
    plan = sweeps.plan("base2new", "--datasets", "oxford_pets", "--trainers", trainers, "--seeds", "1 3", "--all")
    place = "oxford_pets/shots_0"
    for part in ("base", "new", "all"):
        boost = plan[f"base2new/test_{part}/{place}/CasPLBoost/{PHASE1}/seed3"]
        assert boost["--model-dir"] == f"boost/oxford_pets/{PHASE1}/seed3" and boost["--load-epoch"] == "20"
        zeroshot = plan[f"base2new/test_{part}/{place}/ZeroshotCLIP/vit_b16/seed1"]
        assert "--eval-only" in zeroshot and "--model-dir" not in zeroshot and zeroshot[CLASSES] == part
    assert len(plan) == 2 + 2 * 3 + 2 * 3  # phase 1 and its tests for two seeds, zero-shot for one


def test_phase1(sweeps):
    assert list(sweeps.plan("phase1", "--datasets", "digits oxford_pets")) == [
        "boost/digits/digits/seed1",
        f"boost/oxford_pets/{PHASE1}/seed1",
    ]
    union = sweeps.plan("phase1", "--datasets", "oxford_pets+digits")[f"boost/oxford_pets+digits/{PHASE1}/seed1"]
    assert union["DATASET.MEMBERS"] == "('OxfordPets','Digits')"
    assert union["--dataset-config-file"] == "configs/datasets/union.yaml"


def test_few_shot(sweeps):
    plan = sweeps.plan("few_shot", "--datasets", "digits", "--trainers", "CasPL_CoOp,ZeroshotCLIP", "--seeds", 2)
    assert list(plan) == [
        "boost/digits/digits/seed1",
        *(f"digits/CasPL_CoOp/digits_{shots}shots/seed2" for shots in (1, 2, 4, 8, 16)),
        "digits/ZeroshotCLIP/digits_0shots/seed1",
    ]
    run = plan["digits/CasPL_CoOp/digits_4shots/seed2"]
    assert run["DATASET.NUM_SHOTS"] == "4" and CLASSES not in run and run[BOOSTING] == "boost/digits/digits/seed1"


@pytest.mark.parametrize(
    "script, targets",
    [
        ("cross_dataset", BENCHMARK[1:]),
        ("domain_generalization", IMAGENET_VARIANTS),
    ],
)
def test_models_of_imagenet_on_other_datasets(sweeps, script, targets):
    plan = sweeps.plan(script, "--trainers", "MaPLe", "--seeds", "1")
    config = "vit_b16_c2_ep5_batch4_2ctx_cross_datasets"
    model = f"imagenet/MaPLe/{config}_16shots/seed1"
    assert list(plan) == [model, *(f"evaluation/MaPLe/{config}_16shots/{name}/seed1" for name in targets)]
    for name in targets:
        test = plan[f"evaluation/MaPLe/{config}_16shots/{name}/seed1"]
        assert test["--model-dir"] == model and test["--load-epoch"] == "2" and CLASSES not in test
        assert test["--dataset-config-file"] == f"configs/datasets/{name}.yaml"


def test_another_source(sweeps):
    plan = sweeps.plan("cross_dataset", "--source", "digits", "--datasets", "oxford_pets", "--seeds", "1")
    assert list(plan) == [
        "digits/CoOp/digits_16shots/seed1",
        "boost/digits/digits/seed1",
        "digits/CasPL_CoOp/digits_16shots/seed1",
        "evaluation/CoOp/digits_16shots/oxford_pets/seed1",
        "evaluation/CasPL_CoOp/digits_16shots/oxford_pets/seed1",
    ]


def test_boosting_of_the_transfer_experiments(sweeps):
    trainers = "CasPL_CoOp CasPL_CoCoOp CasPL_MaPLe CasPL_PromptSRC CasPL_KgCoOp"
    plan = sweeps.plan("domain_generalization", "--trainers", trainers, "--seeds", "1", "--datasets", "imagenet_r")
    start = "boost/imagenet/vit_b16_c2_ep20_batch128_lr0025_4+4ctx"
    boosting = {run["--trainer"]: run[BOOSTING] for run in plan.values() if BOOSTING in run}
    assert boosting == {name: f"{start}_{'l3' if 'CoCoOp' in name else 'l1'}/seed1" for name in trainers.split()}


def test_given_boosting_needs_no_phase1(sweeps):
    file = sweeps.folder / "boosting.safetensors"
    file.touch()
    plan = sweeps.plan("base2new", "--datasets", "digits", "--seeds", "1", "--boosting", file)
    assert plan["base2new/train_base/digits/shots_16/CasPL_CoOp/digits/seed1"][BOOSTING] == str(file)
    assert not any("boost/" in folder for folder in plan)


def test_default_datasets_are_those_that_there_are(sweeps, monkeypatch):
    there = [name for name in place.datasets() if name not in ("dtd", "sun397")]
    monkeypatch.setattr(place, "datasets", lambda: there)
    done = sweeps("phase1", "--dry-run")
    assert "left out, as configs/datasets has no file for them: sun397 dtd" in done.stderr
    lines = [line for line in done.stdout.splitlines() if "train.py" in line]
    used = [Run.of_line(line)["--dataset-config-file"] for line in lines]
    assert used == [f"configs/datasets/{name}.yaml" for name in BENCHMARK if name not in ("dtd", "sun397")]


# ------------------------------------------------------------ configurations and keys
GPA_SLOW = ("TRAINER.PROMPTSRC.GPA_MEAN 45", "TRAINER.PROMPTSRC.GPA_STD 5")
GPA_WIDE = ("TRAINER.PROMPTSRC.GPA_MEAN 30", "TRAINER.PROMPTSRC.GPA_STD 30")
CASPL_FEW_SHOT = "vit_b16_c2_ep50_batch4_8+8ctx_few_shot_l12"
# script, dataset, trainer, shots -> configuration, last epoch, keys
CHOICES = {
    ("base2new", "oxford_pets", "CoOp", 16): ("vit_b16_ctxv1", 200),
    ("base2new", "imagenet", "CoOp", 16): ("vit_b16_ep50_ctxv1", 50),
    ("base2new", "digits", "PromptSRC", 16): ("digits", 20),
    ("base2new", "oxford_pets", "CoCoOp", 16): ("vit_b16_c4_ep10_batch1_ctxv1", 10),
    ("base2new", "oxford_pets", "VPT", 16): ("vit_b16_c2_ep5_batch4_4", 5),
    ("base2new", "oxford_pets", "IVLP", 16): ("vit_b16_c2_ep5_batch4_2+2ctx", 5),
    ("base2new", "oxford_pets", "MaPLe", 16): ("vit_b16_c2_ep5_batch4_2ctx", 5),
    ("base2new", "oxford_pets", "PromptSRC", 16): ("vit_b16_c2_ep20_batch4_4+4ctx", 20),
    ("base2new", "oxford_pets", "KgCoOp", 16): ("vit_b16_ep100_ctxv1", 100),
    ("base2new", "oxford_pets", "ProGrad", 16): ("vit_b16_ep100", 100),
    ("base2new", "imagenet", "ProGrad", 16): ("vit_b16_ep50", 50),
    ("base2new", "oxford_pets", "CasPL_CoOp", 16): ("vit_b16_ep50", 50),
    ("base2new", "oxford_pets", "CasPL_CoCoOp", 16): ("vit_b16_c8_ep10_batch1", 10),
    ("base2new", "oxford_pets", "CasPL_VPT", 16): ("vit_b16_c2_ep5_batch4_8_l12", 5),
    ("base2new", "oxford_pets", "CasPL_IVLP", 16): ("vit_b16_c2_ep20_batch4_8+8ctx_l12", 20),
    ("base2new", "oxford_pets", "CasPL_MaPLe", 16): ("vit_b16_c8_ep5_batch4_8ctx_l12", 5),
    ("base2new", "oxford_pets", "CasPL_PromptSRC", 16): ("vit_b16_c2_ep20_batch4_8+8ctx_l12", 20),
    ("base2new", "oxford_pets", "CasPL_ProGrad", 16): ("vit_b16_ep100", 100),
    ("few_shot", "oxford_pets", "CoOp", 1): ("vit_b16_ep50", 50),
    ("few_shot", "oxford_pets", "CoOp", 2): ("vit_b16_ep100", 100),
    ("few_shot", "oxford_pets", "CoOp", 4): ("vit_b16_ep100", 100),
    ("few_shot", "oxford_pets", "CoOp", 8): ("vit_b16", 200),
    ("few_shot", "imagenet", "CoOp", 16): ("vit_b16_ep50", 50),
    ("few_shot", "eurosat", "ProGrad", 4): ("vit_b16_ep100", 100),
    ("few_shot", "eurosat", "ProGrad", 8): ("vit_b16", 200, "LOSS.LAMBDA 0.8"),
    ("few_shot", "oxford_flowers", "CasPL_ProGrad", 16): ("vit_b16", 200, "LOSS.LAMBDA 0.8"),
    ("few_shot", "oxford_pets", "ProGrad", 16): ("vit_b16", 200),
    ("few_shot", "oxford_pets", "PromptSRC", 16): ("vit_b16_c2_ep50_batch4_4+4ctx_few_shot", 50, *GPA_WIDE),
    ("few_shot", "dtd", "PromptSRC", 1): ("vit_b16_c2_ep50_batch4_4+4ctx_few_shot", 50, *GPA_SLOW),
    ("few_shot", "imagenet", "CasPL_PromptSRC", 4): (CASPL_FEW_SHOT, 50, *GPA_WIDE),
    ("few_shot", "stanford_cars", "CasPL_PromptSRC", 4): (CASPL_FEW_SHOT, 50, *GPA_SLOW),
    ("few_shot", "digits", "CasPL_PromptSRC", 4): ("digits", 20),
    ("few_shot", "oxford_pets", "CasPL_CoOp", 8): ("vit_b16_ep50", 50),
    ("few_shot", "oxford_pets", "LinearProbe", 8): ("vit_b16", 1),
    ("cross_dataset", "dtd", "CoOp", 16): ("vit_b16_ep50_ctxv1", 50),
    ("cross_dataset", "dtd", "PromptSRC", 16): ("vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets", 20),
    ("cross_dataset", "dtd", "CasPL_CoOp", 16): ("vit_b16_ep10_ctxv1", 10),
    ("cross_dataset", "dtd", "CasPL_CoCoOp", 16): ("vit_b16_c4_ep10_batch1_ctxv1", 10),
    ("cross_dataset", "dtd", "CasPL_MaPLe", 16): ("vit_b16_c8_ep5_batch4_8ctx_cross_datasets_l12", 2),
    ("cross_dataset", "dtd", "CasPL_PromptSRC", 16): ("vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l3", 20),
}
SPECIAL = ("GPA_MEAN", "GPA_STD", "LAMBDA")


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice)))
def test_configuration_epoch_and_keys(sweeps, choice):
    script, dataset, trainer, shots = choice
    config, epoch, *keys = CHOICES[choice]
    plan = sweeps.plan(script, "--datasets", dataset, "--trainers", trainer, "--seeds", 1, "--shots", shots)
    own = [run for run in plan.values() if run["--trainer"] == trainer]
    assert own and all(run.config == config for run in own)
    assert all(run["--load-epoch"] == str(epoch) for run in own if "--eval-only" in run)
    for run in own:
        pairs = [f"{word} {run[word]}" for word in run.words if word.endswith(SPECIAL)]
        assert pairs == keys
    assert (ROOT / own[0]["--config-file"]).is_file()


def test_imagenet_has_its_own_phase1(sweeps):
    plan = sweeps.plan("base2new", "--datasets", "imagenet", "--trainers", "CasPL_CoOp", "--seeds", "1")
    assert next(iter(plan)) == "boost/imagenet/vit_b16_c2_ep20_batch128_lr0025_8+8ctx_l12/seed1"


def test_chosen_configurations_and_names(sweeps):
    arguments = ["--datasets", "oxford_pets", "--trainers", "CasPL_CoOp", "--seeds", "1"]
    plan = sweeps.plan("base2new", *arguments, "--config", "vit_b16_ep50_ctxv1")
    assert [run.config for run in plan.values()] == [PHASE1, "vit_b16_ep50_ctxv1", "vit_b16_ep50_ctxv1"]
    longer = "vit_b16_c2_ep20_batch4_16+16ctx_l12"
    plan = sweeps.plan("base2new", *arguments, "--config", f"CasPLBoost={longer}", "--name", "long")
    assert list(plan) == [
        f"boost/oxford_pets/{longer}/seed1",
        "base2new/train_base/oxford_pets/shots_16/CasPL_CoOp/long/seed1",
        "base2new/test_new/oxford_pets/shots_16/CasPL_CoOp/long/seed1",
    ]
    few = ["DATASET.NUM_SHOTS", "16", "DATASET.SUBSAMPLE_CLASSES", "base"]  # of whose images
    plan = sweeps.plan("phase1", "--datasets", "digits", "--name", "short", "--", "OPTIM.MAX_EPOCH", "2", *few)
    assert list(plan) == ["boost/digits/short/seed1"]


def test_pairs_reach_every_run_and_decide_on_the_epoch(sweeps):
    arguments = ["--datasets", "digits", "--seeds", "1", "--", "OPTIM.MAX_EPOCH", "3", "INPUT.SIZE", "(32, 32)"]
    plan = sweeps.plan("base2new", *arguments)
    assert all(run["OPTIM.MAX_EPOCH"] == "3" and run["INPUT.SIZE"] == "(32, 32)" for run in plan.values())
    assert {run["--load-epoch"] for run in plan.values() if "--eval-only" in run} == {"3"}


# ------------------------------------------------------------ ablations
# grid -> its values, a value, keys of phase 1 with it, keys of phase 2 with it (on digits, with CasPL_IVLP)
IVLP = "TRAINER.IVLP"
GRIDS = {
    "length": ("4+16", "N_CTX_TEXT 16 N_CTX_VISION 16", f"{IVLP}.N_CTX_TEXT 4 {IVLP}.N_CTX_VISION 4"),
    "depth": ("boosting_2", "DEPTH_TEXT 2 DEPTH_VISION 2", ""),
    "temperature": ("0.5", "TEMPERATURE 0.5", ""),
    "loss": ("reverse_kl", "LOSS reverse_kl", ""),
    "teacher": ("demo/student", "TEACHER demo/student", ""),
    "names": ("base", "CLASSES base", ""),
    "frozen": ("False", None, "TRAINER.CASPL.FREEZE False"),
}


@pytest.mark.parametrize("grid", GRIDS)
def test_grid(sweeps, grid):
    value, phase1_keys, phase2_keys = GRIDS[grid]
    choice = ["--grid", grid, "--datasets", "digits", "--trainers", "CasPL_IVLP", "--seeds", "1"]
    whole = sweeps.plan("ablations", *choice)
    plan = sweeps.plan("ablations", *choice, "--values", value)
    phase1, train_base, test_new = plan.values()
    top, tag = f"ablations/{grid}", f"digits-{grid}={value.replace('/', '_')}"
    assert train_base.folder == f"{top}/base2new/train_base/digits/shots_16/CasPL_IVLP/{tag}/seed1"
    assert test_new.folder == train_base.folder.replace("train_base", "test_new")
    assert train_base[BOOSTING] == phase1.folder
    if phase1_keys is None:
        assert phase1.folder == "boost/digits/digits/seed1"  # what phase 1 always is
    else:
        tag = tag.replace("4+16", "16")  # the adapting tokens don't matter to it
        assert phase1.folder == f"{top}/boost/digits/{tag}/seed1"
        words = phase1_keys.split()
        assert {word: phase1[f"TRAINER.CASPL.{word}"] for word in words[::2]} == dict(
            zip(words[::2], words[1::2], strict=True)
        )
    for run in (train_base, test_new):
        assert " ".join(run.words).endswith(phase2_keys)
    if grid != "length":  # no longer one of the usual ones, where it is not the paper's
        assert train_base.folder in whole


CROPS, STORE = "TRAINER.CASPL.CROPS", "TRAINER.CASPL.TEACHER_STORE"


def test_the_phases_1_of_grids_ask_the_teacher_once(sweeps):
    """They share crops and a store; the ordinary phase 1, which all experiments share, and tests go without."""

    def keys(trainer, values, *more):
        choice = ["--grid", "depth", "--datasets", "digits", "--seeds", "1", "--trainers", trainer, "--values", values]
        runs = sweeps.plan("ablations", *choice, *more).values()
        return {run.folder: [run[key] for key in (CROPS, STORE) if key in run] for run in runs}

    one, two = (f"ablations/depth/boost/digits/digits-depth=boosting_{depth}/seed1" for depth in (1, 2))
    found = keys("CasPL_IVLP", "boosting_1 boosting_2 adapting_1")
    usual = {folder: words for folder, words in found.items() if words}
    assert usual == dict.fromkeys([one, two], ["seeded", "stores/teacher"]) and found["boost/digits/digits/seed1"] == []
    found = keys("CasPLBoost", "boosting_1")
    assert found.pop(one) and len(found) == 2 and not any(found.values())
    assert keys("CasPLBoost", "boosting_1", "--", STORE, "elsewhere")[one] == ["seeded", "elsewhere"]
    assert keys("CasPLBoost", "boosting_1", "--", CROPS, "stream")[one] == ["stream"]
    assert not any(keys("CasPLBoost", "boosting_1", "--as-published").values())


def test_depths_of_one_tower_and_of_the_adapting_tokens(sweeps):
    choice = ["--grid", "depth", "--datasets", "digits", "--seeds", "1", "--trainers", "CasPL_PromptSRC"]
    plan = sweeps.plan("ablations", *choice, "--values", "boosting_text_1 adapting_vision_2")
    of_text, *_, of_phase1, adapting, _ = plan.values()
    assert "TRAINER.CASPL.DEPTH_TEXT 1" in " ".join(of_text.words) and "TRAINER.CASPL.DEPTH_VISION" not in of_text
    assert of_phase1.folder == "boost/digits/digits/seed1"
    assert adapting.words[-2:] == ["TRAINER.PROMPTSRC.PROMPT_DEPTH_VISION", "2"]
    usual = sweeps.plan("ablations", *choice[:-1], "CasPL_CoOp")
    assert not any("adapting" in folder for folder in usual)  # CoOp is shallow


def test_one_phase_has_the_same_number_of_tokens(sweeps):
    choice = ["--grid", "one_phase", "--datasets", "oxford_pets", "--seeds", "1", "--values", "True"]
    train_base, test_new = sweeps.plan("ablations", *choice).values()
    for run in (train_base, test_new):
        assert run["TRAINER.CASPL.ONE_PHASE"] == "True" and BOOSTING not in run
        shape = [run[f"TRAINER.CASPL.{key}"] for key in ("N_CTX_TEXT", "N_CTX_VISION", "DEPTH_TEXT", "DEPTH_VISION")]
        assert shape == ["8", "8", "12", "12"]


def test_domains(sweeps):
    choice = ["--grid", "domain", "--datasets", "oxford_pets digits", "--seeds", "1"]
    plan = sweeps.plan("ablations", *choice, "--values", "self dtd self+dtd")
    boosting = {
        run.folder.split("/")[4] + run.folder.split("=")[-1]: run[BOOSTING] for run in plan.values() if BOOSTING in run
    }
    assert boosting == {
        "oxford_petsself/seed1": f"boost/oxford_pets/{PHASE1}/seed1",
        "oxford_petsdtd/seed1": f"boost/dtd/{PHASE1}/seed1",
        "oxford_petsself+dtd/seed1": f"ablations/domain/boost/oxford_pets+dtd/{PHASE1}-domain=oxford_pets+dtd/seed1",
        "digitsself/seed1": "boost/digits/digits/seed1",  # with the small CLIP of digits
        "digitsdtd/seed1": "boost/dtd/digits/seed1",
        "digitsself+dtd/seed1": "ablations/domain/boost/digits+dtd/digits-domain=digits+dtd/seed1",
    }


def test_phase1_alone_in_a_grid(sweeps):
    choice = [
        "--grid",
        "temperature",
        "--datasets",
        "digits",
        "--values",
        "2",
        "--seeds",
        "1",
        "--trainers",
        "CasPLBoost",
    ]
    phase1, *tests = sweeps.plan("ablations", *choice).values()
    assert [run["--model-dir"] for run in tests] == [phase1.folder] * 2
    assert all(run["TRAINER.CASPL.TEMPERATURE"] == "2" for run in tests)


def test_keys_after_the_dashes_go_to_those_who_read_them(sweeps):
    pairs = ["TRAINER.COOP.N_CTX", "4", "TRAINER.CASPL.TEMPERATURE", "2", "TRAINER.CASPL.FREEZE", "False"]
    names = "ZeroshotCLIP CoOp CasPL_CoOp CasPL_MaPLe"
    more = ["OPTIM.LR", "0.1", "TEST.FEATURE_STORE", "features"]
    plan = sweeps.plan("base2new", "--datasets", "digits", "--seeds", "1", "--trainers", names, "--", *pairs, *more)
    given = {}
    for run in plan.values():
        given.setdefault(run["--trainer"], {key for key in (*pairs[::2], *more[::2]) if key in run})
    assert given == {
        "ZeroshotCLIP": {"OPTIM.LR"},
        "CoOp": {"TRAINER.COOP.N_CTX", *more[::2]},
        "CasPLBoost": {"TRAINER.CASPL.TEMPERATURE", *more[::2]},
        "CasPL_CoOp": {"TRAINER.COOP.N_CTX", "TRAINER.CASPL.FREEZE", *more[::2]},
        "CasPL_MaPLe": {"TRAINER.CASPL.FREEZE", *more[::2]},
    }


# ------------------------------------------------------------ the commands themselves
@pytest.mark.parametrize(
    "script, arguments",
    [
        ("base2new", ["--all", "--trainers", *[" ".join(name for name in ALL_TRAINERS if name != "LinearProbe")]]),
        ("few_shot", ["--shots", "1 16", "--trainers", " ".join(ALL_TRAINERS)]),
        ("cross_dataset", ["--source", "oxford_pets"]),
        *(("ablations", ["--trainers", "CasPL_PromptSRC CasPL_CoOp", "--grid", grid]) for grid in GRIDS),
        ("ablations", ["--trainers", "CasPL_MaPLe CasPL_VPT", "--grid", "one_phase"]),
        ("ablations", ["--grid", "domain", "--values", "digits+oxford_pets"]),
        *(("reproduce", [target]) for target in ("table3", "table6")),
    ],
)
def test_train_accepts_every_command(sweeps, monkeypatch, script, arguments):
    plan = sweeps.plan(script, "--datasets", "digits oxford_pets", "--seeds", "1", *arguments)
    monkeypatch.chdir(ROOT)
    for run in plan.values():
        cfg = train.setup_cfg(train.parse_args(run.words))
        assert run["--trainer"] == cfg.TRAINER.NAME
    assert len(plan) > 4


def test_commands_can_be_copied(sweeps):
    done = sweeps("base2new", "--datasets", "digits", "--seeds", "1", "--jobs", "2", "--dry-run", cwd=sweeps.folder)
    first, *commands, table = map(shlex.split, done.stdout.splitlines())
    assert first == ["cd", str(ROOT)]
    assert all(words[0].startswith("OMP_NUM_THREADS=") and words[1:3] == ["python", "train.py"] for words in commands)
    assert len(commands) == 5
    folder = str(sweeps.folder / "out" / "base2new")
    names = ["--dataset", "digits", "--trainer", "CoOp,CasPL_CoOp", "--no-write"]
    assert table == ["python", "-m", "caspl.results", folder, *names]


def test_paths_are_those_of_the_caller(sweeps):
    relative = ["--datasets", "digits", "--seeds", "1", "--root", "a/", "--output", "b c", "--dry-run"]
    run = Run.of_line(sweeps("phase1", *relative, cwd=sweeps.folder).stdout.splitlines()[1])
    assert run["--root"] == f"{sweeps.folder}/a" and run.folder.startswith(f"{sweeps.folder}/b c/boost/")
    run = Run.of_line(sweeps("phase1", *relative).stdout.splitlines()[0])
    assert run["--root"] == "a" and run.folder.startswith("b c/boost/")


def test_demo(sweeps):
    lines = sweeps("demo", "--dry-run").stdout.splitlines()
    runs = {(run := Run.of_line(line.split(" ", 1)[1])).folder: run for line in lines}
    top = "output/demo/base2new"
    teacher = runs[f"{top}/test_all/digits/shots_0/ZeroshotCLIP/digits_teacher/seed1"]
    assert teacher["MODEL.BACKBONE.NAME"] == "demo/teacher"
    assert "MODEL.BACKBONE.NAME" not in runs[f"{top}/test_new/digits/shots_0/ZeroshotCLIP/digits/seed1"]
    caspl = runs[f"{top}/train_base/digits/shots_16/CasPL_CoOp/digits/seed3"]
    assert caspl[BOOSTING] == "output/demo/boost/digits/digits/seed1"
    tuned = runs[f"{top}/train_base/digits/shots_16/CasPL_PromptSRC/demo/seed3"]
    assert tuned.config == "demo" and tuned[BOOSTING] == caspl[BOOSTING]
    assert len(runs) == 3 + 3 + 3 * (1 + 3) + (2 + 2) * 3 * 3


@pytest.mark.parametrize("words", [("--trainers", "CoOp"), ("--config", "digits"), ("--config=CoOp=digits",)])
def test_the_demo_has_methods_of_its_own(sweeps, words):
    done = sweeps("demo", "--dry-run", *words)
    assert done.returncode == 2 and done.stdout == ""
    assert "error: the demo has its own --trainers and --config; leave them out, or choose base2new\n" in done.stderr


@pytest.mark.parametrize("words", [(), ("--no-table",), ("--dry-run",)])
def test_the_demo_ends_with_a_table_and_a_page(sweeps, monkeypatch, words):
    shown = []
    monkeypatch.setattr(door, "carry_out", lambda *_: 0)
    monkeypatch.setattr(door.subprocess, "run", lambda words: shown.append(words[1:]) or CompletedProcess(words, 0))
    assert sweeps("demo", *words).returncode == 0
    modules = () if words else ("caspl.results", "caspl.results.report")
    assert shown == [["-m", module, "output/demo"] for module in modules]


@pytest.mark.parametrize(
    "script",
    ["phase1", "base2new", "few_shot", "cross_dataset", "domain_generalization", "ablations", "reproduce", "demo"],
)
def test_help(sweeps, script):
    done = sweeps(script, "--help")
    assert done.returncode == 0 and f"scripts/{script}.sh" in done.stdout and not done.stderr
    for option in options_of(script):
        assert f"\n  {option.name} " in done.stdout
    assert "-- KEY VALUE" in done.stdout and done.stdout.endswith("docs/sweeps.md says more.\n")
    assert "{" not in done.stdout and max(map(len, done.stdout.splitlines())) <= 120


def test_help_before_the_experiment(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)

    def told(*words):
        return door.main(words), *capsys.readouterr()

    ours = told("few_shot", "--help")
    assert ours[0] == 0 and all(told(word, "few_shot") == ours for word in ("--help", "-h", "help"))
    assert told("--help") == told("--help", "--help") == told() and "usage: caspl sweep EXPERIMENT" in told()[1]
    assert told("help", "fewshot")[0] == 2


# ------------------------------------------------------------ mistakes
MISTAKES = {
    "option": (["--dataset", "digits"], "base2new.sh has no option --dataset; --help lists"),
    "option of another script": (["--grid", "loss"], "base2new.sh has no option --grid"),
    "no value": (["--datasets"], "--datasets is the last word, its value is missing"),
    "empty value": (["--datasets", " "], "the value of --datasets is empty"),
    "trainer": (["--trainers", "CoOp CoPo"], 'no trainer is called "CoPo"; there are CasPLBoost, CasPL_CoCoOp,'),
    "dataset": (["--datasets", "digit"], 'no dataset is called "digit"; there are caltech101, digits,'),
    "seed": (["--seeds", "1 x"], '--seeds has "x", expected whole numbers from 1'),
    "seed zero": (["--seeds", "0"], '--seeds has "0", expected'),
    "shots": (["--shots", "-1"], '--shots has "-1", expected'),
    "jobs": (["--jobs", "two"], '--jobs has "two", expected'),
    "configuration": (["--config", "vit_b61"], "no configs/trainers/CoOp/vit_b61.yaml; that folder has digits, rn101,"),
    "configuration of nobody": (["--config", "KgCoOp=digits"], "--config KgCoOp=digits is for no run of this sweep"),
    "configuration of no phase 1": (["--config", "CasPLBoost=digits"], "--config CasPLBoost=digits is for no run of"),
    "boosting of nobody": (["--boosting", "."], "--boosting is for CasPL_*, and none of CoOp is one; leave it out"),
    "shots of nobody": (["--trainers", "ZeroshotCLIP", "--shots", "4"], "--shots is for trainers that see labels"),
    "configuration of whom": (["--config", "CoPo=digits"], 'no trainer is called "CoPo"'),
    "root": (["--root", "no where", "--datasets", "oxford_pets"], "no folder {0}/no where (--root); it holds"),
    "boosting": (["--boosting", "nothing"], "no boosting prompts at {0}/nothing (--boosting)"),
    "boosting for phase 1": (["--boosting", ".", "--trainers", "CasPLBoost"], "CasPLBoost tests the phase 1 of this"),
    "name": (["--name", "a/b"], "--name a/b has a slash"),
    "output": (["--output", "/proc/out"], "can't write to /proc/out (--output)"),
    "flag for train.py": (["--", "--backbone", "RN50"], '"--backbone" stands after -- where a KEY such as OPTIM.LR'),
    "misspelt key": (
        ["--", "OPTIM.MAX_EPOCHS", "4"],
        "OPTIM.MAX_EPOCHS stands after --, but no key is called so; do you mean OPTIM.MAX_EPOCH?",
    ),
    "misspelt key of a trainer": (
        ["--", "TRAINER.COOP.NCTX", "4"],
        "TRAINER.COOP.NCTX stands after --, but no key is called so; do you mean TRAINER.COOP.N_CTX?",
    ),
    "key of nobody": (
        ["--", "TRAINER.IVLP.N_CTX_TEXT", "4"],
        "TRAINER.IVLP.N_CTX_TEXT stands after --, but none of CoOp",
    ),
    "key of an option": (
        ["--", "DATASET.NUM_SHOTS", "4"],
        "DATASET.NUM_SHOTS stands after --, but --shots is for that",
    ),
    "seed as a key": (["--", "SEED", "4"], "SEED stands after --, but --seeds is for that; leave the pair out"),
    "folder as a key": (["--", "OUTPUT_DIR", "x"], "OUTPUT_DIR stands after --, but --output is for that"),
    "classes as a key": (
        ["--", "DATASET.SUBSAMPLE_CLASSES", "all"],
        "DATASET.SUBSAMPLE_CLASSES stands after --, but base",
    ),
    "odd pairs": (["--", "OPTIM.LR"], "an odd number of words stands after --"),
    "epochs": (["--", "OPTIM.MAX_EPOCH", "few"], 'OPTIM.MAX_EPOCH is "few" with configs/trainers/CoOp/digits.yaml'),
    "linear probe": (["--trainers", "LinearProbe"], "LinearProbe knows no classes but those that it was trained on"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_argument_gets_one_sentence(sweeps, mistake):
    arguments, sentence = MISTAKES[mistake]
    (sweeps.folder / "boosting.safetensors").touch()
    choice = ["--datasets", "digits", "--trainers", "CoOp", "--seeds", "1"]
    done = sweeps("base2new", *choice, *arguments, cwd=sweeps.folder)
    assert done.returncode == 2 and done.stderr.startswith("error: " + sentence.format(sweeps.folder)), done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_all_mistakes_are_told(sweeps):
    done = sweeps("base2new", "--datasets", "digits,digit", "--trainers", "CoPo", "--seeds", "1,0,0")
    assert done.returncode == 2
    assert [line[:14] for line in done.stderr.splitlines()] == ["error: no trai", "error: no data", "error: --seeds"]


GRID_MISTAKES = {
    "none": ([], "--grid is missing"),
    "unknown": (["--grid", "width"], 'there is no grid "width"'),
    "value": (["--grid", "loss", "--values", "kl ce"], '--values has "ce", which the grid loss does not know'),
    "plain trainer": (["--grid", "loss", "--trainers", "CoOp"], "CoOp has no boosting prompts to vary"),
    "plain trainer with two lengths": (["--grid", "length", "--trainers", "CoOp"], "CoOp has no boosting prompts"),
    "one length": (["--grid", "length", "--values", "8"], "length 8 is nothing that CasPL_CoOp could vary"),
    "depth in the wrong order": (
        ["--grid", "depth", "--values", "adapting_2+boosting_2"],
        '--values has "adapting_2+boosting_2", which the grid depth does not know',
    ),
    "depths of CoOp": (
        ["--grid", "depth", "--values", "boosting_2+adapting_2"],
        "depth boosting_2+adapting_2 is nothing that CasPL_CoOp could",
    ),
    "key of the grid": (
        ["--grid", "temperature", "--", "TRAINER.CASPL.TEMPERATURE", "2"],
        "TRAINER.CASPL.TEMPERATURE stands after --, but the grid decides on it; leave the pair out",
    ),
    "phase 1 alone": (["--grid", "frozen", "--trainers", "CasPLBoost"], "the grid frozen leaves CasPLBoost as it is"),
    "depth of CoOp": (
        ["--grid", "depth", "--values", "adapting_2"],
        "depth adapting_2 is nothing that CasPL_CoOp could",
    ),
    "domain": (["--grid", "domain", "--values", "self+dtt"], 'no dataset is called "dtt"'),
    "boosting": (["--grid", "loss", "--boosting", "x"], "--boosting is of no use here"),
}


@pytest.mark.parametrize("mistake", GRID_MISTAKES)
def test_a_mistake_in_a_grid_gets_a_sentence(sweeps, mistake):
    arguments, sentence = GRID_MISTAKES[mistake]
    done = sweeps("ablations", "--datasets", "digits", "--seeds", "1", *arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {sentence}"), done.stderr


def test_unknown_source(sweeps):
    done = sweeps("cross_dataset", "--source", "imagenet22k")
    assert done.returncode == 2 and 'no dataset is called "imagenet22k"' in done.stderr


def test_it_is_known_which_trainer_reads_which_key():
    """The trainers are not asked, as their imports would take seconds before a run is planned."""
    cfg = get_cfg_default()
    caspl.trainers.extend_cfg(cfg)
    keys = [key.name for key in caspl.trainers.KEYS if not key.unread]
    said = {f"{name} {key}" for name in ALL_TRAINERS for key in keys if reads(name, key)}
    read = {
        f"{name} {key.name}" for name in ALL_TRAINERS for key in TRAINER_REGISTRY.get(name).reads(cfg) if not key.unread
    }
    assert read and said == read
    over = {
        f"{name} {key}" for name in ALL_TRAINERS for key in TRAINER_REGISTRY.get(name).passes_over if key != "RESUME"
    }
    assert over and not [each for each in over if reads(*each.split())]
