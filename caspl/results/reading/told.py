"""What is told about one run: by its log, or by the record that it left."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ...ground.errors import InputError
from ..records import NAME, NEUTRAL, Record

COUNT = re.compile(r"\d[\d,]{0,14}", re.ASCII)
ROUNDED = 0.51  # percent by which the accuracy that is printed may differ from that of the counts


@dataclass
class Result:
    """One evaluation. `correct` and `total` are None where no counts are printed; all as written."""

    split: str  # test, val ...
    accuracy: str
    correct: str | None = None
    total: str | None = None

    def percent(self) -> float:
        """To the image where the counts are printed. Raises InputError for what cannot be."""
        if not re.fullmatch(r"\d{1,3}(\.\d{0,20})?", self.accuracy, re.ASCII) or float(self.accuracy) > 100:
            raise InputError(f"its accuracy is {self.accuracy[:40]}%, expected 0 to 100")
        if self.total is None or self.correct is None:
            return float(self.accuracy)
        if not COUNT.fullmatch(self.total) or not COUNT.fullmatch(self.correct):
            raise InputError(f"it counts {self.correct[:40]} correct images of {self.total[:40]}, expected numbers")
        total, correct = (int(number.replace(",", "")) for number in (self.total, self.correct))
        if correct > total or not total:
            raise InputError(f"it counts {correct:,} correct images of {total:,}, which is impossible")
        if abs(100 * correct / total - float(self.accuracy)) > ROUNDED:
            raise InputError(
                f"it counts {correct:,} correct images of {total:,} and prints an accuracy of {self.accuracy}%"
            )
        return 100 * correct / total


@dataclass
class Told:
    """What a log or a record says about one run; several may share a log."""

    path: Path
    number: int = 1  # of the run in its file
    runs: int = 1  # in that file
    arguments: dict[str, str] = field(default_factory=dict)  # of the command line, as printed
    config: dict[str, str] = field(default_factory=dict)  # key with its nodes -> value, as printed
    loaded: dict[str, str] = field(default_factory=dict)  # likewise: dataset and trainer, as they are built
    results: list[Result] = field(default_factory=list)  # the final ones: of a training those behind its end
    training: bool = False  # it prints epochs
    trained: bool = False  # and their end
    boosted_by_base_names: bool = False
    record: Record | None = None  # of the run, where it left one

    @property
    def source(self) -> str:
        """What tells, as sentences call it."""
        return "record" if self.path.name == NAME else "log"

    @property
    def name(self) -> str:
        """As sentences call it."""
        return str(self.path) if self.runs == 1 else f"{self.path} (run {self.number} of {self.runs})"

    def says(self, key: str) -> str | None:
        """The value of a key; None where the log is silent, which an empty value and -1, Dassl's "none given", are, too."""
        value = self.config.get(key, self.loaded.get(key))
        return None if value in ("", "-1") else value

    def number_of(self, key: str) -> int | None:
        value = self.says(key)
        return int(value) if value and re.fullmatch(r"\d{1,9}", value, re.ASCII) else None

    @property
    def tests_a_model(self) -> bool:
        """Whether it only tests what another run has trained, or nobody."""
        return self.arguments.get("eval_only") == "True"

    @property
    def model_dir(self) -> str | None:
        """The folder of the training whose model it tests."""
        return self.arguments.get("model_dir") or None if self.tests_a_model else None

    @property
    def epoch(self) -> str | None:
        """Of the model that is tested; None where the log does not say, or says the last."""
        return self.arguments.get("load_epoch") or None if self.tests_a_model else self.says("OPTIM.MAX_EPOCH")

    @property
    def config_file(self) -> str:
        """Its name without folder and ending; "" where the log does not say."""
        return re.sub(r"\.ya?ml$", "", re.split(r"[/\\]", self.arguments.get("config_file", ""))[-1])

    @property
    def final(self) -> Result | None:
        """The last result on test images, else the last one on others."""
        tests = [result for result in self.results if result.split == "test"]
        return (tests or self.results or [None])[-1]

    @property
    def images(self) -> int | None:
        """Of the final result, where they are counted."""
        total = (self.final.total or "").replace(",", "") if self.final is not None else ""
        return int(total) if re.fullmatch(r"\d{1,15}", total, re.ASCII) else None

    @property
    def base_to_new_splits(self) -> bool:
        """PromptKD's way: one run over all classes, whose val images are the base classes' test, and its test the new ones'."""
        return self.says("TRAINER.MODAL") == "base2novel"

    @property
    def classes(self) -> str | None:
        """That were tested: all, base or new; None where the log does not say."""
        if self.base_to_new_splits:
            return "base" if self.final is not None and self.final.split == "val" else "new"
        return self.says("DATASET.SUBSAMPLE_CLASSES")

    @property
    def base_names(self) -> bool:
        """CasPL: the log says that phase 1 knew the names of the base classes only."""
        return self.says("TRAINER.CASPL.CLASSES") == "base" or self.boosted_by_base_names

    def accuracy(self) -> float | None:
        """Percent of the test images; None: not finished, or not on them. Raises InputError for what cannot be."""
        counted = ("test", "val") if self.base_to_new_splits else ("test",)
        percents = [result.percent() for result in self.results if result.split in counted]
        return percents[-1] if percents and self.final.split in counted else None

    def difference(self, other: Told) -> str | None:
        """The first thing in which the configurations of two logs differ that both print, as a phrase."""
        for key in sorted(self.config.keys() & other.config.keys()):
            if self.config[key] != other.config[key] and not NEUTRAL.fullmatch(key):
                return f"{key} {self.config[key]} and {other.config[key]}"
        for key in ("model_dir", "load_epoch") if self.tests_a_model else ():
            mine, others = (told.arguments.get(key, "") for told in (self, other))
            if mine != others:
                return f"--{key.replace('_', '-')} {mine or 'not given'} and {others or 'not given'}"
        return None
