"""Which runs lie below a folder: the CoOp family's output layouts."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoints.headers import BoostingHeader, RunHeader, read_header
from ..ground.errors import InputError
from ..ground.texts import visible
from .logs import Log, read_logs
from .names import VARIANTS, dataset_name

logger = logging.getLogger(__name__)

# The names that published.csv has, too.
BASE_TO_NEW, FEW_SHOT = "base_to_new", "few_shot"
CROSS_DATASET, DOMAINS = "cross_dataset", "domain_generalization"

# The folders of a run's log, in the order in which they are tried: the later ones would fit some of the earlier, too.
LAYOUTS = tuple(
    re.compile(pattern)
    for pattern in (
        # CasPL's scripts for other datasets write to test_: the rest of the name is a variable that they do not set
        r"(?P<root>.*)/base2new/(?P<part>train_base|test_base|test_new|test_all|test_)/(?P<dataset>[^/]+)"
        r"/shots_(?P<shots>\d{1,9})(?:_(?P<suffix>[^/]+))?/(?P<trainer>[^/]+)/(?P<config>.+)/seed(?P<seed>\d{1,9})",
        r"(?P<root>.*)/(?P<part>evaluation)/(?P<trainer>[^/]+)/(?P<config>[^/]+)_(?P<shots>\d{1,9})shots"
        r"(?:/(?P<suffix>.+))?/(?P<dataset>[^/]+)/seed(?P<seed>\d{1,9})",
        r"(?P<root>.*)/(?P<dataset>[^/]+)/(?P<trainer>[^/]+)/(?P<config>[^/]+)_(?P<shots>\d{1,9})shots"
        r"(?:/(?P<suffix>.+))?/seed(?P<seed>\d{1,9})",
        r"(?P<root>.*)/(?P<trainer>ZeroshotCLIP2?)/(?P<config>[^/]+)/(?P<dataset>(?!seed\d{1,9}$)[^/]+)",
    )
)
EXPECTED = (
    "base2new/{train_base,test_base,test_new,test_all}/<dataset>/shots_<K>/<trainer>/<config>/seed<k>, "
    "<dataset>/<trainer>/<config>_<K>shots/seed<k>, evaluation/<trainer>/<config>_<K>shots/<dataset>/seed<k> "
    "or ZeroshotCLIP/<config>/<dataset>"
)
TESTED = {"train_base": "base", "test_base": "base", "test_new": "new"}  # elsewhere all classes


@dataclass(frozen=True)
class Run:
    """One run and its accuracy on the test images."""

    setting: str  # BASE_TO_NEW, FEW_SHOT, CROSS_DATASET or DOMAINS
    dataset: str  # the papers' name, else the folder's
    trainer: str
    config: str  # with what else the folders say, e.g. vit_b16/nctx16_cscFalse_ctpend
    shots: int  # 0: no labels seen
    seed: int | None  # None in a layout without seeds
    classes: str  # tested: base, new or all
    accuracy: float | None  # percent; None: not finished
    inductive: bool  # CasPL whose phase 1 knew the names of the base classes only
    backbone: str | None  # as the log says
    part: str  # the folder that says what the run is: train_base, test_new, evaluation ...; "" where there is none
    root: str  # what stands in front of the layout, relative to the folder that is collected
    path: str  # of the log, likewise

    @property
    def settings(self) -> tuple:
        """What runs of one method and one number of shots have in common."""
        return self.root, self.trainer, self.config, self.shots

    @property
    def model(self) -> tuple:
        """What the training of a model and its tests have in common, apart from the dataset."""
        return *self.settings, self.seed


@dataclass(frozen=True)
class Found:
    """All that lies below a folder."""

    runs: list[Run]  # the finished ones, by path
    unfinished: list[tuple[str, Run]]  # a newest log that has no result, and its run, which may have an older result
    elsewhere: list[str]  # folders with logs in none of the layouts


def find_runs(folder: Path) -> Found:
    """Read every log below `folder`.

    Raises InputError where there is no such folder, where a run tested other classes than its folder says, and where a model
    was tested on classes as new that it was trained on.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give an output folder, for example output or output/base2new")
    top = Path(os.path.abspath(folder))  # the name as it was given: what a link points to may be called otherwise
    entries, elsewhere = [], []
    for path, log in _logs(top):
        match = next(filter(None, (layout.fullmatch(path.as_posix()) for layout in LAYOUTS)), None)
        if match is None:
            elsewhere.append(os.path.relpath(path, top))
        else:
            entries.append((_run(match.groupdict(), log, top), log))
    runs = _mark_inductive([run for run, _ in entries])
    _check_unseen(runs)
    newest = [log.unfinished for _, log in entries]
    return Found(
        runs=[run for run in runs if run.accuracy is not None],
        unfinished=[(os.path.relpath(p, top), run) for p, run in zip(newest, runs, strict=True) if p is not None],
        elsewhere=elsewhere,
    )


def _logs(top: Path) -> Iterator[tuple[Path, Log]]:
    for path, folders, files in os.walk(top, onerror=_unread):
        folders.sort()  # the same order on every file system
        log = read_logs(Path(path), files)
        if log is not None:
            yield Path(path), log


def _unread(error: OSError) -> None:
    logger.warning("left out: %s: %s", error.filename, error.strerror)


def _run(place: dict[str, str | None], log: Log, top: Path) -> Run:
    place = {
        name: None if value is None else visible(value) for name, value in place.items()
    }  # they are shown everywhere
    dataset, part, shots = dataset_name(place["dataset"]), place.get("part") or "", int(place.get("shots") or 0)
    setting, classes = _meaning(part, dataset, shots, log)
    return Run(
        setting=setting,
        dataset=dataset,
        trainer=place["trainer"],
        config="/".join(filter(None, (place["config"], place.get("suffix")))),
        shots=shots,
        seed=int(place["seed"]) if place.get("seed") else None,
        classes=classes,
        accuracy=log.accuracy,
        inductive=place["trainer"].startswith("CasPL") and _base_names_only(log),
        backbone=log.backbone,
        part=part,
        root=Path(os.path.relpath(place["root"] or "/", top)).as_posix(),
        path=Path(os.path.relpath(log.path, top)).as_posix(),
    )


def _base_names_only(log: Log) -> bool:
    """Whether phase 1 knew the names of the base classes only, as the record beside the log says.

    Where no record says it, as in folders of version 0.1 of this program and of runs that have not ended, the log is asked.
    A record that can't be read is a warning.
    """
    for kind in (RunHeader, BoostingHeader):
        record = log.path.parent / kind.file_name
        try:
            names = read_header(record, kind).names if record.is_file() else "unknown"
        except InputError as error:
            logger.warning("%s: whose names phase 1 knew is taken from the log", error)
            continue
        if names != "unknown":
            return names == "base"
    return log.base_names


def _meaning(part: str, dataset: str, shots: int, log: Log) -> tuple[str, str]:
    """Setting and tested classes. Raises InputError where the log contradicts the folder."""
    expected = TESTED.get(part, "all")
    found = log.classes or expected
    if part == "train_base" and found == "all":
        # KgCoOp and CasPL keep what they train on all classes here, too. Without labels there is no few-shot training:
        # phase 1 of CasPL, whose model the base-to-new protocol tests.
        return (FEW_SHOT if shots else BASE_TO_NEW), "all"
    if found != expected:
        raise InputError(
            f"{log.path} tested {found} classes (SUBSAMPLE_CLASSES), but its folder is for {expected} classes; move it to "
            f"where it belongs, or remove it and run the test again"
        )
    if part in TESTED or part == "test_all":
        return BASE_TO_NEW, expected
    if dataset in VARIANTS:
        return DOMAINS, "all"
    return (CROSS_DATASET if part else FEW_SHOT), "all"


def _mark_inductive(runs: list[Run]) -> list[Run]:
    """Only training says which names phase 1 knew; the tests of a model take it over from its training."""
    marked = {(run.setting, run.dataset, run.model) for run in runs if run.inductive}
    sources = {run.model for run in runs if run.inductive and run.setting == FEW_SHOT}

    def inductive(run: Run) -> bool:
        if run.setting in (CROSS_DATASET, DOMAINS):
            return run.inductive or run.model in sources
        return (run.setting, run.dataset, run.model) in marked

    return [replace(run, inductive=inductive(run)) for run in runs]


def _check_unseen(runs: Iterable[Run]) -> None:
    """Raise InputError for new classes that the model was trained on."""
    seen = {(run.dataset, run.model): run for run in runs if run.part == "train_base" and run.setting == FEW_SHOT}
    for run in runs:
        training = seen.get((run.dataset, run.model))
        if training is not None and run.part == "test_new":
            raise InputError(
                f"{training.path} trained on all classes (SUBSAMPLE_CLASSES), but {run.path} tests its model on new classes as "
                f"if they were unseen; train with DATASET.SUBSAMPLE_CLASSES base, or remove one of the two"
            )
