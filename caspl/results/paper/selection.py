"""Which runs the paper's tables and figures are of, and how one reads what a grid of ablations has varied."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from ...ground.texts import as_typed
from ..reading.run import Run
from ..tables import Row, Table

PAIRS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")  # of the paper, each without and with CasPL
CLIP, BOOSTING, CASCADED = "ZeroshotCLIP", "CasPLBoost", "CasPL_"
OTHERS = ("VPT", "IVLP", "KgCoOp", "ProGrad")  # that CasPL works with here, too
SHOTS = 16
VARIED = re.compile(r"-([a-z_]+[a-z0-9_]*)=([^/]+)")  # -length=8+16, behind the name of a configuration


def variation(run: Run) -> tuple[str, str] | None:
    """The grid and the value of a run of an ablation, as its configuration's name says; None of any other run."""
    found = VARIED.search(run.config)
    return (found[1], found[2]) if found else None


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
        and variation(run) is None
    ]


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


def reproduce(name: str, datasets: Sequence[str] = ()) -> str:
    """The command that makes what an artefact needs; `datasets` (): the paper's."""
    return as_typed(["caspl", "sweep", "reproduce", name, *(["--datasets", " ".join(datasets)] if datasets else [])])
