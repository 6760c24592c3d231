"""Logs as Dassl and the family's train.py print them, made from what a run is; used by the tests of caspl.results."""

from __future__ import annotations

import re
from pathlib import Path

NAMES = {  # of configuration files, in the registry
    "imagenet": "ImageNet",
    "oxford_pets": "OxfordPets",
    "sun397": "SUN397",
    "dtd": "DescribableTextures",
    "digits": "Digits",
    "imagenetv2": "ImageNetV2",
    "imagenet_r": "ImageNetR",
    "folder": "ImageFolder",
}


def result(percent: float, split: str = "test", total: int = 10_000) -> str:
    """An evaluation of today's Dassl."""
    correct = round(percent * total / 100)
    return (
        f"Evaluate on the *{split}* set\n=> result\n* total: {total:,}\n* correct: {correct:,}\n* accuracy: {percent:.1f}%\n"
        f"* error: {100 - percent:.1f}%\n* macro_f1: {percent:.1f}%\n"
    )


def made(
    percent: float | None = 80.0,
    dataset: str = "oxford_pets",
    trainer: str = "CoOp",
    shots: int = 16,
    seed: int = 1,
    classes: str = "all",
    *,
    backbone: str = "ViT-B/16",
    file: str = "vit_b16",
    output: str = "",
    model: str = "",
    load_epoch: int | None = None,
    epochs: int = 50,
    split: str = "test",
    lr: float = 0.002,
    more: str = "",
    end: str | None = None,
) -> str:
    """A log. `model`: only tests the model of that folder; `percent` None: killed; `end`: stands in the place of the result."""
    only_test = bool(model) or trainer.startswith("Zeroshot")
    head = (
        f"Setting fixed seed: {seed}\n***************\n** Arguments **\n***************\nbackbone: \n"
        f"config_file: configs/trainers/{trainer}/{file}.yaml\ndataset_config_file: configs/datasets/{dataset}.yaml\n"
        f"eval_only: {only_test}\nhead: \nload_epoch: {load_epoch or ''}\nmodel_dir: {model}\nno_train: False\nopts: []\n"
        f"output_dir: {output}\nresume: \nroot: DATA\nseed: {seed}\ntrainer: {trainer}\n"
        f"************\n** Config **\n************\n"
        f"DATASET:\n  NAME: {NAMES[dataset]}\n  NUM_SHOTS: {shots}\n  ROOT: DATA\n  SUBSAMPLE_CLASSES: {classes}\n"
        f"MODEL:\n  BACKBONE:\n    NAME: {backbone}\n    PRETRAINED: True\n  HEAD:\n    NAME: \n  INIT_WEIGHTS: \n"
        f"OPTIM:\n  LR: {lr}\n  MAX_EPOCH: {epochs}\n  NAME: sgd\nOUTPUT_DIR: {output}\nRESUME: \nSEED: {seed}\n"
        f"TEST:\n  FINAL_MODEL: last_step\n  NO_TEST: False\n  SPLIT: {split}\n"
        f"TRAINER:\n  COOP:\n    CSC: False\n    CTX_INIT: \n    N_CTX: 16\n{more}  NAME: {trainer}\nUSE_CUDA: True\n"
        f"Collecting env info ...\n** System info **\nPyTorch version: 1.7.1\nOS: Ubuntu\n\nLoading trainer: {trainer}\n"
        f"Loading dataset: {NAMES[dataset]}\n"
    )
    if not only_test:
        head += f"epoch [1/{epochs}] batch [5/19] time 0.2 (0.2) data 0.1 (0.1) loss 1.2 (1.3) lr 1e-5 eta 0:01:00\n"
    if percent is None:
        return head
    if not only_test:
        head += "Checkpoint saved to model.pth.tar\nFinish training\nDeploy the last-epoch model\n"
    return head + (result(percent, split) if end is None else end) + ("" if only_test else "Elapsed: 0:12:34\n")


def put(top: Path, folder: str, text: str | bytes, name: str = "log.txt") -> Path:
    """The path of a log written below `top`."""
    path = top / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def main_tables(text: str) -> str:
    """Printed tables, of markdown, LaTeX or runs, without what `caspl.results.certainty` adds: a log tells less of that."""
    if text.startswith("setting,"):
        return "".join(re.sub("(,[^,]*){6}$", "\n", line) for line in text.splitlines())
    parts = re.split(r"(?m)^(?=## |\\section|\\end{document})", text)
    behind = r"(## |\\section\*{).*: (all classes and|95 |calibration|paired|protocol)"
    return "".join(part for part in parts if not re.match(behind, part))
