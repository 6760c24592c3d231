"""A row of the table of protocols, and which of them fits a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Pairs = tuple[str, ...]  # KEY VALUE KEY VALUE ..., as train.py takes them


@dataclass(frozen=True)
class Fits:
    """Which runs a row is for. An empty field is for all; names are separated by blanks.

    Attributes:
        settings: base2new, few_shot, transfer (cross-dataset and domain generalisation) or phase1.
        trainers: names.
        datasets: names of files in configs/datasets, of the one that is trained on.
        shots: "1", "2-4" or "8-": from 8 on.
        images: in phase 1, the dataset whose images are seen, which in an ablation is another; "+imagenet" is ImageNet alone
            or in a union.
        learners: in phase 1, for which trainer of phase 2 it is.
    """

    settings: str = ""
    trainers: str = ""
    datasets: str = ""
    shots: str = ""
    images: str = ""
    learners: str = ""

    def run(self, run: Run) -> bool:
        """Whether it is for this run."""
        return (
            _among(run.setting, self.settings)
            and _among(run.trainer, self.trainers)
            and _among(run.dataset, self.datasets)
            and _within(run.shots, self.shots)
            and (_among(run.images or run.dataset, self.images) or _holds(run.images or run.dataset, self.images))
            and _among(run.learner, self.learners)
        )


@dataclass(frozen=True)
class Run:
    """What a protocol is looked up for: fields as in `Fits`, a name each. No shots: all fit; no images: the dataset's."""

    setting: str
    trainer: str
    dataset: str
    shots: int | None = None
    images: str = ""
    learner: str = ""


@dataclass(frozen=True)
class Published:
    """Where the published run differs from ours, for --as-published; what is empty or None is as ours."""

    config: str = ""
    keys: Pairs = ()  # after those of the protocol
    shots: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Protocol:
    """How a trainer is trained in an experiment.

    Attributes:
        fits: for which runs; the first row that fits holds.
        config: the configuration, a file in configs/trainers/<trainer>/ without its ending.
        source: where it is published: repository and script or configuration.
        keys: beside the configuration.
        shots, seeds: of the published experiment, where the command line gives none; None: the experiment's usual ones.
        deviation: where and why ours differs from the source; empty: it does not.
        published: what --as-published changes back.
    """

    fits: Fits
    config: str
    source: str
    keys: Pairs = ()
    shots: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    deviation: str = ""
    published: Published = Published()

    @property
    def can_be_followed(self) -> bool:
        """Whether --as-published makes a difference."""
        return self.published != Published()

    def as_published(self) -> Protocol:
        """The same row as its source has it."""
        theirs = self.published
        return replace(
            self,
            config=theirs.config or self.config,
            keys=self.keys + theirs.keys,
            shots=self.shots if theirs.shots is None else theirs.shots,
            seeds=self.seeds if theirs.seeds is None else theirs.seeds,
        )


@dataclass(frozen=True)
class Keys:
    """Keys that change from dataset to dataset, or with the configuration.

    Attributes:
        fits: for which runs; of the rows of one `what`, the first that fits holds.
        what: what they are about.
        keys: and values.
        source: where they are published.
        config: a part of the configuration's name; empty: any.
    """

    fits: Fits
    what: str
    keys: Pairs
    source: str
    config: str = ""


Row = TypeVar("Row", Protocol, Keys)


def first(rows: Iterable[Row], run: Run) -> Row | None:
    """The first row for a run; None: there is none."""
    return next((row for row in rows if row.fits.run(run)), None)


def keys_for(rows: Sequence[Keys], run: Run, config: str) -> Pairs:
    """The keys of all rows for a run with a configuration."""
    found: dict[str, Pairs] = {}
    for row in rows:
        if row.config in config and row.fits.run(run):
            found.setdefault(row.what, row.keys)
    return tuple(word for keys in found.values() for word in keys)


def _among(name: str, names: str) -> bool:
    return not names or name in names.split()


def _holds(dataset: str, names: str) -> bool:
    """Whether a union holds a dataset that `names` has with a plus."""
    return any(f"+{member}" in names.split() for member in dataset.split("+"))


def _within(shots: int | None, span: str) -> bool:
    if shots is None or not span:
        return True
    least, dash, most = span.partition("-")
    return int(least) <= shots <= (int(most) if most else shots if dash else int(least))
