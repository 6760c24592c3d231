"""What a run's record costs: 50,000 images of 1,000 classes, as ImageNet's test has.

    python -m bench records

Printed are the seconds of the evaluator without and with what the record needs of each batch, those of the end (numbers, the
file of predictions, the record) and the memory that is kept. An evaluation of as many images takes minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from dassl.evaluation.predicted import Collector

from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure
from caspl.ground.tensors.finite import checked_scores
from caspl.results.records import found, predictions, write
from caspl.results.records.measures import measured
from tests.records_made import record

CLASSES, BATCH = 1_000, 100


def evaluate(batches: list[torch.Tensor], labels: torch.Tensor, collector: Collector | None) -> float:
    """Seconds that the evaluator takes, with the `collector` or as before there was one."""
    start, true, predicted = time.perf_counter(), [], []
    for number in range(len(labels) // BATCH):
        scores, gt = batches[number % len(batches)], labels[number * BATCH : (number + 1) * BATCH]
        if collector is None:
            true.extend(gt.tolist())
            predicted.extend(checked_scores(scores).max(1)[1].tolist())
        else:
            collector.add(scores, gt)
    if collector is not None:
        collector.numbers()
    return time.perf_counter() - start


def measure(args: argparse.Namespace) -> list[Figure]:
    torch.manual_seed(0)
    batches = [torch.randn(BATCH, CLASSES, device=args.device) * 3 for _ in range(8)]
    labels = torch.randint(CLASSES, (args.images,), device=args.device)
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
    seconds = {
        "collecting": collecting - without,
        "the evaluator alone": without,
        "numbers": numbers,
        "writing predictions": writing,
        "writing the record": recording,
        "reading the record": reading,
        "verifying": verifying,
    }
    return [
        *(Figure(name=name, value=spent, unit="s") for name, spent in seconds.items()),
        Figure(name="file of predictions", value=size / 1e6, unit="MB"),
        Figure(name="kept of the images", value=kept / 1e6, unit="MB"),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=50_000, help="100 or a multiple of it")


BENCH = Benchmark(__name__, __doc__, measure, arguments, trial="--images 1000", repeats=None)
