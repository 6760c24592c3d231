"""What a run's record costs: 50,000 images of 1,000 classes, as ImageNet's test has.

    python bench/records.py [--device cuda]

Printed are the seconds of the evaluator without and with what the record needs of each batch, those of the end (numbers, the
file of predictions, the record) and the memory that is kept. An evaluation of as many images takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import plain  # noqa: F401, makes the repository's modules importable

# isort: split
import numpy as np
import torch
from dassl.evaluation.predicted import Collector

from caspl.ground import door
from caspl.ground.tensors.finite import checked_scores
from caspl.results.records import found, predictions, write
from caspl.results.records.measures import measured
from tests.records_made import record

IMAGES, CLASSES, BATCH = 50_000, 1_000, 100


def evaluate(batches: list[torch.Tensor], labels: torch.Tensor, collector: Collector | None) -> float:
    """Seconds that the evaluator takes, with the `collector` or as before there was one."""
    start, true, predicted = time.perf_counter(), [], []
    for number in range(IMAGES // BATCH):
        scores = checked_scores(batches[number % len(batches)])
        gt = labels[number * BATCH : (number + 1) * BATCH].tolist()
        true.extend(gt)
        guesses = scores.max(1)[1]
        predicted.extend(guesses.tolist() if collector is None else collector.add(scores, guesses, gt))
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = torch.device(parser.parse_args().device)
    torch.manual_seed(0)
    batches = [torch.randn(BATCH, CLASSES, device=device) * 3 for _ in range(8)]
    labels = torch.randint(CLASSES, (IMAGES,), device=device)
    evaluate(batches, labels, None)
    without = evaluate(batches, labels, None)
    collector = Collector()
    collecting = evaluate(batches, labels, collector)
    start, got = time.perf_counter(), collector.predicted()
    names = [f"val/n{label:08d}/ILSVRC2012_val_{n:08d}.JPEG" for n, label in enumerate(got.labels)]
    table = predictions.Table(names, got.labels, got.top, got.probabilities)
    result = measured(got.labels, got.top, got.probabilities, classes=CLASSES, split="test", told=False)
    numbers = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        said = predictions.write(folder, table)
        writing, size = time.perf_counter() - start, (Path(folder) / said.file).stat().st_size
        classes = [f"class {n}" for n in range(CLASSES)]
        whole = record(**{"dataset.classes": classes, "dataset.subset": "all", "result": result, "predictions": said})
        start = time.perf_counter()
        write(folder, whole)
        recording = time.perf_counter() - start
        start = time.perf_counter()
        found(folder)
        reading = time.perf_counter() - start
        start = time.perf_counter()
        assert predictions.verified(whole, folder) == []
        verifying = time.perf_counter() - start
    kept = sum(part.nbytes for part in (got.labels, got.top, got.probabilities))
    print(f"{IMAGES:,} images, {CLASSES:,} classes, batches of {BATCH}, {device}; NumPy {np.__version__}")
    print(f"evaluator {without:.2f} s, collecting {collecting - without:+.2f} s, numbers {numbers:.2f} s")
    print(
        f"predictions {writing:.2f} s ({size / 1e6:.2f} MB), record {recording * 1e3:.1f} ms, read {reading * 1e3:.1f} ms"
    )
    print(f"verified in {verifying:.2f} s; {kept / 1e6:.1f} MB kept of the images")


if __name__ == "__main__":
    sys.exit(door.run(main))
