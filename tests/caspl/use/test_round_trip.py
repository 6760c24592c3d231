"""A `CLIPModel` of true size: in as student and teacher, boosted for one step, out as a folder, and in again."""

import shutil

import pytest

from caspl.__main__ import main
from caspl.checkpoints.boosting import read_boosting
from caspl.clip.backbones import load_backbone

transformers = pytest.importorskip("transformers", reason="Hugging Face's library makes the folders")

SHAPES = {
    "ViT-B/16": (dict(), dict(patch_size=16), 512),
    "ViT-L/14": (
        dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
        dict(patch_size=14, hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16),
        768,
    ),
}
FACTS = {"ViT-B/16": "quickgelu/8+12/224x224", "ViT-L/14": "quickgelu/12+16/224x224"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Random weights of both sizes, as the library saves them: 0.6 and 1.7 GB."""
    made = {}
    for name, (text, vision, width) in SHAPES.items():
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=width)
        made[name] = tmp_path_factory.mktemp("clip")
        transformers.CLIPModel(config).save_pretrained(made[name])
    yield made
    for folder in made.values():  # pytest keeps what three runs have left
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("student", "teacher"), [("ViT-B/16", "ViT-L/14"), ("ViT-L/14", "ViT-B/16")])
def test_in_boosted_out_and_in_again(student, teacher, folders, tmp_path):
    """It takes 6 GB of memory and 5 GB of the disk."""
    from dassl.utils import reset_logger

    import train

    keys = {
        "TRAINER.CASPL.TEACHER": folders[teacher],
        "TRAINER.CASPL.N_CTX_VISION": 0,  # what learns in the image tower has no place in a CLIPModel
        "INPUT.SIZE": "(224, 224)",
        "DATASET.NUM_SHOTS": 1,
        "DATASET.SUBSAMPLE_CLASSES": "base",
        "DATALOADER.TRAIN_X.BATCH_SIZE": 5,
        "OPTIM.MAX_EPOCH": 1,
        "TEST.NO_TEST": True,
    }
    flags = {
        "--root": tmp_path / "data",
        "--seed": 1,
        "--trainer": "CasPLBoost",
        "--dataset-config-file": "configs/datasets/digits.yaml",
        "--config-file": "configs/trainers/CasPLBoost/digits.yaml",
        "--backbone": folders[student],
        "--output-dir": tmp_path / "out",
    }
    try:
        assert train.main([str(word) for pair in (*flags.items(), *keys.items()) for word in pair]) == 0
    finally:
        reset_logger()
    _, header = read_boosting(tmp_path / "out")
    assert header.student_fingerprint.partition("/")[2] == FACTS[student]
    assert header.teacher_fingerprint.partition("/")[2] == FACTS[teacher]
    assert main(["export", str(tmp_path / "out"), "--transformers", str(tmp_path / "clip")]) == 0
    assert load_backbone(str(tmp_path / "clip")).fingerprint == header.student_fingerprint
    shutil.rmtree(tmp_path / "clip")
