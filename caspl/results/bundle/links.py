"""Which run a run rests on: by the checksum of a file, or by the name that a record has for the other's folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from ..reading.logs import folder_of
from ..records import Record

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
        self._named: dict[str, set[str]] = defaultdict(set)
        for folder, record in records.items():
            if record.task == "train":
                for end in (folder, *_ends(folder)):
                    self._named[end].add(folder)

    def of(self, folder: str, record: Record) -> str | None:
        """The folder of the run whose model is tested in `folder`; None: it is not there."""
        if record.model is None or not record.model.folder:
            return folder
        holding = dict(models(record)).items()
        found = self._called(record.model.folder)
        same = [name for name in found if self._records[name].model is not None and self._is_of(name, record)]
        exact = [name for name in same if holding <= dict(models(self._records[name])).items()]
        return next(iter(exact or same), None)

    def _is_of(self, name: str, record: Record) -> bool:
        return self._records[name].model.trainer == record.model.trainer

    def phase_1(self, record: Record) -> str | None:
        """The folder of the run that made the boosting prompts which `record` rests on; None: it is not there."""
        makers = {name: sha256 for name, run in self._records.items() if (sha256 := made(run))}
        same = [name for name, sha256 in makers.items() if sha256 == used(record)]
        source = record.boosting.source.removesuffix(BOOSTING)
        return next(iter(same or [name for name in self._called(source) if name in makers]), None)

    def _called(self, name: str) -> list[str]:
        """The folders that `name` may speak of, the likeliest first; either may begin further above than the other."""
        called = folder_of(name)
        found = [folder for end in (called, *_ends(called)) for folder in sorted(self._named.get(end, ()))]
        return list(dict.fromkeys(found))


def _ends(name: str) -> list[str]:
    """What a folder may be called from further below, with one folder above its own at least."""
    parts = name.split("/")
    return ["/".join(parts[i:]) for i in range(1, len(parts) - 1)]
