"""Whether a log and its folder say the same, and what both say together."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ...ground.errors import InputError
from ...ground.texts import letters, visible
from ..names import ANY_DATASET, TRAINERS, dataset_name, known_dataset, known_trainer
from .places import BACKBONE, Mentions, Place, backbone_said, mentions, places
from .told import Told

REMEDY = "move it to where it belongs, or remove it and run it again"
LABEL_FREE = [name for name in TRAINERS if name != "LinearProbe"]  # see no labels: their number of shots means nothing


@dataclass(frozen=True)
class Identity:
    """What a run is, by its folder and its log or record."""

    root: Path
    dataset: str  # the papers' name, else the folder's, else the log's
    trainer: str
    config: str
    shots: int | None  # None: neither says it
    seed: int | None
    part: str
    by_log: bool  # the folder is of no known layout


def identify(folder: Path, top: Path, told: Told) -> Identity | None:
    """What the run of a log in `folder`, below `top`, is; None where neither says enough for a table.

    Raises InputError, naming all that was found and expected, where they contradict each other.
    """
    dataset, trainer = told.says("DATASET.NAME"), told.says("TRAINER.NAME")
    if told.runs > 1 and not told.config:
        raise InputError(
            "it has a result before the first configuration that the file holds, so nothing says what that is of"
        )
    for place in places(folder):
        if place.dataset is None or place.trainer is None:  # the last one, which says no more than the seed
            return _by_log(place, _said(folder, top), told) if dataset and trainer else None
        if (
            _fits(place.dataset, dataset, known_dataset(place.dataset))
            or dataset in ANY_DATASET
            or _fits(place.trainer, trainer, known_trainer(place.trainer))
        ):
            return _by_both(place, dataset, trainer, told)
    return None


def _said(folder: Path, top: Path) -> Mentions:
    """What is mentioned below `top`, which may be a dataset's, but also the checkout of a repository called CoOp."""
    below = mentions(folder.relative_to(top))
    return replace(below, datasets=below.datasets | mentions(top.name).datasets)


def _fits(said: str, logged: str | None, known: object) -> bool:
    """Whether a name is where a layout expects it: the log says the same, or nothing, or it is known to be such a name."""
    return logged is None or bool(known) or _same(said, logged)


def _same(one: str, other: str) -> bool:
    return letters(dataset_name(one)) == letters(dataset_name(other))


def _by_both(place: Place, dataset: str | None, trainer: str | None, told: Told) -> Identity:
    root, name, method, config, wrong = place.root, place.dataset, place.trainer, place.config, []
    if dataset in ANY_DATASET:  # the folder says which images they are: not a benchmark's as its own class reads them
        name = f"{place.dataset} ({dataset})" if known_dataset(place.dataset) else place.dataset
    elif dataset and not _same(place.dataset, dataset):
        if known_dataset(place.dataset):
            wrong.append(("DATASET.NAME", dataset, place.dataset))
        root, name = root / place.dataset, dataset
    if trainer and _same(place.trainer, trainer):
        method = trainer  # in its own spelling
    elif trainer:
        if known_trainer(place.trainer):
            wrong.append(("TRAINER.NAME", trainer, place.trainer))
        elif trainer.lower() not in place.trainer.lower():  # else a variant of it: CoOp_cross
            method, config = trainer, "/".join(filter(None, (place.trainer, config)))
    config = config or visible(told.config_file)
    _refuse([*wrong, *_numbers(place.shots, place.seed, told), *_backbone(config, told)], told)
    return Identity(
        root, dataset_name(visible(name)), visible(method), config, place.shots, place.seed, place.part, False
    )


def _by_log(place: Place, said: Mentions, told: Told) -> Identity | None:
    """What the log says, in a folder of any name; what its names mention must not be another's."""
    name, trainer = told.says("DATASET.NAME"), told.says("TRAINER.NAME")
    config = visible(told.config_file)
    shots = next(iter(said.shots)) if len(said.shots) == 1 else None
    wrong = []
    source = mentions(told.model_dir or "").datasets
    if said.datasets - source and dataset_name(name) not in said.datasets and name not in ANY_DATASET:
        wrong.append(("DATASET.NAME", name, ", ".join(sorted(said.datasets))))
    if said.trainers and not any(_same(trainer, other) for other in said.trainers) and known_trainer(trainer):
        wrong.append(("TRAINER.NAME", trainer, ", ".join(sorted(said.trainers))))
    _refuse([*wrong, *_numbers(shots, place.seed, told), *_backbone(config, told)], told)
    shots = told.number_of("DATASET.NUM_SHOTS") if shots is None else shots
    if shots is None and not told.tests_a_model:
        return None  # trained on all images: in no table
    part = next(iter(said.parts)) if len(said.parts) == 1 else ""
    seed = place.seed if place.seed is not None else told.number_of("SEED")
    return Identity(place.root, dataset_name(visible(name)), visible(trainer), config, shots, seed, part, True)


def _numbers(shots: int | None, seed: int | None, told: Told) -> list[tuple[str, object, object]]:
    wrong, logged = [], told.number_of("DATASET.NUM_SHOTS")
    if shots is not None and not (shots == 0 and told.says("TRAINER.NAME") in LABEL_FREE):
        if logged is not None and logged != shots:
            wrong.append(("DATASET.NUM_SHOTS", logged, f"{shots} shots"))
        elif shots and told.training and told.config.get("DATASET.NUM_SHOTS") == "-1":
            wrong.append(("DATASET.NUM_SHOTS", "-1, all images,", f"{shots} shots"))
    logged = told.number_of("SEED")
    if None not in (seed, logged) and seed != logged:
        wrong.append(("SEED", logged, f"seed {seed}"))
    return wrong


def _backbone(config: str, told: Told) -> list[tuple[str, object, object]]:
    said, name = backbone_said(config), told.says("MODEL.BACKBONE.NAME") or ""
    logged = BACKBONE.match(re.sub("[-/]", "_", name))
    if said and logged and letters(said) != letters(logged[1]):
        return [("MODEL.BACKBONE.NAME", name, said)]
    return []


def _refuse(wrong: list[tuple[str, object, object]], told: Told) -> None:
    if wrong:
        found = ", ".join(f"{key} {logged} where its folder says {said}" for key, logged, said in wrong)
        raise InputError(f"its {told.source} says {found}; {REMEDY}")
