"""Other images than those of training: Table 2 (variants of ImageNet)."""

from __future__ import annotations

from collections.abc import Sequence

from ..names import SOURCE, VARIANTS
from ..reading.run import CROSS_DATASET, DOMAINS, FEW_SHOT, Run
from ..tables import transfer
from .artefact import Artefact
from .needs import Needs, of_trainers, there
from .selection import BOOSTING, CLIP, PAIRS, ordinary, reproduce, with_twins

TARGETS = tuple(name for name in VARIANTS if name != "ImageNetA")  # the paper's average is without it
METHODS = (CLIP, *with_twins(PAIRS))


def table2(runs: Sequence[Run]) -> Artefact:
    trainers = (*METHODS, BOOSTING)
    own = [run for run in ordinary(runs, DOMAINS, trainers) if run.dataset in TARGETS]
    source = [
        run
        for setting in (FEW_SHOT, CROSS_DATASET)
        for run in ordinary(runs, setting, trainers)
        if run.dataset == SOURCE
    ]
    table = transfer([*own, *source], DOMAINS)
    table.title = "From ImageNet to its variants"
    needs = Needs(of_trainers(METHODS), (SOURCE, *TARGETS))
    return Artefact(
        name="table2",
        title="Table 2: domain generalisation",
        about="Models trained on ImageNet, tested on its variants; the average is of V2, Sketch and R.",
        tables=[table] if table.rows else [],
        pictures=[],
        missing=needs.missing(there([*own, *source] if own else [])),
        command=reproduce("table2", runs, on_digits=False),
    )
