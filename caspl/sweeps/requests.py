"""What is asked of a sweep, and the mistakes in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .. import configs
from ..ground.errors import InputError, nearest
from ..ground.texts import visible
from . import place
from .protocols.reading import CASCADED, PHASE_1, read_by_any

LONGEST_NAME = 200  # bytes; file systems allow 255, and an ablation adds to it
LABEL_FREE = ("ZeroshotCLIP", "ZeroshotCLIP2", PHASE_1)
NUMBER = re.compile(r"[1-9][0-9]*")
MOST = 2**32 - 1  # a seed, and more than anybody has of anything else


class MistakesError(InputError):
    """Several mistakes, a sentence each."""

    def __init__(self, sentences: Sequence[str]):
        self.sentences = tuple(sentences)
        super().__init__("; ".join(sentences))


@dataclass
class Mistakes:
    """What is wrong with a request: each sentence is told once, as soon as it is found; then nothing runs."""

    tell: Callable[[str], None]
    told: dict[str, None] = field(default_factory=dict)

    def add(self, sentence: str) -> None:
        if sentence not in self.told:
            self.told[sentence] = None
            self.tell(f"error: {visible(sentence)}")

    def stop(self) -> None:
        """Raises MistakesError if there are any."""
        if self.told:
            raise MistakesError(list(self.told))


@dataclass(frozen=True)
class Request:
    """What a sweep is to run, of whichever experiment. Paths begin in the folder of the runs (`Place`).

    Attributes:
        setting: base2new, few_shot, transfer or phase1: which protocols hold.
        root, output: folders of the datasets and of all runs.
        datasets, trainers, seeds, shots: what is run for each combination. Where `seeds` or `shots` is empty, those of the
            protocol, else the usual ones.
        usual_seeds, usual_shots: of the experiment.
        configs: {trainer: configuration} in place of the protocols'.
        name: of the runs' folders in place of the configuration's; "": that.
        boosting: prompts for all CasPL_*; "": those of phase 1.
        source: the dataset that is trained on, in transfer.
        all_classes: whether to test on all classes, too, in base-to-new.
        pairs: KEY VALUE KEY VALUE ... for all runs whose trainer reads the key.
        as_published: whether to follow the sources where the protocols deviate from them.
    """

    setting: str
    root: str = "data"
    output: str = "output"
    datasets: tuple[str, ...] = ()
    trainers: tuple[str, ...] = ("CoOp", "CasPL_CoOp")
    seeds: tuple[str, ...] = ()
    shots: tuple[str, ...] = ()
    usual_seeds: tuple[str, ...] = ("1", "2", "3")
    usual_shots: tuple[str, ...] = ("16",)
    configs: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    boosting: str = ""
    source: str = "imagenet"
    all_classes: bool = False
    pairs: tuple[str, ...] = ()
    as_published: bool = False


@dataclass(frozen=True)
class Variation:
    """What an ablation changes in one run and in the phase 1 that goes before it.

    Attributes:
        tag, phase1_tag: ends of the names of the folders, such as "-temperature=2".
        phase1_keys, phase2_keys: pairs KEY VALUE.
        phase1_usual: pairs of the training of phase 1 in front of which those behind -- go.
        one_phase: no phase 1 goes before.
        images: the dataset of phase 1; "": that of the run.
        phase1_folder: where runs of phase 1 lie; "": OUTPUT/boost.
    """

    tag: str = ""
    phase1_tag: str = ""
    phase1_keys: tuple[str, ...] = ()
    phase2_keys: tuple[str, ...] = ()
    phase1_usual: tuple[str, ...] = ()
    one_phase: bool = False
    images: str = ""
    phase1_folder: str = ""


def is_cascaded(trainer: str) -> bool:
    """Whether boosting prompts go before it."""
    return trainer.startswith(CASCADED)


def members(dataset: str) -> list[str]:
    """The datasets of a union, `a+b`, or the one itself."""
    return dataset.split("+")


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------
OPTION_FOR = {  # behind -- these would win over the option, and folders be named wrongly
    "SEED": "--seeds",
    "OUTPUT_DIR": "--output",
    "DATASET.ROOT": "--root",
    "DATASET.NAME": "--datasets",
}
OPTION_FOR_TRAINERS = {"DATASET.NUM_SHOTS": "--shots", "TRAINER.CASPL.BOOSTING": "--boosting"}  # phase 1 may have shots
SPLIT = "DATASET.SUBSAMPLE_CLASSES"
KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")


def check(mistakes: Mistakes, request: Request) -> None:
    """All that needs no look at the data or the outputs."""
    for trainer in request.trainers:
        check_trainer(mistakes, trainer)
    for dataset in request.datasets:
        check_dataset(mistakes, dataset)
    check_numbers(mistakes, "--seeds", request.seeds)
    check_numbers(mistakes, "--shots", request.shots)
    if "/" in request.name:
        mistakes.add(f"--name {request.name} has a slash; it names one folder")
    elif request.name in (".", "..") or len(os.fsencode(request.name)) > LONGEST_NAME:
        mistakes.add(f"--name {shortened(request.name)} is no name that a folder can have; choose another")
    for trainer in request.configs:
        check_trainer(mistakes, trainer)
    _check_pairs(mistakes, request)


def check_trainer(mistakes: Mistakes, name: str) -> None:
    _check_name(mistakes, "trainer", name, place.trainers())


def check_dataset(mistakes: Mistakes, name: str) -> None:
    """A dataset, or a union of some."""
    for member in members(name):
        _check_name(mistakes, "dataset", member, place.datasets())


def _check_name(mistakes: Mistakes, kind: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        mistakes.add(f'no {kind} is called "{name}"; there are {", ".join(names)}')


def check_numbers(mistakes: Mistakes, option: str, words: Sequence[str]) -> None:
    for word in words:
        if not is_number(word):
            most = f" to {MOST}" if NUMBER.fullmatch(word) else ""
            mistakes.add(f'{option} has "{shortened(word)}", expected whole numbers from 1{most}')


def is_number(word: str) -> bool:
    return bool(NUMBER.fullmatch(word)) and len(word) <= len(str(MOST)) and int(word) <= MOST


def shortened(word: str, most: int = 100) -> str:
    return word if len(word) <= most else f"{word[:most]}..."


def _check_pairs(mistakes: Mistakes, request: Request) -> None:
    if len(request.pairs) % 2:
        mistakes.add("an odd number of words stands after --, expected pairs KEY VALUE")
    for key in request.pairs[::2]:
        if not KEY.fullmatch(key):
            mistakes.add(f'"{key}" stands after -- where a KEY such as OPTIM.LR is expected')
        elif instead := _instead(request, key):
            mistakes.add(f"{key} stands after --, but {instead}; leave the pair out")
        elif meant := _misspelt(key):
            mistakes.add(f"{key} stands after --, but no key is called so; do you mean {meant}?")
        if not read_by_any(request.trainers, key):
            mistakes.add(f"{key} stands after --, but none of {' '.join(request.trainers)} reads it")


def _misspelt(key: str) -> str:
    """The nearest of all keys to one that there is not; "": there is, or it may be of a trainer that was added."""
    names = configs.key_names()
    node = key.rpartition(".")[0]
    if key in names or (node.startswith("TRAINER.") and not any(name.startswith(f"{node}.") for name in names)):
        return ""
    return nearest(key, names) or ""


def check_used(mistakes: Mistakes, request: Request) -> None:
    """Whether something was given that none of the runs has a use for; it would go unnoticed."""
    names = " ".join(request.trainers)
    cascaded = any(map(is_cascaded, request.trainers))
    for trainer, config in request.configs.items():
        boosts = trainer == PHASE_1 and cascaded and not request.boosting
        if trainer not in request.trainers and not boosts:
            mistakes.add(f"--config {trainer}={config} is for no run of this sweep, whose trainers are {names}")
    if request.boosting and not cascaded and os.path.exists(request.boosting):  # a wrong path is told as such
        mistakes.add(f"--boosting is for CasPL_*, and none of {names} is one; leave it out")
    if request.shots and all(trainer in LABEL_FREE for trainer in request.trainers):
        mistakes.add(f"--shots is for trainers that see labels, which {names} don't; leave it out")


def _instead(request: Request, key: str) -> str:
    """Why a pair behind -- is not to be given, as words; "": it may."""
    if request.setting == "base2new" and key == SPLIT:
        return "base-to-new sets it for each run"
    options = OPTION_FOR if request.setting == "phase1" else OPTION_FOR | OPTION_FOR_TRAINERS
    return f"{options[key]} is for that" if key in options else ""


def refuse_linear_probe(mistakes: Mistakes, request: Request) -> None:
    if "LinearProbe" in request.trainers:
        mistakes.add("LinearProbe knows no classes but those that it was trained on; few_shot takes it")


def usual_datasets(mistakes: Mistakes, names: Sequence[str]) -> tuple[str, ...]:
    """Those of an experiment that have a configuration; the others are told to be left out."""
    there = place.datasets()
    missing = [name for name in names if name not in there]
    if missing:
        mistakes.tell(f"left out, as {place.DATASETS} has no file for them: {' '.join(missing)}")
    if len(missing) == len(names):
        mistakes.add(f"{place.DATASETS} has none of the usual datasets; choose with --datasets")
    return tuple(name for name in names if name in there)
