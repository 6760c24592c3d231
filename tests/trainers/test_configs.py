"""Every configuration file is one that train.py takes, and one of each kind builds its trainer, on the demo models."""

import shlex

import pytest
import torch
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY, build_trainer
from dassl.utils import set_random_seed

import train
from caspl.clip.backbones import load_backbone
from caspl.ground.yaml_files import read_yaml
from caspl.trainers.caspl_boost import new_boosting

from .conftest import ROOT

TRAINERS = sorted((ROOT / "configs" / "trainers").glob("*/*.yaml"))
DATASETS = sorted((ROOT / "configs" / "datasets").glob("*.yaml"))
# Depths of the real models that the demo models do not have: name of the key -> blocks of demo/student
BLOCKS = {"PROMPT_DEPTH": 3, "PROMPT_DEPTH_TEXT": 3, "PROMPT_DEPTH_VISION": 4, "DEPTH_TEXT": 3, "DEPTH_VISION": 4}


def named(path):
    return f"{path.parent.name}/{path.stem}"


def launch_command(path):
    """The command in the first lines of a file, as words."""
    lines = path.read_text().splitlines()
    command = []
    for line in lines:
        command.append(line.removeprefix("#").rstrip("\\").strip())
        if not line.endswith("\\"):
            break
    return shlex.split(" ".join(command))


def demo_depths(content):
    """KEY VALUE pairs that cut the depths of a configuration down to what demo/student has."""
    pairs = []
    for node, keys in (content.get("TRAINER") or {}).items():
        for key, blocks in BLOCKS.items():
            if keys.get(key, 0) > blocks:
                pairs += [f"TRAINER.{node}.{key}", str(blocks)]
    return pairs


def kind(content):
    """What of a configuration decides which code builds it: its keys and their values, of numbers whether they are above 0."""
    if isinstance(content, dict):
        return tuple((key, kind(value)) for key, value in content.items() if key not in ("NAME", "MODEL"))
    return content > 0 if type(content) in (int, float) else str(content)


def one_of_each_kind():
    """The files whose trainers are built here; all the other tests build trainers from the files for digits."""
    first = {}
    for path in TRAINERS:
        if path.stem != "digits":
            first.setdefault((path.parent.name, kind(read_yaml(path))), path)
    return list(first.values())


def configuration(path, root, output):
    """As the file's command says, but on digits and with the demo models."""
    content, name = read_yaml(path), path.parent.name
    arguments = ["--root", str(root), "--trainer", name, "--output-dir", str(output), "--seed", "1"]
    arguments += ["--backbone", "demo/student", "--config-file", str(path)]
    arguments += ["--dataset-config-file", str(ROOT / "configs/datasets/digits.yaml")]
    options = [
        "INPUT.SIZE",
        "(32, 32)",
        "DATALOADER.NUM_WORKERS",
        "0",
        *demo_depths(content),
    ]
    options += ["TRAINER.CASPL.TEACHER", "demo/teacher"] if name == "CasPLBoost" else []
    if name == "CoCoOp" and "'template'" in str(content):  # that of digits is longer than the others
        options += ["TRAINER.COCOOP.N_CTX", "16"]
    if "GPA_MEAN" not in str(content):
        options += ["DATASET.NUM_SHOTS", "1"]
    return train.setup_cfg(train.parse_args([*arguments, *options]))


@pytest.mark.parametrize("path", TRAINERS, ids=named)
def test_trainer_configuration(path, data, tmp_path):
    content = read_yaml(path)
    name = path.parent.name
    words = launch_command(path)
    assert words[:2] == ["python", "train.py"] and train.parse_args(words[2:])  # the flags exist
    given = dict(zip(words[2::2], words[3::2], strict=False))
    assert given["--trainer"] == name and (ROOT / given["--config-file"]) == path
    assert ("TRAINER.CASPL.BOOSTING" in words) == name.startswith("CasPL_")
    cfg = configuration(path, data, tmp_path)
    if "OPTIM" in content:
        epochs = content["OPTIM"]["MAX_EPOCH"]
        assert content["OPTIM"].get("LR", cfg.OPTIM.LR) == cfg.OPTIM.LR and epochs == cfg.OPTIM.MAX_EPOCH
        # The cross-dataset files of MaPLe keep the name of the five epochs that they cut to two
        assert f"_ep{epochs}" in path.stem or "_ep" not in path.stem or "_cross_datasets" in path.stem
        assert f"_batch{cfg.DATALOADER.TRAIN_X.BATCH_SIZE}_" in f"{path.stem}_" or "_batch" not in path.stem
    for node in (content.get("TRAINER") or {}).values():
        depth = node.get("PROMPT_DEPTH", node.get("PROMPT_DEPTH_TEXT", node.get("DEPTH_TEXT")))
        assert depth is None or f"_l{depth}_" in f"{path.stem}_" or "_l" not in path.stem.replace("_language", "")
        assert node.get("PREC", "fp16") == ("fp32" if path.stem in ("digits", "demo") else "fp16")


@pytest.mark.slow
@pytest.mark.parametrize("path", one_of_each_kind(), ids=named)
def test_one_of_each_kind_is_built(path, data, tmp_path):
    cfg = configuration(path, data, tmp_path)
    set_random_seed(1)
    trainer = build_trainer(cfg)
    assert type(trainer) is TRAINER_REGISTRY.get(path.parent.name)
    assert len(next(iter(trainer.test_loader))["img"])
    assert trainer.max_epoch == (
        1 if path.parent.name == "LinearProbe" else cfg.OPTIM.MAX_EPOCH
    )  # it is fitted at once


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_dataset_configuration(path):
    cfg = train.setup_cfg(train.parse_args(["--trainer", "CoOp", "--dataset-config-file", str(path)]))
    assert cfg.DATASET.NAME in DATASET_REGISTRY.registered_names()


def test_every_trainer_has_the_configuration_of_the_demo():
    here = {path.parent.name for path in TRAINERS if path.stem == "digits"}
    ours = {name for name in TRAINER_REGISTRY.registered_names() if "caspl" in TRAINER_REGISTRY.get(name).__module__}
    assert here == ours


# Of facts that the family published: file -> (learning rate, epochs, batch)
PUBLISHED = {
    "CoOp/vit_b16_ctxv1": (0.002, 200, 32),
    "CoOp/vit_b16_ep50_ctxv1": (0.002, 50, 32),
    "CoCoOp/vit_b16_c4_ep10_batch1_ctxv1": (0.002, 10, 1),
    "VPT/vit_b16_c2_ep5_batch4_4": (0.0025, 5, 4),
    "IVLP/vit_b16_c2_ep5_batch4_4ctx_language_only": (0.0025, 5, 4),
    "IVLP/vit_b16_c2_ep5_batch4_2+2ctx": (0.0035, 5, 4),
    "IVLP/vit_b16_c2_ep20_batch4_4+4ctx": (0.0025, 20, 4),
    "MaPLe/vit_b16_c2_ep5_batch4_2ctx": (0.0035, 5, 4),
    "MaPLe/vit_b16_c2_ep5_batch4_2ctx_cross_datasets": (0.0026, 2, 4),
    "PromptSRC/vit_b16_c2_ep20_batch4_4+4ctx": (0.0025, 20, 4),
    "PromptSRC/vit_b16_c2_ep50_batch4_4+4ctx_few_shot": (0.0025, 50, 4),
    "CoCoOp/rn50_c4_ep10_batch1_ctxv1": (0.002, 10, 1),
    "CoCoOp/rn50_ep50": (0.002, 50, 1),
    "CoCoOp/rn50_ep100_init": (0.002, 100, 1),
    "KgCoOp/vit_b16_ep100_ctxv1": (0.002, 100, 128),
    "ProGrad/rn50": (0.002, 200, 32),
    "CasPLBoost/vit_b16_c2_ep20_batch4_8+8ctx_l12": (0.0025, 20, 4),
    "CasPLBoost/vit_b16_c2_ep20_batch128_lr0025_8+8ctx_l12": (0.0025, 20, 128),
    "CasPLBoost/vit_b16_c2_ep5_batch128_lr0025_4+4ctx_l1": (0.0025, 5, 128),
    "CasPLBoost/vit_b16_c2_ep5_batch128_lr0025_4+4ctx_l12": (0.0025, 5, 128),
    "CasPLBoost/vit_b16_c2_ep10_batch128_lr0025_4+4ctx_l1": (0.0025, 10, 128),
    "CasPLBoost/vit_b16_c2_ep10_batch128_lr0025_4+4ctx_l12": (0.0025, 10, 128),
    "CasPL_CoOp/vit_b16_ep50": (0.002, 50, 32),
    "CasPL_CoOp/vit_b16_ep10": (0.0035, 10, 4),
    "CasPL_CoOp/vit_b16_ep10_ctxv1": (0.0035, 10, 4),
    "CasPL_CoCoOp/vit_b16_c8_ep10_batch1": (0.002, 10, 1),
    "CasPL_MaPLe/vit_b16_c8_ep5_batch4_8ctx_l12": (0.0035, 5, 4),
    "CasPL_MaPLe/vit_b16_c8_ep5_batch4_8ctx_cross_datasets_l12": (0.0026, 2, 4),
    "CasPL_MaPLe/vit_b16_c4_ep5_batch4_4ctx": (0.0035, 5, 4),
    "CasPL_MaPLe/vit_b16_c8_ep5_batch4_8ctx": (0.0035, 5, 4),
    "CasPL_MaPLe/vit_b16_c16_ep5_batch4_16ctx": (0.0035, 5, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_8+8ctx_l12": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_2+2ctx": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_16+16ctx_l9": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_16+16ctx_cross_datasets_l12": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets_l6": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets_l9": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_4+4ctx_cross_datasets_l12": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l6": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep20_batch4_8+8ctx_cross_datasets_l9": (0.0025, 20, 4),
    "CasPL_PromptSRC/vit_b16_c2_ep50_batch4_8+8ctx_few_shot_l12": (0.0025, 50, 4),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_hyperparameters(name):
    content = read_yaml(ROOT / "configs" / "trainers" / f"{name}.yaml")
    optim = content["OPTIM"]
    assert (optim["LR"], optim["MAX_EPOCH"], content["DATALOADER"]["TRAIN_X"]["BATCH_SIZE"]) == PUBLISHED[name]
    assert (optim["NAME"], optim["LR_SCHEDULER"]) == ("sgd", "cosine")
    assert (optim["WARMUP_EPOCH"], optim["WARMUP_TYPE"], float(optim["WARMUP_CONS_LR"])) == (1, "constant", 1e-5)


@pytest.mark.parametrize("path", [path for path in TRAINERS if path.parent.name == "CasPLBoost"], ids=named)
def test_phase_1_starts_up_to_four_tokens_from_the_words(path, data, tmp_path):
    cfg = configuration(path, data, tmp_path)
    assert cfg.TRAINER.CASPL.CTX_INIT == "a photo of a"
    backbone = load_backbone("demo/student")
    first = new_boosting(cfg, backbone).text[0]
    words = backbone.embed("a photo of a")
    assert torch.equal(first, words) if len(first) == 4 else len(first) > 4 and not torch.equal(first[:4], words)
