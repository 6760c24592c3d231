"""Whether SEED_STREAM upstream starts a run as the method's own repository does: the same prompts, the same order of images.

    python -m bench seed_stream CoOp=../CoOp:../Dassl.pytorch MaPLe=../multimodal-prompt-learning:../Dassl.pytorch ...

Each argument is METHOD=CHECKOUT:DASSL, both folders as they come from GitHub; ProGrad and KgCoOp bring a Dassl of their own.
The repository's code really runs, on the CPU, with random weights of a CLIP's true shape and a few images in the layout of
Caltech101. What it has drawn is compared with this program's, bit by bit: prompts at the start, few-shot samples, the order of
two epochs and the pixels of the first. Prints a row for each way to start; exit status 1 where any differs.
`--checkouts FOLDER` stands for all methods whose checkouts lie in it under their names on GitHub.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import open_clip
import torch
from dassl.engine import build_trainer
from dassl.utils import set_random_seed
from PIL import Image
from tabulate import tabulate

from bench.frame.benchmark import Benchmark, count
from bench.frame.figures import Figure
from bench.frame.sides import ROOT
from bench.originals.checkouts import DASSL, FOLDERS, ORIGINALS
from caspl import train
from caspl.checkpoints.family import released_prompts
from caspl.ground.errors import InputError

CLASSES, IMAGES = 6, 5
COMMON = {"DATASET.NUM_SHOTS": "2", "DATALOADER.TRAIN_X.BATCH_SIZE": "4", "DATALOADER.NUM_WORKERS": "0"}
AT_RANDOM = {"TRAINER.COOP.CTX_INIT": ("", "False")}  # here, and there
# Ways to start: the configuration, a CLIP, and keys
STARTS = {
    "CoOp": [
        ("vit_b16", "ViT-B/16", {}),
        ("vit_b16", "ViT-B/16", {"TRAINER.COOP.CSC": "True", "TRAINER.COOP.PREC": "fp32"}),
        ("rn50", "RN50", {}),
        ("vit_b16_ctxv1", "ViT-B/16", {}),
    ],
    "CoCoOp": [("vit_b16_c16_ep10_batch1", "ViT-B/16", {}), ("vit_b16_c4_ep10_batch1_ctxv1", "ViT-B/16", {})],
    "KgCoOp": [
        ("vit_b16_ep100_ctxv1", "ViT-B/16", {"TRAINER.COOP.N_CTX": "4"}),
        ("vit_b16_ep100_ctxv1", "ViT-B/16", {"TRAINER.COOP.N_CTX": "6", **AT_RANDOM}),
    ],
    "ProGrad": [
        ("rn50_ep100", "RN50", {"TRAINER.COOP.N_CTX": "16"}),
        ("rn50_ep100", "RN50", {"TRAINER.COOP.N_CTX": "16", **AT_RANDOM}),
    ],
    "VPT": [("vit_b16_c2_ep5_batch4_4", "ViT-B/16", {})],
    "IVLP": [
        ("vit_b16_c2_ep5_batch4_2+2ctx", "ViT-B/16", {}),
        ("vit_b16_c2_ep5_batch4_4ctx_language_only", "ViT-B/16", {}),
        (
            "vit_b16_c2_ep5_batch4_2+2ctx",
            "ViT-B/16",
            {"TRAINER.IVLP.N_CTX_TEXT": "6", "TRAINER.IVLP.PROMPT_DEPTH_VISION": "5"},
        ),
    ],
    "MaPLe": [
        ("vit_b16_c2_ep5_batch4_2ctx", "ViT-B/16", {}),
        ("vit_b16_c2_ep5_batch4_2ctx", "ViT-B/16", {"TRAINER.MAPLE.N_CTX": "5", "TRAINER.MAPLE.PROMPT_DEPTH": "4"}),
    ],
    "PromptSRC": [
        ("vit_b16_c2_ep20_batch4_4+4ctx", "ViT-B/16", {}),
        ("vit_b16_c2_ep20_batch4_4+4ctx", "ViT-B/16", {"TRAINER.PROMPTSRC.N_CTX_TEXT": "8"}),
    ],
}


def write_images(root: Path) -> None:
    """Caltech101's layout with a few images of noise."""
    folder, split = root / "caltech-101", {"train": [], "val": [], "test": []}
    random = torch.Generator().manual_seed(0)
    for label in range(CLASSES):
        name = f"class_{label}"
        (folder / "101_ObjectCategories" / name).mkdir(parents=True)
        for number in range(IMAGES):
            path = f"{name}/image_{label}_{number}.jpg"
            noise = torch.randint(0, 255, (48, 64, 3), dtype=torch.uint8, generator=random)
            Image.fromarray(noise.numpy()).save(folder / "101_ObjectCategories" / path)
            split["test" if number == IMAGES - 1 else "train"].append([path, label, name])
    split["val"] = split["test"]
    (folder / "split_zhou_Caltech101.json").write_text(json.dumps(split))


def write_weights(name: str, folder: Path) -> Path:
    """Random weights of a CLIP under OpenAI's names, in the format of OpenAI's files."""
    path = folder / f"{name.replace('/', '-')}.pt"
    if not path.exists():
        torch.manual_seed(0)
        model = open_clip.create_model(f"{name.replace('/', '-')}-quickgelu", precision="fp32")
        torch.save({key: value.half() for key, value in model.state_dict().items()}, path)
    return path


def words(method: str, config: str, folder: Path, keys: dict, side: int) -> list[str]:
    """The command for ours (side 0) or theirs (side 1)."""
    flags = {
        "--root": folder / "images",
        "--seed": 1,
        "--trainer": method,
        "--dataset-config-file": "configs/datasets/caltech101.yaml",
        "--config-file": f"configs/trainers/{method}/{config}.yaml",
        "--output-dir": folder / "output",
        **COMMON,
        **{key: value if isinstance(value, str) else value[side] for key, value in keys.items()},
    }
    return [str(word) for pair in flags.items() for word in pair]


def theirs(method: str, checkout: Path, dassl: Path, weights: Path, folder: Path, given: list[str]) -> dict:
    """What the repository has drawn, with prompts under our names."""
    output = folder / "theirs.pt"
    child = [sys.executable, "-m", "bench.originals.start", method, str(weights), str(output), *given]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(dassl), str(ROOT)])}
    done = subprocess.run(child, cwd=checkout, env=env, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{method} of {checkout} did not start: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    found = torch.load(output)
    found["state"] = released_prompts(found["state"], method=method)
    return found


def ours(given: list[str]) -> dict:
    """What this program has drawn."""
    cfg = train.setup_cfg(train.parse_args([*given, "SEED_STREAM", "upstream"]))
    set_random_seed(cfg.SEED)
    trainer = build_trainer(cfg)
    state = {name: value.detach().clone() for name, value in trainer.learned().state_dict().items()}
    trainer.before_train()
    epochs = [list(trainer.train_loader_x) for _ in range(2)]
    return {
        "state": state,
        "images": [[path.rsplit("/", 1)[1] for batch in epoch for path in batch["impath"]] for epoch in epochs],
        "pixels": torch.cat([batch["img"] for batch in epochs[0]]),
    }


def compared(a: dict, b: dict) -> list[str]:
    """Same prompts, samples, order and pixels: yes, or what differs."""
    prompts = [n for n in b["state"] if n not in a["state"] or not torch.equal(a["state"][n], b["state"][n])]
    samples, order = (sorted(a["images"][0]) == sorted(b["images"][0])), a["images"] == b["images"]
    pixels = order and torch.equal(a["pixels"], b["pixels"])
    return [", ".join(prompts) or "yes", *("yes" if same else "no" for same in (samples, order, pixels))]


def compare(method: str, checkout: Path, dassl: Path, place: Path, ways: int | None) -> list[list[str]]:
    rows = []
    for number, (config, clip, keys) in enumerate(STARTS[method][:ways]):
        weights, sides = write_weights(clip, place), [place / f"{method}{number}" / side for side in ("ours", "theirs")]
        for folder in sides:
            write_images(folder / "images")
        here, there = (words(method, config, folder, keys, side) for side, folder in enumerate(sides))
        drawn = theirs(method, checkout, dassl, weights, sides[1], there)
        said = " ".join(
            f"{key.rpartition('.')[2]}={value if isinstance(value, str) else value[1]}" for key, value in keys.items()
        )
        rows.append([method, config, said, *compared(drawn, ours([*here, "MODEL.BACKBONE.NAME", str(weights)]))])
    return rows


def measure(args: argparse.Namespace) -> list[Figure]:
    rows, given = [], list(args.runs)
    if args.checkouts:
        found = {method: args.checkouts / folder for method, folder in FOLDERS.items() if method in STARTS}
        given += [f"{method}={path}:{args.checkouts / DASSL}" for method, path in found.items() if path.exists()]
    if not given:
        raise InputError("no METHOD=CHECKOUT:DASSL and no --checkouts with any of the repositories; give one")
    with tempfile.TemporaryDirectory() as place:
        for argument in given:
            method, equals, folders = argument.partition("=")
            checkout, colon, dassl = folders.partition(":")
            if method not in STARTS or not equals or not colon:
                raise InputError(f'"{argument}" is no METHOD=CHECKOUT:DASSL; methods are {", ".join(STARTS)}')
            rows += compare(method, Path(checkout).resolve(), Path(dassl).resolve(), Path(place), args.ways)
    columns = ("method", "configuration", "keys", "prompts", "samples", "order", "pixels")
    print(tabulate(rows, columns))
    different = [row for row in rows if any(cell != "yes" for cell in row[3:])]
    return [
        Figure(name="starts that differ", value=len(different), unit="", most=0),
        Figure(name="starts", value=len(rows), unit=""),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="METHOD=CHECKOUT:DASSL")
    parser.add_argument("--ways", type=count, help="how many ways to start of each method (default: all)")
    parser.add_argument("--checkouts", type=Path, metavar="FOLDER", help="with checkouts under their names on GitHub")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"": "--checkouts {originals}"},
    trial="--ways 1",
    needs={"originals": ORIGINALS},
    repeats=None,
)
