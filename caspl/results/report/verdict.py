"""What a reader wants first: which method is best, by how much, whether that is certain, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from ...ground.errors import InputError
from ..certainty.verdict import Verdict
from ..records import read
from . import facts
from .evidence import TITLES, Evidences
from .shown import Sources


@dataclass(frozen=True)
class ShownVerdict:
    """Of one setting on one dataset, or over several."""

    setting: str  # as results.csv has it
    place: str  # the setting and the dataset
    dataset: str
    metric: str  # as the tables' columns are called
    label: str  # as a reader calls it
    method: str
    number: str
    anchor: str  # of the best method's runs
    certain: bool
    sentence: str
    margins: list[str]  # over the second, without CasPL ..., a sentence each
    commands: list[str]  # that run it again with its first seed, that of its boosting prompts in front


def shown_verdicts(verdicts: Iterable[Verdict], sources: Sources) -> list[list[ShownVerdict]]:
    """By setting, that over all datasets first where there are several."""
    own = groupby(verdicts, key=lambda verdict: verdict.setting)
    return [[_shown(verdict, sources) for verdict in of_setting] for _, of_setting in own]


def _shown(verdict: Verdict, sources: Sources) -> ShownVerdict:
    place = f"{verdict.dataset} datasets" if verdict.dataset.startswith("average of ") else verdict.dataset
    place = f"{TITLES[verdict.setting]}, {place}"
    return ShownVerdict(
        setting=verdict.setting,
        place=place,
        dataset=verdict.dataset,
        metric=verdict.metric,
        label=f"{verdict.metric}-shot accuracy" if verdict.metric.isdecimal() else verdict.metric,
        method=verdict.method,
        number=f"{verdict.cell.mean:.2f}",
        anchor=sources.anchor(verdict.cell.runs, verdict.cell.runs, f"{place}: {verdict.method}"),
        certain=verdict.certain,
        sentence=verdict.sentence,
        margins=[margin.sentence for margin in verdict.margins],
        commands=[*dict.fromkeys([*_first_phase(verdict, sources.evidences), *verdict.commands])],
    )


def _first_phase(verdict: Verdict, evidences: Evidences) -> Iterator[str]:
    """What made the boosting prompts of the best method's first seed, where that lies below the folder, too."""
    first = min((run.seed for run in verdict.cell.runs if run.seed is not None), default=None)
    for run in verdict.cell.runs:
        if run.seed == first and run.record is not None and run.record.boosting is not None:
            folder = evidences.below(run.record.boosting.source)
            try:
                made = read(folder) if folder is not None else None
            except InputError:  # of a record that can't be read nothing is said here
                made = None
            if made is not None and made.task == "train" and made.boosting is not None:
                yield facts.command(made)
