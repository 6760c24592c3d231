"""What each row of a table was allowed to know and what decided for it, as the records of its runs say."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...ground.texts import counted, visible
from ..reading.run import Run
from ..tables import Row, Table
from .scores import Scores

UNKNOWN = "unknown"
TESTED, TOLD = "†", "‡"  # behind the names of methods
MARKS = {
    TESTED: "its epoch was chosen by accuracy on test images, which makes its numbers too high.",
    TOLD: "its model was told whether an image is of base or of new classes and chose among these only, "
    "as is the field's custom (in the column all it was not).",
}
COLUMNS = (
    "labels", "unlabelled images", "names, phase 1", "names, phase 2", "told", "epoch chosen by", "parameters", "training",
)  # fmt: skip
NAMES = {"": "-", "all": "all", "base": "base only", "new": "new only"}
CHOSEN = {"": "-", "last_step": "last step", "val": "validation images", "test": "test images", "given": "given"}
PROBES = ("LinearProbe", "CasPL_LinearProbe")
NOTES = (
    "labels: of training images of each class; unlabelled images: of which dataset boosting prompts learned; "
    "names: of the classes that boosting (phase 1) and training (phase 2) knew; parameters: that are learned.",
    "training: mean time of the runs, from their continuation where one was resumed; "
    "elsewhere: in a run that is in no table, as phase 1 is.",
)
PROBE = "{}: its regularisation C is chosen by accuracy on validation images, whose labels the column does not count."
WITHOUT_RECORDS = "unknown: the runs left no record (run.json), or it does not say."


def marks(runs: Iterable[Run]) -> str:
    """What is to stand behind the name of a row with these runs."""
    runs = list(runs)
    tested = any(_protocol(run, "chosen_by") == "test" for run in runs)
    return TESTED * tested + TOLD * any(_told(run) for run in runs)


def marked(method: str, found: str) -> str:
    """The name of a method with its marks."""
    return f"{method} {found}" if found else method


def explained(found: Iterable[str]) -> list[str]:
    """Notes on all marks of a table."""
    shown = set("".join(found))
    return [f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in shown]


def protocol_table(title: str, scores: Mapping[str, Scores]) -> Table:
    """A row for each method; where runs differ, all that there is."""
    table = Table(title, [*COLUMNS])
    for own in scores.values():
        runs = own.runs
        seeds = len({run.seed for run in runs})
        table.rows.append(Row(marked(own.method, marks(runs)), str(seeds), [*_cells(runs)]))
    table.notes += NOTES
    table.notes += [PROBE.format(own.method) for own in scores.values() if own.runs[0].trainer in PROBES]
    table.notes += [WITHOUT_RECORDS] * any(UNKNOWN in str(cell) for row in table.rows for cell in row.cells)
    table.notes += explained(marks(own.runs) for own in scores.values())
    return table


def _cells(runs: Sequence[Run]) -> Iterator[str]:
    yield _joined(map(_labels, runs))
    yield _joined(_unlabelled(run) for run in runs)
    for phase in ("names_phase1", "names_phase2"):
        yield _joined(NAMES.get(_protocol(run, phase), UNKNOWN) for run in runs)
    told = [classes for classes in ("base", "new") if classes in map(_told, runs)]
    yield " or ".join(told) or "no"
    yield _joined(CHOSEN.get(_protocol(run, "chosen_by"), UNKNOWN) for run in runs)
    yield _parameters(runs)
    yield _training(runs)


def _joined(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _protocol(run: Run, name: str) -> str:
    known = run.record is not None and run.record.protocol is not None
    return getattr(run.record.protocol, name) if known else UNKNOWN


def _told(run: Run) -> str:
    """base or new; "" of a model that chose among all classes. Which classes were tested is known without a record, too."""
    told = _protocol(run, "told")
    told = run.classes if told == UNKNOWN else told
    return told if told in ("base", "new") else ""


def _labels(run: Run) -> str:
    labels = _protocol(run, "labels")
    model = run.record.model if run.record is not None else None
    shots = model.training.shots if model is not None and model.training is not None else None
    return counted(shots, "image") if labels == "shots" and shots else labels


def _unlabelled(run: Run) -> str:
    """The record has the dataset's name in its code, which in most cases is that of the run."""
    name = _protocol(run, "unlabelled")
    if name and run.record is not None and run.record.dataset is not None and name == run.record.dataset.name:
        return "its own"
    return visible(name) or "none"


def _parameters(runs: Sequence[Run]) -> str:
    """Of the trained model, or of what was tested; their range where runs differ."""
    models = [run.record.model if run.record is not None else None for run in runs]
    counts = [model.parameters for model in models if model is not None]
    if not counts:
        return UNKNOWN
    least, most = min(counts), max(counts)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _training(runs: Sequence[Run]) -> str:
    """Mean time of those runs that trained; on a GPU in minutes."""
    times: dict[str, list[float]] = {}
    for run in runs:
        if run.record is not None and run.record.cost.training_seconds:
            times.setdefault(visible(run.record.machine.device), []).append(run.record.cost.training_seconds)
    means = {device: statistics.mean(seconds) for device, seconds in times.items()}
    shown = [
        f"{mean:.0f} s on {device}" if device == "cpu" else f"{mean / 60:.1f} min on {device}"
        for device, mean in means.items()
    ]
    if shown:
        return ", ".join(shown)
    models = [run.record.model for run in runs if run.record is not None]
    if not any(models):
        return UNKNOWN
    return "elsewhere" if any(model is not None and model.training is not None for model in models) else "none"
