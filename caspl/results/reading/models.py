"""Which test belongs to which training, and what follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path

from ...ground.errors import InputError
from ..names import ANY_DATASET, dataset_name, known_dataset, known_trainer
from .agreement import REMEDY, Identity
from .logs import folder_of
from .places import Mentions, mentions, places
from .run import BASE_TO_NEW, CROSS_DATASET, DOMAINS, FEW_SHOT, Entry, Run
from .told import Told


class Trainings:
    """The trainings that were found, by the folder that their logs and the tests' command lines call theirs."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)
        self._named, self._ending = defaultdict(set), defaultdict(set)  # name -> places in the list
        self._holding = defaultdict(set)  # checksum of a model file -> likewise
        for place, entry in enumerate(self._entries):
            for file in _files(entry.told):
                self._holding[file].add(place)
            for name in (folder_of(entry.told.says("OUTPUT_DIR") or ""), entry.folder.as_posix()):
                self._named[name].add(place)
                for end in endings(name):
                    self._ending[end].add(place)

    def of(self, told: Told, folder: Path) -> Entry | None:
        """The training whose model a log in `folder` tests; of several of that name, as in a copied tree, the nearest.

        Either name may be given from further above than the other. Where no name is known, as in folders that were moved, the
        records of both say which file was tested.
        """
        model = folder_of(told.model_dir or "")
        found = self._named.get(model) or set().union(
            self._ending.get(model, ()), *(self._named.get(end, ()) for end in endings(model))
        )
        found = found or set().union(*(self._holding.get(file, ()) for file in _files(told)))
        found = [self._entries[place] for place in sorted(found)]
        near = {entry.folder: len(commonpath((entry.folder, folder))) for entry in found}
        nearest = [entry for entry in found if near[entry.folder] == max(near.values())]
        return nearest[-1] if len({entry.folder for entry in nearest}) == 1 else None


def _files(told: Told) -> list[str]:
    """The checksums of the files with the tested model, as its record says."""
    model = told.record.model if told.record is not None else None
    return [file.sha256 for file in model.files if file.sha256] if model is not None else []


def endings(name: str) -> list[str]:
    """What a folder of this name may be called from further below, with one folder above its own at least."""
    parts = name.split("/")
    return ["/".join(parts[i:]) for i in range(1, len(parts) - 1)]


def follow(identity: Identity, told: Told, training: Entry | None) -> tuple[Identity, str | None]:
    """The identity of a test with what its training says, and the dataset of the training; None where nothing tells.

    Raises InputError where the model is of another seed, number of shots, trainer or backbone, or of nobody knows what.
    """
    if training is not None and training.contradicted:
        raise InputError(
            f"the {training.told.source} of the model that it tests, {training.told.name}, contradicts its own folder; {REMEDY}"
        )
    if training is None or training.identity is None:
        said = _said(told)
        _check_model(told.model_dir, identity, said.seeds, said.shots)
        identity = _of_model(told.model_dir or "", identity)
        shots = next(iter(said.shots)) if identity.shots is None and len(said.shots) == 1 else identity.shots
        return replace(identity, shots=shots), next(iter(said.datasets)) if len(said.datasets) == 1 else None
    other = training.identity
    _check_model(training.told.name, identity, {other.seed} - {None}, {other.shots} - {None})
    for key in ("TRAINER.NAME", "MODEL.BACKBONE.NAME"):
        mine, its = told.says(key), training.told.says(key)
        if mine and its and mine != its:
            raise InputError(
                f"its {told.source} says {key} {mine}, but that of the model it tests, {training.told.name}, {its}; {REMEDY}"
            )
    same = {"root": other.root, "trainer": other.trainer, "config": other.config, "shots": other.shots}
    return replace(identity, **same), other.dataset


def _said(told: Told) -> Mentions:
    """Of the training of a tested model that is not there: what the test's record says, else the name of the model's folder."""
    said, model = mentions(told.model_dir or ""), told.record.model if told.record is not None else None
    if model is None or model.training is None:
        return said
    training, known = model.training, {}
    if training.dataset not in ("", *ANY_DATASET):
        known["datasets"] = frozenset({dataset_name(training.dataset)})
    if training.shots is not None and training.shots > 0:
        known["shots"] = frozenset({training.shots})
    if training.seed is not None and training.seed >= 0:
        known["seeds"] = frozenset({training.seed})
    return replace(said, **known)


def _of_model(model: str, identity: Identity) -> Identity:
    """With the configuration that the folder of the model names. Raises InputError where it names another trainer."""
    place = next(places(Path("/", folder_of(model))), None)
    if place is None or not known_trainer(place.trainer or "") or not known_dataset(place.dataset or ""):
        return identity
    if known_trainer(identity.trainer) and place.trainer.lower() != identity.trainer.lower():
        raise InputError(
            f"its trainer is {identity.trainer}, but that of the model it tests, {model}, is {place.trainer}; {REMEDY}"
        )
    return replace(identity, config=place.config or identity.config)


def _check_model(model: str | None, identity: Identity, seeds: Iterable[int], shots: Iterable[int]) -> None:
    for name, mine, its in (("seed", identity.seed, set(seeds)), ("number of shots", identity.shots, set(shots))):
        if mine and its and mine not in its:
            others = ", ".join(map(str, sorted(its)))
            raise InputError(f"its {name} is {mine}, but that of the model it tests, {model}, is {others}; {REMEDY}")


def mark_inductive(runs: list[Run]) -> list[Run]:
    """Only training says which names phase 1 knew; the tests of a model take it over from its training."""
    marked = {(run.setting, run.dataset, run.model) for run in runs if run.inductive}
    sources = {run.model for run in runs if run.inductive and run.setting == FEW_SHOT}

    def inductive(run: Run) -> bool:
        if run.setting in (CROSS_DATASET, DOMAINS):
            return run.inductive or run.model in sources
        return (run.setting, run.dataset, run.model) in marked

    return [replace(run, inductive=inductive(run)) for run in runs]


def tell_epochs_apart(runs: list[Run]) -> list[Run]:
    """Of runs that would share a row, those of another epoch than the trainings ended with get a configuration of their own.

    All of them do where the trainings, or tests without any, are not of one epoch.
    """
    trained, tested = defaultdict(dict), defaultdict(set)
    for run in runs:
        if run.is_test:
            tested[_row(run)].add(run.epoch)
        else:
            trained[_row(run)][run.seed] = run.epoch
            trained[run.settings][run.dataset, run.seed] = run.epoch

    def named(run: Run) -> Run:
        ends = trained[_row(run)]
        epoch = run.epoch or ends.get(run.seed)
        known = (set(ends.values()) or tested[_row(run)]) - {None}
        # a source is not among its targets, and trainings on several datasets may end with several epochs
        same = epoch in known and (len(known) == 1 or _row(run) == run.settings)
        if epoch is None or same:
            return run
        return replace(run, config="/".join(filter(None, (run.config, f"epoch {epoch}"))))

    return [named(run) for run in runs]


def _row(run: Run) -> tuple:
    """What the trainings and tests have in common, apart from the seed, whose numbers stand in one row for one dataset."""
    return run.settings if run.setting in (CROSS_DATASET, DOMAINS) else (*run.settings, run.setting, run.dataset)


def seen_classes(runs: Sequence[Run]) -> dict[Run, str]:
    """The tests on base or new classes of models that were trained on all classes, and why they count for nothing.

    Few-shot and base to new may stand below one folder with the same configuration: then there is a training on base classes.
    """
    base = {(run.dataset, run.model) for run in runs if not run.is_test and run.setting == BASE_TO_NEW}
    all_classes = {(run.dataset, run.model): run for run in runs if not run.is_test and run.setting == FEW_SHOT}
    wrong = {}
    for run in runs:
        training = all_classes.get((run.dataset, run.model))
        own = (run.dataset, run.model) in base
        if training is not None and not own and run.is_test and run.classes != "all":
            wrong[run] = (
                f"{training.path} trained on all classes (SUBSAMPLE_CLASSES), but it tests that model on {run.classes} classes "
                f"as if the new ones were unseen; train with DATASET.SUBSAMPLE_CLASSES base, or remove one of the two"
            )
    return wrong


def without_retested(runs: Sequence[Run]) -> list[Run]:
    """The runs without the trainings whose model was tested again in their own folder: that test counts."""

    def of_folder(run: Run) -> Run:
        folder = Path(run.path).parent.as_posix()
        return replace(run, accuracy=None, images=None, epoch=None, is_test=False, path=folder)

    tested = {of_folder(run) for run in runs if run.is_test and run.accuracy is not None}
    return [run for run in runs if run.is_test or of_folder(run) not in tested]


def twins(runs: Sequence[Run]) -> dict[Run, str]:
    """Runs in several folders that a table can't tell apart, none of which is taken."""
    same = defaultdict(list)
    for run in runs:
        if run.accuracy is not None:
            same[replace(run, accuracy=None, images=None, path="", part="", epoch=None)].append(run)
    wrong = {}
    for group in same.values():
        for run in group:
            other = next((other for other in group if other.accuracy != run.accuracy), None)
            if other is not None:
                wrong[run] = (
                    f"it is the same run as {other.path} with another result; none is taken, keep the one that counts"
                )
    return wrong
