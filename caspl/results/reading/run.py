"""One run with its result, and what was found below a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..records import Record
from .agreement import Identity
from .told import Told

# The names that published.csv has, too.
BASE_TO_NEW, FEW_SHOT = "base_to_new", "few_shot"
CROSS_DATASET, DOMAINS = "cross_dataset", "domain_generalization"

VARIED = re.compile(r"-([a-z_]+[a-z0-9_]*)=([^/]+)")  # -length=8+16, behind the name of a configuration


@dataclass(frozen=True)
class Run:
    """One run and its accuracy on the test images."""

    setting: str  # BASE_TO_NEW, FEW_SHOT, CROSS_DATASET or DOMAINS
    dataset: str  # the papers' name, else the folder's
    trainer: str
    config: str  # with what else the folders say, e.g. vit_b16/nctx16_cscFalse_ctpend
    shots: int  # 0: no labels seen
    seed: int | None  # None where nothing says it
    classes: str  # tested: base, new or all
    accuracy: float | None  # percent; None: not finished
    inductive: bool  # CasPL whose phase 1 knew the names of the base classes only
    backbone: str | None  # as the log says
    part: str  # the folder that says what the run is: train_base, test_new, evaluation ...; "" where there is none
    is_test: bool  # of a model that another run has trained, or nobody
    epoch: str | None  # at whose end the model was tested; None: the last, or unknown
    images: int | None  # that it was tested on, where the log counts them
    root: str  # what stands in front of the layout, relative to the folder that is collected
    path: str  # of the log, or of the record where there is none, likewise
    record: Record | None = field(default=None, compare=False, repr=False)  # None: it left none

    @property
    def settings(self) -> tuple:
        """What runs of one method and one number of shots have in common."""
        return self.root, self.trainer, self.config, self.shots

    @property
    def varied(self) -> tuple[str, str] | None:
        """The grid and the value of a run of an ablation, as its configuration's name says; None of any other run."""
        found = VARIED.search(self.config)
        return (found[1], found[2]) if found else None

    @property
    def model(self) -> tuple:
        """What the training of a model and its tests have in common, apart from the dataset."""
        return *self.settings, self.seed


@dataclass
class Entry:
    """What was told of a run on its way to one."""

    folder: Path
    told: Told
    identity: Identity | None = None  # None: its folder contradicts it, or it is of nothing that stands in a table
    contradicted: bool = False
    run: Run | None = None


@dataclass(frozen=True)
class Found:
    """All that lies below a folder. Paths are relative to it."""

    runs: list[Run]  # the finished ones, by path
    unfinished: list[tuple[str, Run]]  # a newest log that has no result, and its run, which may have an older result
    validation: list[tuple[str, Run]]  # tested on validation images: in no table; `accuracy` is on them
    left_out: list[tuple[str, str]]  # what is in no table, and why
    elsewhere: list[str]  # folders with logs in none of the layouts
