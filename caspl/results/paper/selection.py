"""Which runs the paper's tables and figures are of, and how one reads what a grid of ablations has varied."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from ...ground.texts import as_typed
from ..names import backbone_name
from ..reading.run import Run
from ..tables import Cell, Row, Table
from .needs import DIGITS

PAIRS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")  # of the paper, each without and with CasPL
CLIP, BOOSTING, CASCADED = "ZeroshotCLIP", "CasPLBoost", "CasPL_"
OTHERS = ("VPT", "IVLP", "KgCoOp", "ProGrad")  # that CasPL works with here, too
SHOTS = 16
CLASSES = ("base", "new")
HM = 2  # its column in the table of base to new
USUAL_OUTPUT = "output"
OF_A_SWEEP = re.compile(r"(.+?)(?:/ablations/[^/]+)?/base2new/(?:train|test)_")


def ordinary(
    runs: Iterable[Run], setting: str, trainers: Collection[str] = (), shots: Collection[int] = (0, SHOTS)
) -> list[Run]:
    """The runs of a setting as the paper has it: no ablations, phase 1 knows all names. () are any trainers or shots."""
    return [
        run
        for run in runs
        if run.setting == setting
        and (not trainers or run.trainer in trainers)
        and (not shots or run.shots in shots)
        and not run.inductive
        and run.varied is None
    ]


def on_one_backbone(runs: Sequence[Run]) -> list[Run]:
    """On each dataset the runs on one backbone, of those that it has the one with the most runs; others are no fair gain.

    Runs that don't say theirs are kept.
    """
    names = [None if run.backbone is None else backbone_name(run.backbone) for run in runs]
    most = Counter(filter(None, names))
    chosen: dict[str, str] = {}
    for run, name in zip(runs, names, strict=True):
        if name is not None:
            rivals = {name, chosen.get(run.dataset, name)}
            chosen[run.dataset] = max(rivals, key=lambda each: (most[each], each))
    return [run for run, name in zip(runs, names, strict=True) if name in (None, chosen.get(run.dataset))]


def with_twins(trainers: Iterable[str]) -> list[str]:
    """Each method followed by the same behind boosting prompts."""
    return [name for plain in trainers for name in (plain, f"{CASCADED}{plain}")]


def datasets_of(table: Table) -> list[str]:
    return list(dict.fromkeys(row.dataset for row in table.rows if not row.average))


def row_of(table: Table, method: str, dataset: str) -> Row | None:
    """The row of a method on a dataset; "": its average."""
    found = (
        row for row in table.rows if row.method == method and (row.average if not dataset else row.dataset == dataset)
    )
    return next(found, None)


def complete(runs: Iterable[Run]) -> set[str]:
    """Datasets with a seed that was tested on base and on new classes."""
    seen = defaultdict(set)
    for run in runs:
        seen[run.dataset, run.seed].add(run.classes)
    return {dataset for (dataset, _), classes in seen.items() if classes.issuperset(CLASSES)}


def over(datasets: Sequence[str]) -> str:
    """What a number is over: the only dataset, or how many."""
    return datasets[0] if len(datasets) == 1 else f"average of {len(datasets)} datasets"


def counts(numbers: Iterable[int]) -> str:
    """Of seeds where several rows or cells are one: "3", "1 to 3"; "" where there is none."""
    ordered = sorted(set(numbers))
    return f"{ordered[0]} to {ordered[-1]}" if len(ordered) > 1 else "".join(map(str, ordered))


def seeds_of(cells: Iterable[Cell | str | None]) -> str:
    """How many seeds the numbers of a row are of."""
    return counts(len({run.seed for run in cell.runs}) for cell in cells if isinstance(cell, Cell))


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------
def reproduce(name: str, runs: Sequence[Run], *, on_digits: bool = True) -> str:
    """The command that makes what an artefact needs, and skips what is there: in the folder of the runs, as they were called.

    On digits where all runs are, unless the artefact can't be had there.
    """
    words = ["caspl", "sweep", "reproduce", name]
    if on_digits and runs and {run.dataset for run in runs} == {DIGITS}:
        words += ["--datasets", DIGITS]
    if output := _output(runs):
        words += ["--output", output]
    return as_typed(words)


def _output(runs: Iterable[Run]) -> str:
    """The --output of the sweep that made most of the runs, as far as records say it; "": the usual one, or nobody says."""
    found: Counter[str] = Counter()
    for run in runs:
        folder = run.record.configuration.settings.get("OUTPUT_DIR", "") if run.record is not None else ""
        if made := OF_A_SWEEP.match(folder):
            found[made[1]] += 1
    ((most, _),) = found.most_common(1) or [("", 0)]
    return "" if most == USUAL_OUTPUT else most
