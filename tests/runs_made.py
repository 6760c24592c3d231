"""Folders of runs as our sweeps leave them, made up for tests: logs, records and, where wanted, predictions and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from caspl.results.records import Record, predictions, write
from caspl.results.records.measures import measured
from logs_made import made, put
from records_made import of_a_test, record
from records_made import result as counted

BASE = "base2new/train_base/digits/shots_16/{}/digits/seed{}"
NEW = BASE.replace("train_base", "test_new")


def digits(top, trainer="CoOp", seed=1, base=85, new=60, **changes):
    """A training and its test on the new classes, each with its record."""
    for make, classes, percent in ((record, "base", base), (of_a_test, "new", new)):
        place = (BASE if classes == "base" else NEW).format(trainer, seed)
        model = "" if classes == "base" else BASE.format(trainer, seed)
        put(
            top,
            place,
            made(percent, "digits", trainer, seed=seed, classes=classes, output=place, model=model, file="digits"),
        )
        known = make(**{"result": counted((10_000,), (percent * 100,)), "predictions": None, **changes})
        write(top / place, of_run(known, trainer, seed, ["zero"], model))


def of_run(known: Record, trainer: str, seed: int, classes: Sequence[str], model: str = "") -> Record:
    """A record that is of this run."""
    settings = known.configuration.settings | {"TRAINER.NAME": trainer, "SEED": str(seed)}
    return replace(
        known,
        dataset=replace(known.dataset, classes=list(classes), seed=seed),
        model=replace(known.model, trainer=trainer, folder=model),
        configuration=replace(known.configuration, settings=settings),
    )


def predicted(
    top: Path,
    labels: Sequence[int],
    guesses: Sequence[int],
    sure: Sequence[float],
    *,
    names: Sequence[str],
    images: Sequence[str] = (),
    root: str = "data",
    trainer: str = "CoOp",
    seed: int = 1,
    log: str = "",
) -> Path:
    """A training on base classes with the prediction of each image, and its folder; the second guess takes the rest."""
    place = top / BASE.format(trainer, seed)
    place.mkdir(parents=True)
    guess, sure = np.array(guesses), np.array(sure, np.float32)
    table = predictions.Table(
        list(images) or [f"{names[label]}/{number}.png" for number, label in enumerate(labels)],
        np.array(labels),
        np.stack([guess, (guess + 1) % len(names)], axis=1),
        np.stack([sure, 1 - sure], axis=1),
    )
    result = measured(table.labels, table.top, table.probabilities, classes=len(names), split="test", told=True)
    known = of_run(record(result=result, predictions=predictions.write(place, table)), trainer, seed, names)
    settings = known.configuration.settings | {"DATASET.ROOT": root}
    write(place, replace(known, configuration=replace(known.configuration, settings=settings)))
    text = made(
        result.accuracy, "digits", trainer, seed=seed, classes="base", output=str(place), file="digits", more=log
    )
    counts = f"* total: {result.total:,}\n* correct: {result.correct:,}\n* accuracy: {result.accuracy:.1f}%\n"
    put(top, BASE.format(trainer, seed), text[: text.index("* total")] + counts)
    return place


def image(path: Path, color: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (8, 8), **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **more)
    return path
