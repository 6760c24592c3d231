"""From the start of a PromptSRC run to its first step, with its texts encoded plainly, packed, and found again.

    python -m bench references --classes 50 --repeats 1
    python -m bench references --classes 1000 --texts-only

The texts are its sixty templates for each class. Each way is a `train.py` from its first import on, with weights of ViT-B/16's
shape in a file, and takes its turn: `plain` encodes every text at all 77 positions, in every run; `first run` packs them, and
keeps their features; `second run` finds them. With --texts-only they are encoded in this process, and its memory is looked at.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.frame import memory
from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, faster, median, ratio
from bench.frame.sides import ROOT, ChildError
from bench.frame.timing import timed
from bench.tower import plain
from caspl.clip.backbones import load_backbone
from caspl.clip.feature_store import FeatureStore
from caspl.clip.templates import DIVERSE
from caspl.prompting.zeroshot.features import zeroshot_features

PLAIN, FIRST, SECOND = "plain", "first run", "second run"
DEMO = "demo/student"
CONFIGS = ROOT / "configs"


def write_images(folder: Path, classes: int) -> None:
    """Class folders of tiny photographs, two to train with and one to test."""
    generator = np.random.default_rng(0)
    for name in plain.class_names(classes):
        for part, count in (("train", 2), ("test", 1)):
            place = folder / part / name.replace("/", " or ")
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.jpg")


def started(way: str, backbone: str, folder: Path, threads: int) -> float:
    """Seconds from the start of a run to its first step."""
    method = "digits" if backbone == DEMO else "vit_b16_c2_ep20_batch4_4+4ctx"
    words = {
        "--root": folder / "images",
        "--seed": "1",
        "--trainer": "PromptSRC",
        "--dataset-config-file": CONFIGS / "datasets" / "image_folder.yaml",
        "--config-file": CONFIGS / "trainers" / "PromptSRC" / f"{method}.yaml",
        "--output-dir": folder / "out",
    }
    keys = {"MODEL.BACKBONE.NAME": backbone, "DATASET.NUM_SHOTS": "2", "TRAINER.PROMPTSRC.PREC": "fp32"}
    shutil.rmtree(folder / "out", ignore_errors=True)
    if way == FIRST:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    file = folder / "moment.txt"
    file.unlink(missing_ok=True)
    given = [str(word) for pair in (*words.items(), *keys.items()) for word in pair]
    settings = {"CASPL_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": str(threads)}
    begin = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "bench.data.first_step", way, str(file), *given],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    if not file.exists():
        said = done.stderr.strip().splitlines()
        raise ChildError(f"{way} ended with status {done.returncode}: {said[-1] if said else 'it said nothing'}")
    return float(file.read_text()) - begin


def to_the_first_step(args: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_images(folder / "images", args.classes)
        backbone = args.backbone
        if backbone != DEMO:
            backbone = str(folder / "weights.pt")
            torch.save(plain.build_clip(args.backbone).state_dict(), backbone)
        ways = (PLAIN, FIRST, SECOND)
        turns = [[started(way, backbone, folder, args.threads) for way in ways] for _ in range(args.repeats)]
        times = dict(zip(ways, zip(*turns, strict=True), strict=True))
    return [
        faster(times, PLAIN, SECOND, "second run faster", least=15),
        faster(times, PLAIN, FIRST, "first run faster", least=4),
        *(median(way, times[way]) for way in ways),
    ]


def of_the_texts(args: argparse.Namespace) -> list[Figure]:
    backbone = load_backbone(DEMO) if args.backbone == DEMO else plain.build_backbone(args.backbone, args.device)
    names, _ = plain.class_names(args.classes), backbone.fingerprint
    with tempfile.TemporaryDirectory() as folder:
        store, held = FeatureStore(folder), memory.count_from_here(args.device)
        encode = timed(
            lambda: zeroshot_features(backbone, names, *DIVERSE, normalize_each=False, store=store), args.device
        )
        first, peak, second = encode(), memory.peak(args.device), encode()
    return [
        Figure(name=FIRST, value=first, unit="s", most=600),
        Figure(name=SECOND, value=second, unit="s"),
        ratio("found again faster", [first], [second]),
        Figure(name="memory beside the weights", value=(peak - held) / 1e9, unit="GB", most=4),
        Figure(name="texts", value=len(names) * len(DIVERSE), unit=""),
    ]


def measure(args: argparse.Namespace) -> list[Figure]:
    return of_the_texts(args) if args.texts_only else to_the_first_step(args)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backbone", default=plain.VIT_B16, help=f"an open_clip architecture, or {DEMO}")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--texts-only", action="store_true", help="encode the texts in this process, and nothing else")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"50 classes": "--classes 50 --repeats 1", "1,000 classes": "--classes 1000 --texts-only"},
    trial="--backbone demo/student --classes 3",
    repeats=1,
    tables={
        "references": Table(
            head="PromptSRC",
            columns={
                PLAIN: PLAIN,
                FIRST: FIRST,
                "faster": "first run faster",
                SECOND: SECOND,
                "faster ": "second run faster",
            },
            runs=("50 classes",),
        ),
        "references_texts": Table(
            head="texts alone",
            columns={FIRST: FIRST, SECOND: SECOND, "memory beside the weights": "memory beside the weights"},
            runs=("1,000 classes",),
        ),
    },
)
