"""What the record of a run tells, and whether it is of the same run as a log beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...ground.errors import InputError
from ...ground.files import regular
from ..records import NAME, Record
from .told import Result, Told

END_BYTES = 2**14  # of a log, in which its result stands
COUNTS = re.compile(rb"^\* total: ([\d,]{1,20})\r?\n\* correct: ([\d,]{1,20})\r?$", re.MULTILINE)


def told_by(record: Record, path: Path) -> Told:
    """What a record says, as its log at `path` would say it."""
    model, only_tests = record.model, record.task == "test"
    told = Told(
        path,
        arguments={
            "config_file": record.configuration.config_file,
            "eval_only": str(only_tests),
            "model_dir": model.folder if model is not None else "",
            "load_epoch": _epoch(record),
        },
        config=_decided(record) | record.configuration.settings,
        training=not only_tests and model is not None and model.training is not None,
        trained=record.finished,
        record=record,
    )
    if (found := record.result) is not None:
        told.results = [Result(found.split, f"{found.accuracy:.1f}", str(found.correct), str(found.total))]
    return told


def _epoch(record: Record) -> str:
    """At whose end the model was that is tested; empty where it is the best one, which no training ends with."""
    best = record.protocol is not None and record.protocol.chosen_by in ("val", "test")
    known = record.model is not None and record.model.epoch is not None
    return str(record.model.epoch) if known and not best else ""


def _decided(record: Record) -> dict[str, str]:
    """Settings that may be at their default, which a record does not list."""
    values, data, model = {}, record.dataset, record.model
    if data is not None:
        values |= {"DATASET.NAME": data.name, "DATASET.NUM_SHOTS": str(data.shots), "SEED": str(data.seed)}
        values["DATASET.SUBSAMPLE_CLASSES"] = data.subset
    if model is not None:
        values |= {"TRAINER.NAME": model.trainer, "MODEL.BACKBONE.NAME": model.backbone}
        if model.training is not None and model.training.epochs is not None and record.task == "train":
            values["OPTIM.MAX_EPOCH"] = str(model.training.epochs)
    return values


def stands_for(record: Record, logs: Sequence[Path]) -> bool:
    """Whether nothing is in `logs`, those of a folder, but what its record says. Raises OSError where one can't be read."""
    if record.result is None or len(logs) > 1:
        return False
    return not logs or _last_counts(logs[0]) == (record.result.total, record.result.correct)


def _last_counts(log: Path) -> tuple[int, int] | None:
    """Images and correct ones of the last result in the end of a log; None where none is seen there."""
    with regular(log).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - END_BYTES))
        found = COUNTS.findall(file.read(END_BYTES))
    total, correct = found[-1] if found else (b"", b"")
    return (int(total.replace(b",", b"")), int(correct.replace(b",", b""))) if found else None


def joined(record: Record, own: Sequence[Told], folder: Path) -> list[Told]:
    """The runs that the logs of a folder tell of, oldest first, and that of its record, which may be one of them.

    Raises InputError for a record whose result is not that of its logs.
    """
    same = [place for place, told in enumerate(own) if _same(record, told)]
    if same:
        return [*own[: same[-1]], replace(own[same[-1]], record=record), *own[same[-1] + 1 :]]
    if any(told.final is not None for told in own):
        if record.result is None:
            return list(own)
        raise InputError(
            f"it counts {record.result.correct:,} correct images of {record.result.total:,}, which no log beside it does, so "
            f"they are of different runs; remove it, or the logs"
        )
    return [told_by(record, folder / NAME), *own]  # the log of an older run, which was removed


def _same(record: Record, told: Told) -> bool:
    """Whether a log tells of the record's run."""
    if record.result is None or told.final is None:
        return record.result is None and told.final is None
    counts = tuple(str(number or "").replace(",", "") for number in (told.final.total, told.final.correct))
    return counts == (str(record.result.total), str(record.result.correct)) and told.final.split == record.result.split
