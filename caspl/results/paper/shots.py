"""Few-shot: Figure 3."""

from __future__ import annotations

from collections.abc import Sequence

from ..figures import lines
from ..names import BENCHMARK
from ..reading.run import FEW_SHOT, Run
from ..tables import Table, few_shot
from .artefact import Artefact, Picture
from .needs import Needs, listed, of_trainers, there
from .selection import datasets_of, ordinary, reproduce

SHOTS = (1, 2, 4, 8, 16)
METHODS = ("LinearProbe", "CoOp", "CoCoOp", "MaPLe", "PromptSRC", "CasPL_PromptSRC")


def fig3(runs: Sequence[Run]) -> Artefact:
    own = ordinary(runs, FEW_SHOT, shots=(0, *SHOTS))
    curves = any(run.shots for run in own) and len({run.shots for run in own if run.shots}) > 1
    table = few_shot(own) if curves else Table("", [])
    table.title = "Few-shot, by labelled images per class"
    return Artefact(
        name="fig3",
        title="Figure 3: accuracy over the number of labelled images",
        about="A panel for the averages and one for each dataset: the paper's methods, and what else was run.",
        tables=[table] if table.rows else [],
        pictures=[Picture("fig3", _said(table), lambda: lines.panels(table))] if table.rows else [],
        missing=_missing(own),
        command=reproduce("fig3"),
    )


def _missing(runs: Sequence[Run]) -> list[str]:
    parts = tuple(map(str, SHOTS))
    trained = Needs(of_trainers(METHODS), BENCHMARK, parts=parts, words=_words)
    return trained.missing(there([run for run in runs if run.shots], "shots"))


def _words(shots: Sequence[str]) -> str:
    return f"{listed(shots)} shot{'s' * (shots[-1] != '1')}"


def _said(table: Table) -> str:
    methods = dict.fromkeys(row.method for row in table.rows)
    return f"Accuracy over labelled images for each class of {', '.join(methods)} on {', '.join(datasets_of(table))}"
