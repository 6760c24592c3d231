"""Which runs lie below a folder, by what their folders, records and logs say."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ...checkpoints.headers import BoostingHeader, RunHeader, read_header
from ...ground.errors import InputError, cause
from ..names import PHASE_1, SOURCE, VARIANTS
from ..records import NAME, Record, read
from .agreement import LABEL_FREE, REMEDY, Identity, identify
from .logs import logs_of, read_logs
from .models import Trainings, follow, mark_inductive, seen_classes, tell_epochs_apart, twins, without_retested
from .places import TESTED
from .recorded import joined, stands_for, told_by
from .run import BASE_TO_NEW, CROSS_DATASET, DOMAINS, FEW_SHOT, Entry, Found, Run
from .told import Told

logger = logging.getLogger(__name__)


def find_runs(folder: Path) -> Found:
    """Read every record and log below `folder`. Raises InputError where there is no such folder."""
    if not folder.is_dir():
        if folder.suffix.lower() == ".zip" and folder.is_file():
            raise InputError(
                f"{folder} is a file, expected an output folder; of bundles, caspl report {folder} makes the page"
            )
        bundle = ", or a bundle that is there" if folder.suffix.lower() == ".zip" else ""
        raise InputError(f"no folder {folder}; give an output folder, for example output or output/base2new{bundle}")
    top = Path(os.path.abspath(folder))  # the name as it was given: what a link points to may be called otherwise
    found = Found([], [], [], [], [])
    entries = _entries(top, found)
    trainings = Trainings(entry for entry in entries if not entry.told.tests_a_model)
    by_folder = defaultdict(list)
    for entry in (entry for entry in entries if entry.identity is not None):
        with _noting(found, entry.told.name, top):
            entry.run = _run(entry, trainings, top)
            by_folder[entry.folder].append(entry)
    runs = [run for own in by_folder.values() for run in _choose(own, top, found)]
    runs = tell_epochs_apart(mark_inductive(runs))
    for reasons in (seen_classes, twins):
        wrong = reasons(runs)
        found.left_out.extend((run.path, why) for run, why in wrong.items())
        runs = [run for run in runs if run not in wrong]
    found.runs.extend(run for run in without_retested(runs) if run.accuracy is not None)
    return found


def _entries(top: Path, found: Found) -> list[Entry]:
    """The runs that all records and logs tell of, by folder and age, with what they are."""
    entries = []
    for path, folders, files in os.walk(top, onerror=_unread):
        folders.sort()  # the same order on every file system
        folder = Path(path)
        own = [Entry(folder, told, contradicted=True) for told in _told(folder, files, top, found)]
        for entry in own:
            with _noting(found, entry.told.name, top):
                entry.identity = identify(folder, top, entry.told)
                entry.contradicted = False
        unknown = [entry for entry in own if not _is_phase_1(entry.told)]
        if unknown and not any(entry.identity or entry.contradicted for entry in own):
            found.elsewhere.append(_relative(folder, top))
        entries += own
    return entries


def _is_phase_1(told: Told) -> bool:
    """A finished phase 1 of CasPL: it stands in no table itself, the tests of its boosting prompts and of phase 2 do."""
    return told.says("TRAINER.NAME") in PHASE_1 and told.trained and not told.tests_a_model


def _told(folder: Path, files: Sequence[str], top: Path, found: Found) -> list[Told]:
    """What the record and the logs of a folder say. The logs are read where the record does not say all."""
    logs, own = logs_of(folder, files), []
    record = _record(folder, logs, top, found) if NAME in files else None
    with suppress(OSError):
        if record is not None and stands_for(record, logs):
            return [told_by(record, logs[0] if logs else folder / NAME)]
    for log in logs:
        with _noting(found, log, top):
            own += read_logs(log)
    if record is not None:
        with _noting(found, folder / NAME, top):
            own = joined(record, own, folder)
    return own


def _record(folder: Path, logs: Sequence[Path], top: Path, found: Found) -> Record | None:
    """None where it can't be read: the logs tell the same, where there are any."""
    path = folder / NAME
    try:
        return read(path)
    except InputError as error:
        why = str(error).removeprefix(f"{path}: ").replace(f"{path} ", "it ", 1)
        instead = f"; {logs[-1].name} is read in its place" if logs else ""
        found.left_out.append((_relative(path, top), f"{why}{instead}"))
        return None


def _unread(error: OSError) -> None:
    logger.warning("left out: %s: %s", error.filename, error.strerror)


@contextmanager
def _noting(found: Found, name: str | Path, top: Path) -> Iterator[None]:
    """What is wrong with a log is noted, and the others go on."""
    try:
        yield
    except InputError as error:
        found.left_out.append((_relative(name, top), str(error)))
    except OSError as error:
        found.left_out.append((_relative(name, top), cause(error)))


def _relative(path: str | Path, top: Path) -> str:
    return Path(os.path.relpath(path, top)).as_posix()


# ------------------------------------------------------------ one run
def _run(entry: Entry, trainings: Trainings, top: Path) -> Run:
    """Raises InputError where log, folder and training contradict each other, and for an impossible result."""
    told, identity, source, training = entry.told, entry.identity, None, None
    if told.tests_a_model:
        training = trainings.of(told, entry.folder)
        identity, source = follow(identity, told, training)
    setting, classes = _meaning(identity, told, source, training)
    if identity.shots is None:
        identity = replace(identity, shots=_shots(identity, told))
    return Run(
        setting=setting,
        dataset=identity.dataset,
        trainer=identity.trainer,
        config=identity.config,
        shots=identity.shots,
        seed=identity.seed,
        classes=classes,
        accuracy=told.accuracy(),
        inductive=identity.trainer.startswith("CasPL") and _base_names_only(told),
        backbone=told.says("MODEL.BACKBONE.NAME"),
        part=identity.part,
        is_test=told.tests_a_model or identity.part not in ("", "train_base"),
        epoch=told.epoch,
        images=told.images,
        root=_relative(identity.root, top),
        path=_relative(told.path, top),
        record=told.record,
    )


def _shots(identity: Identity, told: Told) -> int:
    """Of a test whose folder and whose model's folder do not say it."""
    if identity.trainer in LABEL_FREE:
        return 0
    logged = told.number_of("DATASET.NUM_SHOTS")
    if logged is None:
        raise InputError(
            f"neither its {told.source} nor a folder says with how many shots its model was trained; {REMEDY}"
        )
    return logged


def _base_names_only(told: Told) -> bool:
    """Whether phase 1 knew the names of the base classes only, as the run's record says, else its file of prompts.

    Where neither says it, as in folders of version 0.1 of this program and of runs that have not ended, the log is asked.
    A file that can't be read is a warning.
    """
    if told.record is not None and told.record.protocol is not None and told.record.protocol.names_phase1 != "unknown":
        return told.record.protocol.names_phase1 == "base"
    for kind in (RunHeader, BoostingHeader):
        prompts = told.path.parent / kind.file_name
        try:
            names = read_header(prompts, kind).names if prompts.is_file() else "unknown"
        except InputError as error:
            logger.warning("%s: whose names phase 1 knew is taken from the log", error)
            continue
        if names != "unknown":
            return names == "base"
    return told.base_names


def _meaning(identity: Identity, told: Told, source: str | None, training: Entry | None) -> tuple[str, str]:
    """Setting and tested classes. `source` is the dataset that the tested model was trained on, where something says it.

    Raises InputError where log, folder and source contradict each other.
    """
    part, dataset, found = identity.part, identity.dataset, told.classes
    expected = TESTED.get(part)
    foreign = source is not None and source != dataset and identity.shots != 0  # what saw no labels has no source
    if found not in (None, "all", "base", "new"):
        raise InputError(f"it tested {found} classes (SUBSAMPLE_CLASSES), expected all, base or new")
    if part == "train_base" and found == "all":
        # KgCoOp and CasPL keep what they train on all classes here, too. Without labels there is no few-shot training:
        # phase 1 of CasPL, whose model the base-to-new protocol tests.
        return (FEW_SHOT if identity.shots else BASE_TO_NEW), "all"
    if (
        part.startswith("test_") and found in (None, "all") and foreign
    ):  # where MMRL's and CasPL's scripts test other datasets
        return _transfer(dataset), "all"
    if told.base_to_new_splits:
        return BASE_TO_NEW, found
    if expected or part == "test_all":
        _check_classes(found, expected or "all", part)
    elif (
        part and found in ("base", "new") and source != dataset
    ):  # evaluation: ATPrompt's of the dataset itself may be of new
        _check_classes(found, "all", part)
    classes = found or expected or "all"
    if classes != "all" or part == "test_all":
        if foreign:
            raise InputError(
                f"it tests {classes} classes of {dataset}, but its model was trained on {source}; {REMEDY}"
            )
        return BASE_TO_NEW, classes
    if dataset in VARIANTS:
        return DOMAINS, "all"
    if part:
        return (FEW_SHOT if source == dataset != SOURCE and identity.shots else CROSS_DATASET), "all"
    if foreign:
        return CROSS_DATASET, "all"
    if told.tests_a_model and identity.by_log and source is None and identity.trainer not in LABEL_FREE:
        raise InputError(
            f"neither its {told.source} nor a folder says on what its model was trained; name the folders after the dataset"
        )
    trained_on = training.told.classes if training is not None else None
    return (BASE_TO_NEW if trained_on == "base" else FEW_SHOT), "all"


def _transfer(dataset: str) -> str:
    return DOMAINS if dataset in VARIANTS else CROSS_DATASET


def _check_classes(found: str | None, expected: str, part: str) -> None:
    if found not in (None, expected):
        raise InputError(
            f"it tested {found} classes (SUBSAMPLE_CLASSES), but its folder, {part}, is for {expected} classes; {REMEDY}"
        )


# ------------------------------------------------------------ the runs of one folder
def _choose(entries: list[Entry], top: Path, found: Found) -> list[Run]:
    """Of equal runs, which are given oldest first, the newest finished one; what has no result is noted where it is newer."""
    groups: dict[Run, list[Entry]] = {}
    for entry in entries:
        key = _key(entry.run)
        groups[key] = [*groups.pop(key, []), entry]  # in the order of their newest runs
    chosen: dict[Run, Run] = {}
    for key, own in groups.items():
        finished = [entry for entry in own if entry.run.accuracy is not None]
        last = (finished or own)[-1]
        different = next(filter(None, (entry.told.difference(last.told) for entry in finished)), None)
        if different:
            why = (
                f"it holds runs of different configurations ({different}), of which none is taken; give each a folder of its "
                f"own, or keep the one that counts"
            )
            found.left_out.append((_relative(last.folder, top), why))
            continue
        chosen[key] = last.run
        if last.run.accuracy is not None and not key.is_test:
            chosen.pop(replace(key, is_test=True), None)  # a test of the model that this training has replaced
        newest = own[-1]
        if newest.run.accuracy is None and newest.told.final is None:
            found.unfinished.append((newest.run.path, last.run))
        elif newest.run.accuracy is None:
            found.validation.append((newest.run.path, replace(newest.run, accuracy=newest.told.final.percent())))
    return list(chosen.values())


def _key(run: Run) -> Run:
    """What a table tells apart, within one folder."""
    return replace(run, accuracy=None, epoch=None, inductive=False, images=None, path="")
