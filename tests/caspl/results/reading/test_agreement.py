"""A log that contradicts its folder, or the model it tests, is named with what was found and expected; the others count."""

import pytest

from caspl.results.__main__ import main
from logs_made import made, put

SHOT = "oxford_pets/CoOp/vit_b16_16shots/seed1"
TRAIN = "base2new/train_base/oxford_pets/shots_16/CoOp/vit_b16/seed1"
TEST = TRAIN.replace("train_base", "test_new")
NEW = {"classes": "new", "model": "elsewhere"}
GOOD = "oxford_pets/MaPLe/vit_b16_16shots/seed1"

# name: (folder, what its log says, what is said about it)
CONTRADICTIONS = {
    "dataset": (SHOT, {"dataset": "sun397"}, "DATASET.NAME SUN397 where its folder says oxford_pets"),
    "dataset unknown to papers": (SHOT, {"dataset": "digits"}, "DATASET.NAME Digits where its folder says oxford_pets"),
    "variant": ("imagenet/CoOp/c_16shots/seed1", {"dataset": "imagenetv2"}, "DATASET.NAME ImageNetV2 where"),
    "trainer": (SHOT, {"trainer": "CoCoOp"}, "TRAINER.NAME CoCoOp where its folder says CoOp"),
    "plain in CasPL's folder": (SHOT.replace("CoOp", "CasPL_CoOp"), {}, "TRAINER.NAME CoOp where its folder says CasPL_CoOp"),
    "CasPL in a plain folder": (SHOT, {"trainer": "CasPL_CoOp"}, "TRAINER.NAME CasPL_CoOp where its folder says CoOp"),
    "shots": (SHOT, {"shots": 4}, "DATASET.NUM_SHOTS 4 where its folder says 16 shots"),
    "all images": (SHOT, {"shots": -1}, "DATASET.NUM_SHOTS -1, all images, where its folder says 16 shots"),
    "shots of a learner in a folder of none": (SHOT.replace("16", "0"), {}, "DATASET.NUM_SHOTS 16 where its folder says 0"),
    "seed": (SHOT, {"seed": 2}, "SEED 2 where its folder says seed 1"),
    "backbone": (SHOT, {"backbone": "RN50"}, "MODEL.BACKBONE.NAME RN50 where its folder says vit_b16"),
    "patch": (SHOT, {"backbone": "ViT-B/32"}, "MODEL.BACKBONE.NAME ViT-B/32 where its folder says vit_b16"),
    "several": (SHOT, {"dataset": "dtd", "shots": 1, "seed": 3}, "and all of them"),
    "classes": (TEST, {"classes": "base", "model": "m"}, "tested base classes (SUBSAMPLE_CLASSES), but its folder, test_new"),
    "no such classes": (TRAIN, {"classes": "half"}, "it tested half classes"),
    "in any folder: dataset": ("exp/oxford_pets/seed1", {"dataset": "sun397"}, "SUN397 where its folder says OxfordPets"),
    "in any folder: trainer": ("exp/MaPLe/lr1/seed1", {}, "TRAINER.NAME CoOp where its folder says MaPLe"),
    "in any folder: shots": ("exp/8shots/seed1", {}, "DATASET.NUM_SHOTS 16 where its folder says 8 shots"),
    "in any folder: seed": ("exp/seed7", {}, "SEED 1 where its folder says seed 7"),
    "in any folder: classes": ("exp/test_new/seed1", {"classes": "base"}, "it tested base classes"),
    "seed of the model": (TEST, NEW | {"model": "o/seed2"}, "its seed is 1, but that of the model it tests, o/seed2, is 2"),
    "shots of the model": (TEST, NEW | {"model": "o/shots_4/seed1"}, "its number of shots is 16, but that of the model"),
    "dataset of the model": (TEST, NEW | {"model": "o/imagenet/seed1"}, "but its model was trained on ImageNet"),
    "trainer of the model": (TEST, NEW | {"model": TRAIN.replace("CoOp", "KgCoOp")}, "its trainer is CoOp, but that of the"),
    "shots of nobody": ("exp/seed1", {"shots": -1, "model": "m/oxford_pets"}, "says with how many shots its model was trained"),
    "source of nobody": ("exp/seed1", {"model": "m"}, "says on what its model was trained"),
}  # fmt: skip


@pytest.mark.parametrize("folder, says, said", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_named_and_the_others_count(tmp_path, capsys, folder, says, said):
    path = put(tmp_path, folder, made(60, **says))
    put(tmp_path, GOOD, made(70, trainer="MaPLe"))
    status = main([str(tmp_path), "--format", "csv"])
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("left out: ")]
    if said == "and all of them":
        assert line.count(" where its folder says ") == 3
    else:
        assert said in line
    assert status == 0 and line.startswith(f"left out: {path}: ")
    assert out.count("\n") == 2 and ",70.0000," in out and (tmp_path / "results.md").exists()


# name: (folder, what its log says, dataset and trainer of the row)
AGREEMENTS = {
    "silent about the seed": (SHOT, {"seed": -1}, "OxfordPets CoOp"),
    "tests give no shots": (TEST, NEW | {"shots": -1}, "OxfordPets CoOp"),
    "zero-shot has no shots": (
        "base2new/test_new/oxford_pets/shots_0/ZeroshotCLIP/vit_b16/seed1",
        {"trainer": "ZeroshotCLIP", "classes": "new"},
        "OxfordPets CLIP",
    ),
    "another spelling": ("Oxford-Pets/CoOp/vit_b16_16shots/seed1", {}, "OxfordPets CoOp"),
    "the registry's name": ("DescribableTextures/CoOp/c_16shots/seed1", {"dataset": "dtd"}, "DTD CoOp"),
    "weights of another maker": (SHOT, {"backbone": "ViT-B-16:laion2b"}, "OxfordPets CoOp"),
    "a file of weights": (SHOT, {"backbone": "/weights/mine.pt"}, "OxfordPets CoOp"),
    "a variant of the trainer": (SHOT.replace("CoOp", "CoOp_long"), {}, "OxfordPets CoOp_long"),
    "lower case": (SHOT.lower(), {}, "OxfordPets CoOp"),
    "a method on top of another": (
        "exp/CoOp/seed1",
        {"trainer": "ExtrasLinearProbeCoOp"},
        "OxfordPets ExtrasLinearProbeCoOp",
    ),
    "a folder for something else": ("pets/CoOp/vit_b16_16shots/seed1", {}, "OxfordPets CoOp"),
    "a link's or a checkout's name above": (
        "CoOp/oxford_pets/MaPLe/c_16shots/seed1",
        {"trainer": "MaPLe"},
        "OxfordPets MaPLe",
    ),
}


@pytest.mark.parametrize("folder, says, expected", AGREEMENTS.values(), ids=AGREEMENTS)
def test_what_is_no_contradiction(tmp_path, capsys, folder, says, expected):
    put(tmp_path, folder, made(60, **says))
    assert main([str(tmp_path), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert "left out" not in err and out.count("\n") == 2
    row = out.splitlines()[1].split(",")
    assert f"{row[1]} {row[3]}" == expected


def test_a_log_of_sun397_is_never_beside_the_number_of_pets(tmp_path, capsys):
    put(tmp_path, TRAIN, made(80, dataset="sun397", classes="base"))
    put(tmp_path, TEST, made(70, classes="new", model="m"))
    assert main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "SUN397 where its folder says oxford_pets" in err and "80.00" not in out and "| OxfordPets" in out


@pytest.mark.parametrize("config", ["ctx_4", "vit_b16/nctx16"])
def test_a_test_stands_in_the_row_of_its_model(tmp_path, capsys, config):
    """Also where only the name of the model's folder says which that is."""
    put(tmp_path, TRAIN, made(80, classes="base"))
    put(tmp_path, TEST, made(70, classes="new", model=f"/of/CoOp/{TRAIN}".replace("vit_b16", config)))
    assert main([str(tmp_path), "--format", "csv"]) == 0
    assert [row.split(",")[4] for row in capsys.readouterr().out.splitlines()[1:]] == [config, "vit_b16"]


@pytest.mark.parametrize(
    "says, said", [({"dataset": "sun397"}, "DATASET.NAME SUN397"), ({"trainer": "MaPLe"}, "MaPLe")]
)
def test_a_log_without_its_configuration_still_says_what_it_loads(tmp_path, capsys, says, said):
    text = made(60, **says)
    put(tmp_path, SHOT, text[text.index("** System info **") :])
    assert main([str(tmp_path)]) == 2
    assert f"{said} where its folder says" in capsys.readouterr().err


def test_a_test_of_another_trainings_model(tmp_path, capsys):
    """The training is found by the folder that both logs name."""
    put(tmp_path, TRAIN, made(80, classes="base", output="o/a", backbone="demo/student", file="c"))
    test = put(tmp_path, TEST, made(70, classes="new", model="o/a/", backbone="demo/teacher", file="c"))
    assert main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert f"left out: {test}: its log says MODEL.BACKBONE.NAME demo/teacher, but that of the model it tests" in err
    assert "80.00" in out and "70.00" not in out


def test_a_test_of_a_model_whose_training_contradicts_its_folder(tmp_path, capsys):
    put(tmp_path, TRAIN, made(80, dataset="sun397", classes="base", output="o/a"))
    test = put(tmp_path, TEST, made(70, classes="new", model="o/a"))
    assert main([str(tmp_path)]) == 2
    _, err = capsys.readouterr()
    assert f"left out: {test}: the log of the model that it tests, " in err and "error: no results below" in err


@pytest.mark.parametrize("classes", ["base", "new"])
def test_a_model_of_all_classes_has_no_base_and_new(tmp_path, classes, capsys):
    put(tmp_path, SHOT, made(80, output="o/a"))
    put(tmp_path, "exp/seed1", made(70, classes=classes, model="o/a"))
    main([str(tmp_path)])
    out, err = capsys.readouterr()
    assert f"it tests that model on {classes} classes" in err and "70.00" not in out and "80.00" in out


def test_backbones_never_share_a_row(tmp_path, capsys):
    for seed, backbone, percent in ((1, "RN50", 60), (2, "ViT-B/16", 80), (3, "ViT-B-16:openai", 90)):
        put(
            tmp_path,
            f"oxford_pets/CoOp/mine_16shots/seed{seed}",
            made(percent, seed=seed, backbone=backbone, file="mine"),
        )
    main([str(tmp_path)])
    out, _ = capsys.readouterr()
    assert "CoOp (RN50) " in out and "CoOp (ViT-B/16) " in out and "85.00 ± 5.00" in out


def test_one_run_in_two_folders_is_taken_from_neither(tmp_path, capsys):
    put(tmp_path, SHOT, made(80))
    put(tmp_path, SHOT.replace("seed1", "seed01"), made(70))
    put(tmp_path, GOOD, made(70, trainer="MaPLe"))
    main([str(tmp_path), "--format", "csv"])
    out, err = capsys.readouterr()
    assert err.count("it is the same run as") == 2 and out.count("\n") == 2


def test_one_model_tested_twice_with_one_result(tmp_path, capsys):
    put(tmp_path, SHOT, made(80, output="o/a"))
    put(tmp_path, SHOT.replace("seed1", "seed1/evaluation"), made(81, output="o/a/evaluation", model="o/a"))
    put(tmp_path, SHOT.replace("seed1", "seed01"), made(81, output="o/b", model="o/a"))
    main([str(tmp_path)])
    out, err = capsys.readouterr()
    assert "left out" not in err and "81.00" in out
