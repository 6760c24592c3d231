"""What the record of a run says, computed anew from the files that it names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from ...ground.errors import InputError
from ...ground.texts import counted
from ..reading.run import Run
from ..records import Record, sha256_of_images
from ..records import predictions as files
from ..records.measures import differences
from . import links

Content = Callable[[str], bytes]  # of a file by its name; raises ValueError, with a phrase, where it can't be read
SHORT = 12  # digits of a checksum that are told


def recomputed(record: Record, folder: str, content: Content) -> Iterator[str]:
    """What a record with predictions says of its result and images that these do not, a phrase each.

    Raises InputError where the predictions are not those of the record, or can't be read.
    """
    name = f"{folder}/{record.predictions.file}"
    try:
        table = files.unpacked(content(name), name, record.predictions)
        yield from differences(record.result, files.recomputed(record, table))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    part = record.dataset.test if record.result.split == "test" else record.dataset.val
    compares = part.sha256 and not any(map(_may_be_another, table.images))
    if compares and sha256_of_images(table.images, table.labels.tolist()) != part.sha256:
        yield "its predictions are of other images, or with other labels, than the checksum of its dataset says"


def _may_be_another(image: str) -> bool:
    """Whether a name in the table may not be the image's own (`shown_path`)."""
    return image.startswith("./") or "\\" in image


def models(folder: str, records: Mapping[str, Record], trainings: links.Trainings) -> Iterator[str]:
    """Where a run speaks of another file than the run that made it, a phrase each: its model, its boosting prompts."""
    record = records[folder]
    maker = trainings.of(folder, record)
    if maker not in (None, folder):
        theirs = dict(links.models(records[maker]))
        for name, sha256 in links.models(record):
            if name in theirs and theirs[name] != sha256:
                yield f"it tests {name} with the checksum {_short(sha256)}, and {maker} has made {_short(theirs[name])}"
    if sha256 := links.used(record):
        maker = trainings.phase_1(record)
        if maker is not None and (others := links.made(records[maker])) != sha256:
            yield f"it rests on boosting prompts {_short(sha256)}, and {maker} has made {_short(others)}"


def _short(sha256: str) -> str:
    return f"{sha256[:SHORT]}..."


def copies(records: Mapping[str, Record]) -> Iterator[str]:
    """Where few-shot trainings of several seeds, which saw other images each, have the same outcome, a phrase each."""
    same: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)  # a folder of each seed
    for folder, record in records.items():
        training = record.model.training if record.finished and record.model is not None else None
        if training is None or training.seed is None or not training.epochs or (training.shots or 0) < 1:
            continue
        for file in record.model.files:
            if file.sha256:
                same[f"model file {PurePosixPath(file.name).name}", file.sha256].setdefault(training.seed, folder)
        if record.predictions is not None and record.model.parameters:
            same["predictions", record.predictions.sha256].setdefault(training.seed, folder)
    for (what, sha256), folders in same.items():
        if len(folders) > 1:
            of = " and ".join(f"{folder} (seed {seed})" for seed, folder in sorted(folders.items()))
            yield f"{of} have the same {what} {_short(sha256)}, as only copies have"


def images(runs: list[Run]) -> Iterator[str]:
    """Where the runs that stand in one column of a table were not tested on the same images, a phrase each."""
    tested: dict[tuple, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.record is not None and run.record.result is not None and run.record.dataset.test.sha256:
            key = run.setting, run.dataset, run.classes
            tested[key][run.record.dataset.test.sha256].append(run.path)
    for (_, dataset, classes), found in tested.items():
        if len(found) > 1:
            of = "; ".join(
                f"{_short(sum_)} ({counted(len(paths), 'run')}, first {paths[0]})" for sum_, paths in found.items()
            )
            yield f"{dataset}, {classes} classes: not tested on the same images with the same labels, but on {of}"
