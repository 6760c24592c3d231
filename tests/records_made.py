"""Records of runs, made up for tests: `record()` is of a finished run of CoOp on digits, and takes changes.

record(status="diverged", result=None, predictions=None)
record(**{"dataset.shots": 4, "model.trainer": "CasPL_CoOp"})
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from caspl.results.records import (
    Bin,
    Boosting,
    Code,
    Configuration,
    Cost,
    Dataset,
    Machine,
    Model,
    ModelFile,
    Part,
    Predictions,
    Protocol,
    Record,
    Result,
    Training,
    digest,
)

BASE = ["zero", "one", "two", "three", "four"]
NEW = ["five", "six", "seven", "eight", "nine"]
SETTINGS = {
    "DATASET.NAME": "Digits",
    "DATASET.NUM_SHOTS": "16",
    "DATASET.SUBSAMPLE_CLASSES": "base",
    "MODEL.BACKBONE.NAME": "demo/student",
    "OPTIM.MAX_EPOCH": "30",
    "OUTPUT_DIR": "output/coop",
    "SEED": "1",
    "TRAINER.NAME": "CoOp",
}


def sha(character: str) -> str:
    """A checksum that there could be: one character 64 times."""
    return character * 64


def boosting(**changes: Any) -> Boosting:
    known = Boosting(
        source="output/boost/boosting.safetensors",
        sha256=sha("b"),
        student="demo/student",
        teacher="demo/teacher",
        dataset="Digits",
        names="all",
        classes=10,
        template="a photo of the number {}.",
        temperature=1.0,
        loss="kl",
        epochs=20,
        seed=1,
        text_length=8,
        vision_length=8,
        text_depth=3,
        vision_depth=4,
    )
    return replace(known, **changes)


def result(
    total: Sequence[int] = (50, 55, 53, 55, 54), correct: Sequence[int] = (48, 41, 50, 40, 52), **changes: Any
) -> Result:
    """A result with these images of each class; its calibration and F1 are made up."""
    count, right = sum(total), sum(correct)
    bins = [Bin(0, 0, 0.0)] * 14 + [Bin(count, right, 0.95 * count)]
    known = Result(
        split="test",
        total=count,
        correct=right,
        accuracy=100 * right / count,
        macro_f1=100 * right / count,
        all_classes=None,
        class_total=list(total),
        class_correct=list(correct),
        ece=100 * abs(0.95 * count - right) / count,
        bins=bins,
    )
    return replace(known, **changes)


def record(**changes: Any) -> Record:
    """A record with changes: by field, or by "field.field". What depends on them is not changed along."""
    known = Record(
        status="finished",
        reason="",
        task="train",
        command=["--root", "data", "--trainer", "CoOp", "--output-dir", "output/coop", "SEED", "1"],
        configuration=Configuration(
            "configs/datasets/digits.yaml", "configs/trainers/CoOp/digits.yaml", dict(SETTINGS), digest(SETTINGS)
        ),
        code=Code("0.4.0", "0123456789abcdef0123456789abcdef01234567", False, sha("c")),
        machine=Machine("3.11.9", "2.4.0", "cpu", "x86_64", "fp32", "float32"),
        dataset=Dataset(
            "Digits", "base", 16, 1, list(BASE), Part(80, sha("1")), Part(20, sha("2")), Part(267, sha("3"))
        ),
        protocol=Protocol("shots", "", "", "base", "base", "last_step"),
        model=Model(
            trainer="CoOp",
            backbone="demo/student",
            fingerprint="demo",
            parameters=1_024,
            folder="",
            epoch=30,
            files=[ModelFile("prompt_learner/model.pth.tar-30", sha("4"))],
            training=Training("Digits", "base", 16, 1, 30),
        ),
        boosting=None,
        result=result(),
        predictions=Predictions("predictions.csv.gz", 267, sha("5")),
        cost=Cost("2025-01-31T09:30:00Z", "2025-01-31T09:30:20Z", 15.5, 0.5, 500_000_000, 0),
    )
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        known = replace(known, **{outer: replace(getattr(known, outer), **{inner: value}) if inner else value})
    return known


def of_a_test(**changes: Any) -> Record:
    """A record of a test of that run's model on the new classes."""
    more = {
        "task": "test",
        "dataset.subset": "new",
        "dataset.classes": list(NEW),
        "protocol.told": "new",
        "model.folder": "output/coop",
        "result": result((54, 54, 53, 52, 54), (30, 40, 20, 45, 26)),
        "configuration.settings": SETTINGS | {"DATASET.SUBSAMPLE_CLASSES": "new", "OUTPUT_DIR": "output/test_new"},
    }
    return record(**more | changes)
