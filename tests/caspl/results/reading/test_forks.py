"""The layouts of the family's repositories, as their scripts make them: each log becomes the row that it is."""

import pytest

from caspl.results.reading.runs import find_runs
from logs_made import NAMES, made, put, result

PETS, BASE, NEW = "oxford_pets", {"classes": "base"}, {"classes": "new"}
MMRL = "base2new/train_base/imagenet/shots_16/MMRL/vit_b16_cross_datasets/seed1"
ATP = "output/oxford_pets/CoOp_ATP/vit_b16_16shots/CTX_2_epo_10/seed1"
DEPT = "outputs/xd/CoOp/imagenet/shots16/vit_b16_ep10_bs4_lr35/seed1"
TCP = "base2new/{}/oxford_pets/shots_16_1.0/TCP/vit_b16_ep100_ctxv1/seed2"
MMA = "output/base2new/{}/oxford_pets/shots_16/MultiModalAdapter/seed1"
ATP_CROSS = "output/imagenet/CoOp_ATP_cross/vit_b16_16shots_few_shots/CTX_4/seed1"
BOTH = [("base_to_new", "OxfordPets", "base"), ("base_to_new", "OxfordPets", "new")]

# name: (logs: folder -> what they say, the runs: setting, dataset, classes), all of one row
FORKS = {
    "CoOp few-shot": (
        {"output/oxford_pets/CoOp/vit_b16_16shots/nctx16_cscFalse_ctpend/seed1": {}},
        [("few_shot", "OxfordPets", "all")],
    ),
    "CoOp domain generalisation, whose tests give no shots": (
        {
            "output/imagenet/CoOp/vit_b16_16shots/nctx16/seed1": {"dataset": "imagenet"},
            "output/evaluation/CoOp/vit_b16_16shots/nctx16/imagenetv2/seed1": {
                "dataset": "imagenetv2", "shots": -1, "model": "output/imagenet/CoOp/vit_b16_16shots/nctx16/seed1",
            },
        },
        [("few_shot", "ImageNet", "all"), ("domain_generalization", "ImageNetV2", "all")],
    ),
    "MaPLe, PromptSRC, ProGrad base to new": (
        {
            "output/base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1": BASE,
            "output/base2new/test_new/oxford_pets/shots_16/CoOp/vit_b16/seed1": NEW
            | {"model": "output/base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1", "load_epoch": 50},
        },
        BOTH,
    ),
    "MMA, without a folder for the configuration": (
        {
            MMA.format("train_base"): BASE | {"trainer": "MultiModalAdapter"},
            MMA.format("test_new"): NEW | {"trainer": "MultiModalAdapter", "model": "m"},
        },
        BOTH,
    ),
    "TCP, whose tests lie below another folder": (
        {
            "output_1108_4/" + TCP.format("train_base"): BASE | {"trainer": "TCP", "seed": 2},
            "output_1108_4_eval/" + TCP.format("test_new"): NEW
            | {"trainer": "TCP", "seed": 2, "load_epoch": 50, "model": "output_1108_4/" + TCP.format("train_base")},
        },
        BOTH,
    ),
    "DePT base to new": (
        {
            f"outputs/coop/{part}/CoOp/oxford_pets/shots16/vit_b16_ep10_bs4_lr35/seed3": says | {"seed": 3, "model": model}
            for part, says, model in (("train_base", BASE, ""), ("test_new", NEW, "outputs/coop/train_base/CoOp"))
        },
        BOTH,
    ),
    "DePT cross-dataset": (
        {DEPT: {"dataset": "imagenet"}, DEPT.replace("imagenet", "dtd"): {"dataset": "dtd", "model": DEPT}},
        [("cross_dataset", "DTD", "all"), ("few_shot", "ImageNet", "all")],
    ),
    "MMRL few-shot": (
        {"output/few_shot/oxford_pets/shots_4/MMRL/vit_b16_few_shot/seed1": {"trainer": "MMRL", "shots": 4}},
        [("few_shot", "OxfordPets", "all")],
    ),
    "MMRL tests other datasets in test_new": (
        {
            "output/" + MMRL: {"trainer": "MMRL", "dataset": "imagenet"},
            "output/" + MMRL.replace("imagenet", "dtd").replace("train_base", "test_new"): {
                "trainer": "MMRL", "dataset": "dtd", "model": "output/" + MMRL,
            },
        },
        [("cross_dataset", "DTD", "all"), ("few_shot", "ImageNet", "all")],
    ),
    "ATPrompt tests inside the folder of the training": (
        {ATP: BASE | {"trainer": "CoOp_ATP"}, f"{ATP}/evaluation": NEW | {"trainer": "CoOp_ATP", "model": ATP, "shots": -1}},
        BOTH,
    ),
    "ATPrompt tests in evaluation, by another name": (
        {
            ATP: BASE | {"trainer": "CoOp_ATP"},
            "output/evaluation/CoOp_ATP/vit_b16_16shots/nctx_csc_ctp/oxford_pets/seed1": NEW
            | {"trainer": "CoOp_ATP", "model": ATP, "load_epoch": 50},
        },
        BOTH,
    ),
    "ATPrompt across datasets": (
        {
            ATP_CROSS: {"trainer": "CoOp_ATP", "dataset": "imagenet"},
            "output/evaluation/CoOp_ATP/vit_b16_16shots/nctx/dtd/seed1": {
                "trainer": "CoOp_ATP", "dataset": "dtd", "shots": -1,
                "model": ATP_CROSS,
            },
        },
        [("cross_dataset", "DTD", "all"), ("few_shot", "ImageNet", "all")],
    ),
    "ATPrompt zero-shot": (
        {"output/ZeroshotCLIP/vit_b16/oxford_pets/test": {"trainer": "ZeroshotCLIP", "shots": -1, "seed": -1}},
        [("few_shot", "OxfordPets", "all")],
    ),
    "PromptKD: one run, of which the test is of the new classes": (
        {
            "output/base2new/train_base/oxford_pets/shots_0/PromptKD/vit_b16_c2_ep20_batch8_4+4ctx/seed_1": {
                "trainer": "PromptKD", "shots": 0, "more": "  MODAL: base2novel\n",
            }
        },
        [("base_to_new", "OxfordPets", "new")],
    ),
    "any folder with a seed": ({"exp/first try/seed1": {}}, [("few_shot", "OxfordPets", "all")]),
    "any folder, of base classes and its tests": (
        {"exp/a/seed4": BASE | {"seed": 4, "output": "runs/a"}, "exp/a new/seed4": NEW | {"seed": 4, "model": "runs/a/"}},
        BOTH,
    ),
    "any folder, tests deeper inside": (
        {"exp/a/seed4": BASE | {"seed": 4}, "exp/a/seed4/on new/e50": NEW | {"seed": 4, "model": "/home/me/exp/a/seed4"}},
        BOTH,
    ),
    "a layout's names in other places": ({"exp/run3/vit_16shots/seed1": {}}, [("few_shot", "OxfordPets", "all")]),
    "own images by their folder": ({"o/birds/CoOp/c_16shots/seed1": {"dataset": "folder"}}, [("few_shot", "birds", "all")]),
    "own images called like a benchmark": (
        {"o/oxford_pets/CoOp/c_16shots/seed1": {"dataset": "folder"}},
        [("few_shot", "oxford_pets (ImageFolder)", "all")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("logs, expected", FORKS.values(), ids=FORKS)
def test_each_log_becomes_its_row(tmp_path, logs, expected):
    for number, (folder, says) in enumerate(logs.items()):
        put(tmp_path, folder, made(60 + number, **({"output": folder} | says)))
    found = find_runs(tmp_path)
    assert not (found.left_out or found.elsewhere or found.unfinished)
    assert sorted((run.setting, run.dataset, run.classes) for run in found.runs) == sorted(expected)
    assert len({run.model for run in found.runs}) == 1
    assert {run.trainer for run in found.runs} <= {next(iter(logs.values())).get("trainer", "CoOp"), "CoOp_ATP_cross"}


def test_a_fork_of_promptkd_tested_on_val_is_of_the_base_classes(tmp_path):
    folder = "base2new/train_base/oxford_pets/shots_0/PromptKD/c/seed_1"
    put(tmp_path, folder, made(70, trainer="PromptKD", shots=0, split="val", more="  MODAL: base2novel\n"))
    (run,) = find_runs(tmp_path).runs
    assert (run.classes, run.accuracy) == ("base", 70)


TRAIN = "base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1"
TEST, OTHER = TRAIN.replace("train_base", "test_new"), "evaluation/CoOp/vit_b16_16shots/dtd/seed1"
SOURCE = "imagenet/CoOp/vit_b16_16shots/seed1"
LAST, EARLY = "vit_b16", "vit_b16/epoch 20"
# name: (log -> its epoch (None: a test of the last), configuration of each run)
EPOCHS = {
    "as trained": ({TRAIN: 50, TEST: 50}, [LAST, LAST]),
    "the last": ({TRAIN: 50, TEST: None}, [LAST, LAST]),
    "an earlier one": ({TRAIN: 50, TEST: 20}, [LAST, EARLY]),
    "of another seed": ({TRAIN: 50, TEST.replace("seed1", "seed2"): 20}, [LAST, EARLY]),
    "trained for two numbers": ({TRAIN: 50, TRAIN.replace("seed1", "seed2"): 20}, ["vit_b16/epoch 50", EARLY]),
    "tests alone": ({TEST: 20, TEST.replace("seed1", "seed2"): 20}, [LAST, LAST]),
    "tests alone, of two": ({TEST: 50, TEST.replace("seed1", "seed2"): 20}, ["vit_b16/epoch 50", EARLY]),
    "another dataset": ({SOURCE: 50, OTHER: 50}, [LAST, LAST]),
    "another dataset, an earlier one": ({SOURCE: 50, OTHER: 20}, [LAST, EARLY]),
}


@pytest.mark.parametrize("logs, configs", EPOCHS.values(), ids=EPOCHS)
def test_epochs_never_share_a_row(tmp_path, logs, configs):
    for folder, epoch in logs.items():
        says = {"seed": int(folder[-1]), "dataset": next(name for name in NAMES if f"/{name}/" in f"/{folder}")}
        if folder.startswith(("base2new/train", "imagenet")):
            says |= {"epochs": epoch, "output": folder}
        else:
            says |= {"load_epoch": epoch, "model": "m"}
        says["classes"] = {"train_base": "base", "test_new": "new"}.get(folder.split("/")[1], "all")
        put(tmp_path, folder, made(**says))
    found = find_runs(tmp_path)
    assert {run.path: run.config for run in found.runs} == {
        f"{folder}/log.txt": config for folder, config in zip(logs, configs, strict=True)
    }


def test_the_printed_result_of_a_test_after_the_training_counts(tmp_path):
    put(tmp_path, "oxford_pets/CoOp/c_16shots/seed1", made(80, output="x"))
    put(tmp_path, "oxford_pets/CoOp/c_16shots/seed1/evaluation", made(90, model="x", end=result(90)))
    found = find_runs(tmp_path)
    assert sorted((run.is_test, run.accuracy) for run in found.runs) == [(False, 80), (True, 90)]
