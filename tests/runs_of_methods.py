"""Finished runs as `find_runs` gives them, made up for tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from caspl.results.reading.run import BASE_TO_NEW, Run
from caspl.results.records import Record, predictions
from caspl.results.records.measures import measured
from records_made import record


def a_run(
    accuracy: float = 80.0, trainer: str = "CoOp", seed: int | None = 1, classes: str = "base", **changes: Any
) -> Run:
    known = Run(
        setting=BASE_TO_NEW,
        dataset="digits",
        trainer=trainer,
        config="cfg",
        shots=16,
        seed=seed,
        classes=classes,
        accuracy=accuracy,
        inductive=False,
        backbone="ViT-B/16",
        part="",
        is_test=classes != "base",
        epoch=None,
        images=1_000,
        root="",
        path=f"{trainer}/{classes}/seed{seed}/log.txt",
    )
    return replace(known, **changes)


def runs_of(trainer: str, accuracies: Mapping[int, Sequence[float | None]], **changes: Any) -> list[Run]:
    """`accuracies`: seed -> (base, new) or (base, new, all), None for what was not run."""
    return [
        a_run(accuracy, trainer, seed, classes, **changes)
        for seed, numbers in accuracies.items()
        for classes, accuracy in zip(("base", "new", "all"), numbers, strict=False)
        if accuracy is not None
    ]


def predicting(top: Path, run: Run, right: Sequence[bool], names: str = "") -> Run:
    """The run with predictions of images in `top`, of two classes, of which it has these right."""
    labels = np.arange(len(right)) % 2
    guesses = np.where(right, labels, 1 - labels)
    table = predictions.Table(
        [f"{names or run.classes}/{number}.png" for number in range(len(right))],
        labels,
        np.stack([guesses, 1 - guesses], axis=1),
        np.tile(np.array([0.75, 0.25], np.float32), (len(right), 1)),
    )
    result = measured(table.labels, table.top, table.probabilities, classes=2, split="test", told=run.classes != "all")
    folder = (top / run.path).parent
    folder.mkdir(parents=True, exist_ok=True)
    known: Record = record(
        **{
            "result": result,
            "predictions": predictions.write(folder, table),
            "dataset.classes": ["zero", "one"],
            "model.trainer": run.trainer,
            "protocol.told": "no" if run.classes == "all" else run.classes,
        }
    )
    return replace(run, accuracy=result.accuracy, images=result.total, record=known)
