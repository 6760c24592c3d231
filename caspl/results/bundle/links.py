"""Which run a run rests on: by the checksum of a file, or by the name that a record has for the other's folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..reading.logs import folder_of
from ..reading.models import endings
from ..records import Boosting, Model, Record

BOOSTING = "boosting.safetensors"  # as phase 1 calls its file
Files = Iterator[tuple[str, str]]


def beside(record: Record) -> Files:
    """The files in a run's own folder that its record names with their checksums, models apart: predictions, features."""
    for value in vars(record).values():
        name, sha256 = getattr(value, "file", ""), getattr(value, "sha256", "")
        if isinstance(name, str) and name and sha256:
            yield name, sha256


def models(record: Record) -> Files:
    """The files of the tested model, relative to the folder of the run that made it."""
    for file in record.model.files if record.model is not None else ():
        if file.sha256:
            yield file.name, file.sha256


def made(record: Record) -> str:
    """The checksum of the boosting prompts that a run of phase 1 has made; "" of another run."""
    own = record.task == "train" and record.boosting is not None and record.boosting.source == BOOSTING
    return record.boosting.sha256 if own else ""


def used(record: Record) -> str:
    """The checksum of the boosting prompts that a run rests on and did not make; "" where there are none, or nobody knows."""
    return "" if record.boosting is None or made(record) else record.boosting.sha256


class Trainings:
    """Runs by the folders of a bundle, and which of them made what a record speaks of."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._made = {folder: sha256 for folder, record in records.items() if (sha256 := made(record))}
        self._named: dict[str, set[str]] = defaultdict(set)
        for folder, record in records.items():
            if record.task == "train":
                for end in (folder, *endings(folder)):
                    self._named[end].add(folder)

    def of(self, folder: str, record: Record) -> str | None:
        """The folder of the run whose model is tested in `folder`; None: it is not there."""
        if record.model is None or not record.model.folder:
            return folder
        holding = dict(models(record)).items()
        same = [name for name in self._called(record.model.folder) if self._may_have_made(name, record.model)]
        exact = [name for name in same if holding <= dict(models(self._records[name])).items()]
        return next(iter(exact or same), None)

    def _may_have_made(self, name: str, tested: Model) -> bool:
        """Whether a run was trained as the tested model was, so that only their files could differ."""
        own = self._records[name].model
        if own is None or tested.training is None:
            return False
        return (own.trainer, own.backbone, own.training) == (tested.trainer, tested.backbone, tested.training)

    def phase_1(self, record: Record) -> str | None:
        """The folder of the run that made the boosting prompts which `record` rests on; None: it is not there."""
        same = [name for name, sha256 in self._made.items() if sha256 == used(record)]
        named = self._called(record.boosting.source.removesuffix(BOOSTING))
        alike = (name for name in named if name in self._made and self._is_alike(name, record.boosting))
        return next(iter(same or alike), None)

    def _is_alike(self, name: str, used: Boosting) -> bool:
        """Whether a phase 1 was run as the boosting prompts say of themselves, so that only the files could differ."""
        return replace(self._records[name].boosting, source=used.source, sha256=used.sha256) == used

    def _called(self, name: str) -> list[str]:
        """The folders that `name` may speak of, the likeliest first; either may begin further above than the other."""
        called = folder_of(name)
        found = [folder for end in (called, *endings(called)) for folder in sorted(self._named.get(end, ()))]
        return list(dict.fromkeys(found))
