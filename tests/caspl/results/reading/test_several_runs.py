"""Several runs in one log or one folder: told apart by what they say, or none is taken."""

import pytest

from caspl.results.reading.runs import find_runs
from logs_made import made, put, result

FEW = "oxford_pets/CoOp/vit_b16_16shots/seed1"
BASE = "base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1"
ANY = "exp/a/seed1"
KILLED, LATER = made(None), "log.txt-2026-01-02-03-04-05"
EVALUATED = {"model": "o/oxford_pets/seed1", "output": "o/oxford_pets/seed1"}
TRAINED = {"output": "o/oxford_pets/seed1"}

# name: (folder, its logs, accuracies of the runs by seed and tested classes, what is said of those that are left out)
SEVERAL = {
    "killed and resumed, one file": (FEW, [KILLED + made(80)], {(1, "all"): [80]}, []),
    "killed and resumed, two files": (FEW, [KILLED, made(80)], {(1, "all"): [80]}, []),
    "killed, resumed in another configuration": (FEW, [made(None, lr=0.1) + made(80)], {(1, "all"): [80]}, []),
    "run twice": (FEW, [made(70) + made(80)], {(1, "all"): [80]}, []),
    "finished, then begun again": (FEW, [made(70) + KILLED], {(1, "all"): [70]}, []),
    "trained, then tested": (FEW, [made(70) + made(71, **EVALUATED)], {(1, "all"): [71]}, []),
    "trained, then tested at another epoch": (
        FEW,
        [made(70, **TRAINED) + made(61, **EVALUATED, load_epoch=5)],
        {(1, "all"): [61, 70]},
        [],
    ),
    "trained, tested, trained again": (FEW, [made(70) + made(71, **EVALUATED) + made(80)], {(1, "all"): [80]}, []),
    "two rates": (FEW, [made(70, lr=0.1) + made(80, lr=0.2)], {}, ["OPTIM.LR 0.1 and 0.2"]),
    "two rates, two files": (FEW, [made(70, lr=0.1), made(80, lr=0.2)], {}, ["OPTIM.LR 0.1 and 0.2"]),
    "two lengths of training": (FEW, [made(70, epochs=10), made(80, epochs=50)], {}, ["OPTIM.MAX_EPOCH 10 and 50"]),
    "tests of two epochs": (
        FEW,
        [made(70, **EVALUATED, load_epoch=5) + made(80, **EVALUATED, load_epoch=10)],
        {},
        ["--load-epoch 5 and 10"],
    ),
    "two seeds in the folder of one": (FEW, [made(70) + made(80, seed=2)], {(1, "all"): [70]}, ["SEED 2 where"]),
    "two datasets in the folder of one": (FEW, [made(70, dataset="dtd") + made(80)], {(1, "all"): [80]}, ["DATASET.NAME"]),
    "two backbones": (FEW, [made(70, backbone="RN50") + made(80)], {(1, "all"): [80]}, ["MODEL.BACKBONE.NAME RN50"]),
    "base and new classes in the folder of base": (
        BASE,
        [made(70, classes="base", **TRAINED) + made(60, classes="new", **EVALUATED)],
        {(1, "base"): [70]},
        ["it tested new classes"],
    ),
    "base and new classes in a folder that does not say": (
        ANY,
        [made(70, classes="base", **TRAINED) + made(60, classes="new", **EVALUATED)],
        {(1, "base"): [70], (1, "new"): [60]},
        [],
    ),
    "two numbers of shots in a folder that does not say": (ANY, [made(70, shots=1) + made(60)], {(1, "all"): [60, 70]}, []),
    "the end of another log in front": (FEW, [result(10) + made(80)], {(1, "all"): [80]}, ["it has a result before"]),
    "where files and batches lie": (
        FEW,
        [made(70) + made(80).replace("ROOT: DATA", "ROOT: /data").replace("USE_CUDA: True", "USE_CUDA: False")],
        {(1, "all"): [80]},
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("folder, logs, expected, said", SEVERAL.values(), ids=SEVERAL)
def test_runs_are_told_apart_or_none_is_taken(tmp_path, folder, logs, expected, said):
    for text, name in zip(logs, ("log.txt", LATER), strict=False):
        put(tmp_path, folder, text, name)
    found = find_runs(tmp_path)
    accuracies = {}
    for run in found.runs:
        accuracies.setdefault((run.seed, run.classes), []).append(run.accuracy)
    assert {key: sorted(values) for key, values in accuracies.items()} == expected
    assert len(found.left_out) == len(said) and all(
        part in why for part, (_, why) in zip(said, found.left_out, strict=True)
    )


def test_a_refused_run_is_named_by_its_place_in_the_file(tmp_path):
    put(tmp_path, FEW, KILLED + made(70, seed=2) + made(80))
    found = find_runs(tmp_path)
    assert [name for name, _ in found.left_out] == [f"{FEW}/log.txt (run 2 of 3)"]


def test_each_kind_of_run_that_lacks_a_result_is_noted(tmp_path):
    put(tmp_path, ANY, made(None, shots=1) + made(80, shots=2, split="val") + made(90, shots=4) + made(None, shots=8))
    found = find_runs(tmp_path)
    assert [run.shots for _, run in found.unfinished] == [1, 8]
    assert [run.shots for _, run in found.validation] == [2] and [run.shots for run in found.runs] == [4]


def test_the_training_after_its_test_is_the_newest_and_unfinished(tmp_path):
    put(tmp_path, FEW, made(80))
    put(tmp_path, FEW, KILLED, LATER)
    found = find_runs(tmp_path)
    assert [(path, run.accuracy) for path, run in found.unfinished] == [(f"{FEW}/{LATER}", 80)]


ENDS = {
    "killed in an epoch, after a test in between": (made(None) + result(50), None),
    "killed after the training": (made(80, end=""), None),
    "killed in the result": (made(80, end=result(80)[:60]), None),
    "a trace behind the result": (
        made(80) + "Traceback (most recent call last):\n  File\nRuntimeError: out of memory\n",
        80,
    ),
    "a trace in an epoch": (made(None) + "Traceback (most recent call last):\nRuntimeError: out of memory\n", None),
    "tests in between and at the end": (made(80).replace("Checkpoint", result(50) + "Checkpoint"), 80),
    "tests in between, no test at the end": (made(80, end="").replace("Checkpoint", result(50) + "Checkpoint"), None),
    "older words at the end of training": (made(80).replace("Finish training", "Finished training"), 80),
}


@pytest.mark.parametrize("text, percent", ENDS.values(), ids=ENDS)
def test_what_a_killed_run_printed_in_between_is_no_result(tmp_path, text, percent):
    put(tmp_path, FEW, text)
    found = find_runs(tmp_path)
    assert [run.accuracy for run in found.runs] == ([] if percent is None else [percent])
    assert len(found.unfinished) == (percent is None)


VALIDATED = {
    "TEST.SPLIT val": made(80, split="val"),
    "older Dassl": made(80, end="Do evaluation on val set\n=> result\n* accuracy: 80.00%\n"),
    "only the configuration says so": made(80, split="val", end="=> result\n* accuracy: 80.0%\n"),
    "on the training images": made(80, end=result(80, "train")),
}


@pytest.mark.parametrize("text", VALIDATED.values(), ids=VALIDATED)
def test_a_run_tested_on_val_is_called_that_and_in_no_table(tmp_path, text):
    put(tmp_path, FEW, text)
    found = find_runs(tmp_path)
    assert not found.runs and not found.unfinished
    assert [(path, run.accuracy) for path, run in found.validation] == [(f"{FEW}/log.txt", 80)]


def test_without_validation_images_the_test_is_one(tmp_path):
    """Dassl tests on the test images then, and says so."""
    put(tmp_path, FEW, made(80, split="val", end=result(80, "test")))
    assert [run.accuracy for run in find_runs(tmp_path).runs] == [80]


def test_few_shot_and_base_to_new_of_one_configuration_lie_below_one_folder(tmp_path):
    """Their models have all in common but the classes, and the test on new classes is of the one trained on base classes."""
    put(tmp_path, FEW, made(70, output=FEW))
    put(tmp_path, BASE, made(80, classes="base", output=BASE))
    new = BASE.replace("train_base", "test_new")
    put(tmp_path, new, made(60, classes="new", model=BASE, output=new))
    found = find_runs(tmp_path)
    assert {(run.setting, run.classes, run.accuracy) for run in found.runs} == {
        ("few_shot", "all", 70),
        ("base_to_new", "base", 80),
        ("base_to_new", "new", 60),
    }
    assert not found.left_out
