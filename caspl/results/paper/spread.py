"""Image features of base and new classes: Figure 5, a picture by t-SNE, and how near classes are to each other, in numbers.

The features are those that tests keep with TEST.FEATURES (`caspl.results.records.features`).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...ground.errors import InputError
from ...ground.texts import sentence
from ..figures import scatter
from ..names import dataset_order, method_name
from ..reading.run import BASE_TO_NEW, Run
from ..records import features
from ..tables import Cell, Row, Table
from .artefact import Artefact, Picture
from .needs import Needs, class_words, of_trainers, there
from .selection import BOOSTING, CLASSES, CLIP, OTHERS, PAIRS, ordinary, reproduce, seeds_of, with_twins

DATASET = "DTD"  # the paper's
PAPER = (CLIP, BOOSTING, "PromptSRC", "CasPL_PromptSRC")
LEARNERS = ("PromptSRC", "MaPLe", "IVLP", "VPT", *PAIRS[:2], *OTHERS[2:])  # the first that is there is drawn
MOST = 300  # images of a panel
PERPLEXITY = 30
COLUMNS = [f"{classes}: {what}" for classes in CLASSES for what in ("within", "between", "ratio")]
NOTES = [
    "Cosine distances (1 less the cosine) of L2-normalised image features, times 100. Within: from each image to the mean of "
    "its class, mean over images. Between: of the means of two classes, mean over all pairs. Ratio: within in percent of "
    "between; the smaller, the better classes are apart.",
]


class Distances(NamedTuple):
    """Cosine distances times 100, and within in percent of between."""

    within: float
    between: float
    ratio: float


def distances(image_features: np.ndarray, labels: np.ndarray) -> Distances:
    """How far images are from the mean of their class, and the means from each other.

    Of features [N, E] and labels [N], in float64. Features and means are of length 1. Between is NaN where there is one class.
    """
    points = _normalised(image_features.astype(np.float64))
    classes, places = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), points.shape[1]))
    np.add.at(sums, places, points)
    means = _normalised(sums)
    within = 1 - (points * means[places]).sum(axis=1)
    pairs = (means @ means.T)[np.triu_indices(len(classes), 1)]
    between = 100 * float((1 - pairs).mean()) if len(pairs) else float("nan")
    inside = 100 * float(within.mean())
    return Distances(inside, between, 100 * inside / between if between > 0 else float("nan"))


def _normalised(vectors: np.ndarray) -> np.ndarray:
    """Of length 1; what is zero, as the mean of opposite vectors may be, stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def sampled(images: int, most: int = MOST) -> np.ndarray:
    """Places of at most so many images, in order; the same for each call with the same numbers."""
    if images <= most:
        return np.arange(images)
    return np.sort(np.random.default_rng(0).choice(images, most, replace=False))


def placed(image_features: np.ndarray) -> np.ndarray:
    """Places [N, 2] in the plane by t-SNE of features [N, E]; the same for each call with the same features."""
    from sklearn.manifold import TSNE  # slow to import, and needed here only
    from threadpoolctl import threadpool_limits

    points = _normalised(image_features.astype(np.float64))
    if len(points) < 4:  # too few for neighbours
        return np.stack([np.arange(len(points)), np.zeros(len(points))], 1)
    method = TSNE(
        2, perplexity=min(PERPLEXITY, (len(points) - 1) / 3), init="pca", random_state=0, metric="euclidean", n_jobs=1
    )
    with threadpool_limits(1):  # sums of several threads come in any order
        return method.fit_transform(points).astype(np.float64)


Kept = dict[tuple[str, str], dict[int | None, dict[str, tuple[Run, features.Table]]]]  # dataset, trainer; seed; classes


def fig5(runs: Sequence[Run], folder: Path) -> Artefact:
    """Of runs whose paths are relative to `folder`."""
    own = [
        run for run in ordinary(runs, BASE_TO_NEW, (CLIP, BOOSTING, *with_twins(LEARNERS))) if run.classes in CLASSES
    ]
    having = [run for run in own if run.record is not None and run.record.features is not None]
    kept, damaged = _read(having, folder)
    of_paper = [run for trainers in kept.values() for seeds in trainers.values() for run, _ in seeds.values()]
    of_paper = [run for run in of_paper if run.trainer in PAPER]
    missing = Needs(of_trainers(PAPER), (DATASET,), CLASSES, class_words).missing(there(of_paper, "classes"))
    if own and not having:
        missing = [f"image features: none of the {len(own)} runs was made with TEST.FEATURES True"]
    return Artefact(
        name="fig5",
        title="Figure 5: image features of base and new classes",
        about="Whether prompts bring images of a class together and move classes apart: the table says it in numbers. t-SNE "
        "keeps neighbours together; how far groups lie from each other in the picture means nothing.",
        tables=[_table(kept)] if kept else [],
        pictures=[_picture(kept)] if kept else [],
        missing=[*missing, *damaged],
        command=reproduce("fig5", runs),
    )


def _read(runs: Sequence[Run], folder: Path) -> tuple[Kept, list[str]]:
    """The features of runs, in the order of the papers, and why those are left out that can't be read."""
    order = (CLIP, BOOSTING, *with_twins(LEARNERS))
    kept: Kept = {}
    damaged = []
    shown: dict[tuple[str, str], tuple[str, str]] = {}  # one configuration of each: seeds of two are no seeds of one
    for run in sorted(
        runs, key=lambda run: (dataset_order(run.dataset), order.index(run.trainer), run.root, run.config, run.is_test)
    ):
        own = run.root, run.config
        if shown.setdefault((run.dataset, run.trainer), own) != own:
            damaged.append(f"left out: {run.path}, of another configuration than {shown[run.dataset, run.trainer][1]}")
            continue
        try:
            table = features.read((folder / run.path).parent, run.record.features)
        except InputError as error:
            damaged.append(f"left out: {sentence(str(error))}")
            continue
        seeds = kept.setdefault((run.dataset, run.trainer), defaultdict(dict))
        seeds[run.seed][run.classes] = run, table
    return kept, damaged


# ---------------------------------------------------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------------------------------------------------
def _table(kept: Kept) -> Table:
    table = Table("Distances of image features", COLUMNS, notes=[*NOTES], by_dataset=True)
    for (dataset, trainer), seeds in kept.items():
        cells: list[Cell | str | None] = []
        for classes in CLASSES:
            found = [parts[classes] for parts in seeds.values() if classes in parts]
            measured = [distances(part.features, part.labels) for _, part in found]
            own = tuple(run for run, _ in found)
            cells += [_cell([each[i] for each in measured], own) for i in range(len(Distances._fields))]
        table.rows.append(Row(method_name(trainer), seeds_of(cells), cells, dataset))
    return table


def _cell(numbers: Sequence[float], runs: tuple[Run, ...]) -> Cell | None:
    if not numbers or any(number != number for number in numbers):
        return None
    return Cell(statistics.mean(numbers), statistics.pstdev(numbers) if len(numbers) > 1 else None, runs=runs)


# ---------------------------------------------------------------------------------------------------------------------
# The picture
# ---------------------------------------------------------------------------------------------------------------------
def _picture(kept: Kept) -> Picture:
    """Of the paper's dataset, else the first; of one learner without and with boosting prompts, and the lowest seed of each."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in kept))
    dataset = DATASET if DATASET in datasets else datasets[0]
    plain = next((name for name in LEARNERS if any((dataset, twin) in kept for twin in with_twins([name]))), PAPER[2])
    shown = [name for name in (CLIP, BOOSTING, *with_twins([plain])) if (dataset, name) in kept]
    titles = [method_name(name) for name in shown]
    first = {name: kept[dataset, name][min(kept[dataset, name], key=lambda seed: seed or 0)] for name in shown}

    @cache  # light and dark show the same points, which take seconds
    def lines() -> list[scatter.Line]:
        return [_line(classes, [first[name].get(classes) for name in shown]) for classes in CLASSES]

    alt = f"Image features on {dataset} by t-SNE, base classes above and new ones below: {', '.join(titles)}"
    return Picture("fig5", alt, lambda: scatter.clouds([line for line in lines() if any(line.panels)], titles))


def _line(classes: str, parts: Sequence[tuple[Run, features.Table] | None]) -> scatter.Line:
    panels, names = [], []
    for part in parts:
        if part is None:
            panels.append(None)
            continue
        run, table = part
        some, (within, between, _) = sampled(len(table.labels)), distances(table.features, table.labels)
        below = f"within {within:.1f}, between {between:.1f}"
        panels.append(scatter.Panel(placed(table.features[some]), table.labels[some], below))
        names = run.record.dataset.classes
    return scatter.Line(f"{classes} classes", names, panels)
