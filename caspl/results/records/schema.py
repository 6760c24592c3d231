"""What stands in a run's record. Percentages are 0 to 100, times in seconds, memory in bytes, lists in the order of labels.

A text that is empty, and a None, say that there is no such thing or that nobody knows; the comments say which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...checkpoints.fields import number, one_of, several, text
from ...checkpoints.headers import MOST_BLOCKS, MOST_CLASSES, MOST_TOKENS
from ...ground.texts import LONGEST_NAME

MOST_IMAGES = 2**40
MOST_BYTES = 2**50
MOST_WIDTH = 2**20  # of features
LONGEST_TIME = 2**31  # seconds
LONGEST_PATH = 4_096  # characters
BINS = 15  # of confidence, for the calibration error
SLACK = 1e-9  # percent by which a number may differ from the counts that it follows from
SHA256 = re.compile(r"(?:[0-9a-f]{64})?")

# Keys that change no number of a run, or only say where things lie: they don't count in a configuration's checksum
NEUTRAL = re.compile(
    r"OUTPUT_DIR|RESUME|VERBOSE|VERSION|USE_CUDA|LOGGER.*|DATASET\.ROOT|DATALOADER\.NUM_WORKERS|DATALOADER\.TEST\..*"
    r"|TRAIN\..*_FREQ|TEST\.(?!SPLIT|FINAL_MODEL|NO_TEST).*|.*\.MEMORY"
)


class Status:
    """How a run ended."""

    RUNNING = "running"  # it is under way, or was killed
    FINISHED = "finished"
    INTERRUPTED = "interrupted"  # by Ctrl-C, SIGTERM or SIGHUP
    DIVERGED = "diverged"
    REFUSED = "refused"  # a mistake in what was given, or something on the disk
    FAILED = "failed"  # for a reason that nobody expected

    ALL = (RUNNING, FINISHED, INTERRUPTED, DIVERGED, REFUSED, FAILED)


def _checksum() -> Any:
    return text(64)  # 64 hexadecimal digits of SHA-256, or empty; see _odd_checksum


def _odd_checksum(*names: str, of: Any) -> str:
    wrong = [name for name in names if not SHA256.fullmatch(getattr(of, name))]
    return f"has {wrong[0]} {getattr(of, wrong[0])[:20]!r}, expected 64 hexadecimal digits" if wrong else ""


def _odd_file(of: Any) -> str:
    if not of.sha256 or "/" in of.file or "\\" in of.file or not of.file:
        return "names no file beside the record, or has no checksum of it"
    return _odd_checksum("sha256", of=of)


@dataclass(frozen=True)
class Configuration:
    """What was set: files as they were given, and all settings that are not at their default."""

    dataset_config_file: str = text(LONGEST_PATH)
    config_file: str = text(LONGEST_PATH)
    settings: dict[str, str] = several(2_000, text(100_000))  # by key, as they are written on a command line
    sha256: str = _checksum()  # of the settings without NEUTRAL ones: equal settings, equal sum (`digest`)

    def problem(self) -> str:
        return _odd_checksum("sha256", of=self)


@dataclass(frozen=True)
class Code:
    """Which program it was."""

    version: str = text(100)
    revision: str = text(100)  # of the checkout, as git says it; empty: there is none
    modified: bool | None  # whether files differ from what git keeps; None: there is no checkout
    sha256: str = _checksum()  # of all modules: equal sums are equal code, whatever git says

    def problem(self) -> str:
        return _odd_checksum("sha256", of=self)


@dataclass(frozen=True)
class Machine:
    """What it ran on. Nothing here names a machine or a user."""

    python: str = text(100)
    torch: str = text(100)
    device: str = text(100)  # cpu, cuda, mps
    device_name: str = text(200)  # of a GPU, else the processor's architecture
    precision: str = text(100)  # as configured, TRAINER.*.PREC; empty: the trainer has none
    computes_in: str = text(100)  # float32, float16 or bfloat16; empty: not known


@dataclass(frozen=True)
class Part:
    """Training, validation or test images."""

    images: int = number(0, MOST_IMAGES)
    sha256: str = (
        _checksum()
    )  # of their names and labels in order, wherever they lie; empty: there are none, or a stream

    def problem(self) -> str:
        return _odd_checksum("sha256", of=self)


@dataclass(frozen=True)
class Dataset:
    """The images and classes of this run."""

    name: str = text(LONGEST_NAME)
    subset: str = one_of("all", "base", "new")  # of its classes (DATASET.SUBSAMPLE_CLASSES)
    shots: int = number(-(2**31), 2**31)  # labelled training images of each class, below 1: all
    seed: int = number(-(2**63), 2**64)
    classes: list[str] = several(MOST_CLASSES, text(LONGEST_NAME))
    train: Part
    val: Part
    test: Part


@dataclass(frozen=True)
class Training:
    """On what the tested model was trained. Of a test of another folder's model: as that one's record says."""

    dataset: str = text(LONGEST_NAME)
    subset: str = one_of("", "all", "base", "new")  # of its classes; empty: not known
    shots: int | None = number(-(2**31), 2**31)
    seed: int | None = number(-(2**63), 2**64)
    epochs: int | None = number(0, 2**31)


@dataclass(frozen=True)
class Protocol:
    """What was known to the method, and what decided; "unknown" where no record says it."""

    labels: str = one_of(
        "none", "shots", "all", "unknown"
    )  # of training images that were read: none, `shots` each, all
    unlabelled: str = text(
        LONGEST_NAME
    )  # on whose unlabelled images boosting prompts learned: datasets; empty: there are none
    names_phase1: str = one_of("", "all", "base", "unknown")  # whose names phase 1 knew; empty: there was none
    names_phase2: str = one_of("", "all", "base", "new", "unknown")  # whose names training knew; empty: no training
    told: str = one_of(
        "no", "base", "new"
    )  # whether the tested model had only the base, or only the new classes to choose from
    # What chose the epoch: the end of training, accuracy on val or on test images, --load-epoch; empty: nothing was trained
    chosen_by: str = one_of("", "last_step", "val", "test", "given", "unknown")


@dataclass(frozen=True)
class ModelFile:
    name: str = text(LONGEST_PATH)  # relative to the folder of the run that made it
    sha256: str = _checksum()

    def problem(self) -> str:
        return _odd_checksum("sha256", of=self)


@dataclass(frozen=True)
class Model:
    """What was trained, or tested."""

    trainer: str = text(LONGEST_NAME)
    backbone: str = text(LONGEST_PATH)
    fingerprint: str = text(200)  # of the backbone's weights; empty: not known
    parameters: int = number(0, 2**50)  # that are learned
    folder: str = text(LONGEST_PATH)  # of the run whose model was tested (--model-dir); empty: this run's, or none
    epoch: int | None = number(0, 2**31)  # after which the tested model was kept; None: there is none, or nobody says
    files: list[ModelFile] = several(100)  # that were tested
    training: Training | None  # None: nothing was trained


@dataclass(frozen=True)
class Boosting:
    """Boosting prompts: of CasPL's phase 2 those that it builds on, of phase 1 those that it made."""

    source: str = text(LONGEST_PATH)  # as given (TRAINER.CASPL.BOOSTING); the file's name where this run made it
    sha256: str = _checksum()  # of the file
    student: str = text(LONGEST_PATH)
    teacher: str = text(LONGEST_PATH)
    dataset: str = text(LONGEST_NAME)
    names: str = one_of("all", "base")
    classes: int = number(0, MOST_CLASSES)  # in the softmax of phase 1; 0: not known
    template: str = text(100_000)
    temperature: float = number(0, 1_000_000)
    loss: str = text(100)
    epochs: int = number(0, 2**31)
    seed: int = number(-(2**63), 2**64)
    text_length: int = number(0, MOST_TOKENS)
    vision_length: int = number(0, MOST_TOKENS)
    text_depth: int = number(0, MOST_BLOCKS)
    vision_depth: int = number(0, MOST_BLOCKS)

    def problem(self) -> str:
        return _odd_checksum("sha256", of=self)


@dataclass(frozen=True)
class Bin:
    """Images whose prediction has a probability in one of BINS equal parts of (0, 1]."""

    images: int = number(0, MOST_IMAGES)
    correct: int = number(0, MOST_IMAGES)
    confidence: float = number(0, MOST_IMAGES)  # sum of the probabilities


@dataclass(frozen=True)
class Result:
    """The final evaluation."""

    split: str = one_of("test", "val")
    total: int = number(1, MOST_IMAGES)
    correct: int = number(0, MOST_IMAGES)
    accuracy: float = number(0, 100)
    macro_f1: float = number(0, 100)  # mean over the classes that have images
    all_classes: float | None = number(0, 100)  # the accuracy, where the model chose among all classes; else None
    class_total: list[int] = several(MOST_CLASSES, number(0, MOST_IMAGES))
    class_correct: list[int] = several(MOST_CLASSES, number(0, MOST_IMAGES))
    ece: float | None = number(0, 100)  # expected calibration error over BINS; None where an image has no probabilities
    bins: list[Bin] = several(BINS)

    def problem(self) -> str:
        if len(self.class_total) != len(self.class_correct):
            return f"counts {len(self.class_total)} classes and correct images of {len(self.class_correct)}"
        if (sum(self.class_total), sum(self.class_correct)) != (self.total, self.correct):
            return f"has {self.correct:,} of {self.total:,} images correct, but its classes have other sums"
        if any(correct > total for correct, total in zip(self.class_correct, self.class_total, strict=True)):
            return "has a class with more correct images than images"
        if abs(self.accuracy - 100 * self.correct / self.total) > SLACK:
            return f"has {self.correct:,} of {self.total:,} images correct and an accuracy of {self.accuracy}"
        if self.all_classes is not None and abs(self.all_classes - self.accuracy) > SLACK:
            return f"has an accuracy of {self.accuracy}, of all classes {self.all_classes}"
        binned = sum(each.images for each in self.bins), sum(each.correct for each in self.bins)
        if self.ece is not None and binned != (self.total, self.correct):
            return f"has {self.correct:,} of {self.total:,} images correct, but its bins of confidence have other sums"
        if self.ece is not None and abs(self.ece - calibration_error(self.bins)) > 1e-6:
            return f"has a calibration error of {self.ece}, and its bins one of {calibration_error(self.bins)}"
        return ""


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error in percent: the bins' gaps between confidence and accuracy, weighted with their images."""
    images = sum(each.images for each in bins)
    return 100 * sum(abs(each.confidence - each.correct) for each in bins) / images if images else 0.0


@dataclass(frozen=True)
class Predictions:
    """The file beside the record with the prediction of each image (`predictions`)."""

    file: str = text(100)
    images: int = number(1, MOST_IMAGES)
    sha256: str = _checksum()  # of the file

    def problem(self) -> str:
        return _odd_file(self)


@dataclass(frozen=True)
class Features:
    """The file beside the record with the features of each image (`features`). Of version 2."""

    file: str = text(100)
    images: int = number(1, MOST_IMAGES)
    width: int = number(1, MOST_WIDTH)
    sha256: str = _checksum()  # of the file

    def problem(self) -> str:
        return _odd_file(self)


@dataclass(frozen=True)
class Cost:
    """What the same run would not repeat: times and memory of this process.

    A resumed run counts from its continuation; one that had ended, and was only tested again, keeps the time of its training.
    """

    started: str = text(40)  # UTC, as 2025-01-31T09:30:00Z
    ended: str = text(40)  # empty: it has not
    training_seconds: float = number(0, LONGEST_TIME)
    evaluation_seconds: float = number(0, LONGEST_TIME)  # of the final evaluation
    memory: int = number(0, MOST_BYTES)  # largest resident set
    gpu_memory: int = number(0, MOST_BYTES)  # largest that PyTorch had allocated there; 0: no GPU


@dataclass(frozen=True)
class Record:
    """A run. What it did not come to is None: one that was refused early has no dataset, only one that finished a result."""

    status: str = one_of(*Status.ALL)
    reason: str = text(10_000)  # the sentence with which a run ended that did not finish; else empty
    task: str = one_of("train", "test")  # train: and, as a rule, test what was trained
    command: list[str] = several(10_000, text(100_000))  # the words behind the program's name
    configuration: Configuration
    code: Code
    machine: Machine
    dataset: Dataset | None
    protocol: Protocol | None
    model: Model | None
    boosting: Boosting | None  # None: there are none, or nobody knows them
    result: Result | None  # None also of a run without a test, and of an evaluator that counts nothing
    predictions: Predictions | None  # None also where they are switched off (TEST.PREDICTIONS)
    cost: Cost
    features: Features | None = None  # None unless they are switched on (TEST.FEATURES); of version 2 of the file

    @property
    def finished(self) -> bool:
        return self.status == Status.FINISHED

    def problem(self) -> str:
        if not self.finished and (self.result or self.predictions or self.features):
            return f"is {self.status} and has a result"
        if self.predictions and (self.result is None or self.predictions.images != self.result.total):
            return "has predictions of other images than its result counts"
        if self.features and (self.result is None or self.features.images != self.result.total):
            return "has features of other images than its result counts"
        if self.result and (self.dataset is None or len(self.result.class_total) != len(self.dataset.classes)):
            return "has a result for other classes than its dataset has"
        return ""
