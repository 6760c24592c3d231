"""Keeping a run's record: one that says "running" while it is under way, and how it ended when it has."""

from __future__ import annotations

import logging
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from dassl.engine.trainer import Evaluation
from yacs.config import CfgNode

from caspl.ground.door import outcome
from caspl.ground.errors import InputError
from caspl.ground.files import check_writable, replacing
from caspl.ground.texts import sentence
from caspl.results import records
from caspl.results.records import Cost, Features, Predictions, Record, Result, Status, features, predictions
from caspl.results.records.measures import measured

from .gathering import Gathering, code, configuration, machine

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

log = logging.getLogger(__name__)


class Keeping:
    """Keeps the record of a run in the folder OUTPUT_DIR.

        with Keeping(cfg, args, command, defaults) as keeping:
            trainer = build_trainer(cfg)
            keeping.begin(trainer)
            trainer.train()

    From `begin` on the folder says that a run is under way, so that one that is killed doesn't look finished. A run that ends
    before it has changed anything, whatever ends it, leaves the record of a finished one alone.

    Args:
        cfg: the run's configuration.
        args: those of train.py.
        command: the words behind its name.
        defaults: the configuration's defaults, by their full names.
    """

    def __init__(self, cfg: CfgNode, args: Namespace, command: Sequence[str], defaults: Mapping[str, Any]) -> None:
        self.cfg, self.args, self.folder = cfg, args, Path(cfg.OUTPUT_DIR or ".")
        self.command, self.configuration = list(command), configuration(cfg, args, defaults)
        self.gathering: Gathering | None = None
        self.before: Record | None = None  # of a run that finished here
        self.content_before, self.time_before = b"", 0

    def __enter__(self) -> Keeping:
        self.started, self.clock = _now(), time.perf_counter()
        try:
            earlier = records.found(self.folder)
            if earlier is not None and earlier.finished:
                path = self.folder / records.NAME
                self.before, self.content_before, self.time_before = earlier, path.read_bytes(), path.stat().st_mtime_ns
        except InputError as error:
            log.warning("a record that this run replaces: %s", error)
        return self

    def begin(self, trainer: Any) -> None:
        """Its `trainer` is built, and is to train or test now. Raises InputError where the files can't be written."""
        if self.cfg.TEST.FEATURES and not hasattr(trainer, "image_features"):
            raise InputError(
                f"TEST.FEATURES is True, but {type(trainer).__name__} gives no image features; leave it out, or let the "
                f"trainer keep them (trainers/encoding.py)"
            )
        files = {records.NAME: "the record of the run", predictions.NAME: "TEST.PREDICTIONS"}
        for name, what in (files | ({features.NAME: "TEST.FEATURES"} if self.cfg.TEST.FEATURES else {})).items():
            check_writable(self.folder / name, what)
        self.gathering = Gathering(trainer, self.cfg, self.args)
        self._write(self._record(Status.RUNNING))
        self.began = time.perf_counter()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._end(error)
        elif self.gathering is not None:
            try:
                self._finish(self.gathering)
            except BaseException as refused:  # by a full disk, or Ctrl-C
                self._end(refused)
                raise

    # ------------------------------------------------------------ ends
    def _finish(self, gathering: Gathering) -> None:
        evaluation = _last_evaluation(gathering.trainer)
        result = written = encoded = None
        if evaluation is not None and evaluation.predicted is not None:
            table, classes, told = (
                _table(gathering, evaluation),
                gathering.dataset.classes,
                gathering.dataset.subset != "all",
            )
            arrays = table.labels, table.top, table.probabilities
            result = measured(*arrays, classes=len(classes), split=evaluation.split, told=told)
            written = predictions.write(self.folder, table) if self.cfg.TEST.PREDICTIONS else None
            encoded = self._features(gathering.trainer, evaluation)
        for name, kept in ((predictions.NAME, written), (features.NAME, encoded)):
            if kept is None:
                (self.folder / name).unlink(missing_ok=True)  # of another run
        seconds = 0.0 if evaluation is None else evaluation.seconds
        record = self._record(
            Status.FINISHED, result=result, predictions=written, features=encoded, evaluation_seconds=seconds
        )
        if self._write(record):
            log.info("Record of the run saved to %s%s%s", self.folder / records.NAME, _and(written), _and_of(encoded))

    def _features(self, trainer: Any, evaluation: Evaluation) -> Features | None:
        """Write the features of the evaluated images, in the order of the predictions; None where they are not asked for."""
        if not self.cfg.TEST.FEATURES:
            return None
        labels, found, order = evaluation.predicted.labels, trainer.image_features, _order(evaluation)
        if found is None or len(found) != len(labels):  # of a trainer that does without our model_inference
            log.warning("TEST.FEATURES: no features are written, as %s kept none of them", type(trainer).__name__)
            return None
        return features.write(self.folder, features.Table(found[order], labels[order]))

    def _end(self, error: BaseException) -> None:
        status, reason = _how(error)
        with suppress(OSError):  # how the run ended is said in any case
            if self.before is None or not self._holds(self.before):
                self._write(self._record(status, reason=reason))
            elif self.gathering is not None:
                with replacing(self.folder / records.NAME) as temporary:
                    temporary.write_bytes(self.content_before)
                    os.utime(
                        temporary, ns=(self.time_before,) * 2
                    )  # older than the log, which tells of something later

    def _holds(self, earlier: Record) -> bool:
        """Whether a record of before this run is still true: no batch was trained since, and its files are the same."""
        if self.gathering is None:
            return True
        own = [] if earlier.model is None or earlier.model.folder else earlier.model.files
        files = {file.name: file.sha256 for file in own}
        if earlier.predictions is not None:
            files[earlier.predictions.file] = earlier.predictions.sha256
        if earlier.features is not None:
            files[earlier.features.file] = earlier.features.sha256
        if self._has_trained():
            return False
        try:
            return all(records.sha256_of(self.folder / name) == checksum for name, checksum in files.items())
        except OSError:  # one of them is gone
            return False

    def _has_trained(self) -> bool:
        """Whether a batch was trained in this process."""
        return self.gathering is not None and "batch_idx" in vars(self.gathering.trainer)

    def _is_tested_again(self, earlier: Record) -> bool:
        """Whether all epochs had ended in the run of this record, on the same device, and this process has trained none."""
        same = earlier.configuration.sha256 == self.configuration.sha256
        device = machine(self.gathering.trainer, self.cfg).device
        return same and earlier.machine.device == device and not self._has_trained()

    # ------------------------------------------------------------ records
    def _record(
        self,
        status: str,
        *,
        reason: str = "",
        result: Result | None = None,
        predictions: Predictions | None = None,
        features: Features | None = None,
        evaluation_seconds: float = 0.0,
    ) -> Record:
        found, ended = self.gathering, status != Status.RUNNING
        return Record(
            status=status,
            reason=reason,
            task="test" if self.args.eval_only else "train",
            command=self.command,
            configuration=self.configuration,
            code=code(),
            machine=machine(found.trainer if found else None, self.cfg),
            dataset=found.dataset if found else None,
            protocol=found.protocol() if found else None,
            model=found.model(ended=ended) if found else None,
            boosting=found.boosting() if found else None,
            result=result,
            predictions=predictions,
            cost=self._cost(evaluation_seconds) if ended else Cost(self.started, "", 0.0, 0.0, 0, 0),
            features=features,
        )

    def _cost(self, evaluation: float) -> Cost:
        training = 0.0
        if self.gathering is not None and not self.args.eval_only:
            training = max(0.0, time.perf_counter() - self.began - evaluation)
            if self.before is not None and self._is_tested_again(self.before):
                training = self.before.cost.training_seconds
        gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
        return Cost(self.started, _now(), round(training, 3), round(evaluation, 3), _memory(), gpu)

    def _write(self, record: Record) -> bool:
        """Whether a file can hold it; what no file can hold is told, and no old record stands in for it."""
        try:
            records.write(self.folder, record)
        except InputError as error:
            log.warning("This run leaves no record: %s", error)
            (self.folder / records.NAME).unlink(missing_ok=True)
            return False
        return True


def _how(error: BaseException) -> tuple[str, str]:
    """The status of a run that ended with an error, and the sentence."""
    if isinstance(error, KeyboardInterrupt):
        return Status.INTERRUPTED, ""
    status, said = outcome(error)
    if isinstance(error, FloatingPointError):
        return Status.DIVERGED, sentence(said)
    return Status.REFUSED if status == 2 else Status.FAILED, sentence(said)


def _last_evaluation(trainer: Any) -> Evaluation | None:
    """The final one; of a host's trainer that evaluates by itself what its evaluator has seen, if that are the test images."""
    known, evaluator = getattr(trainer, "evaluation", None), getattr(trainer, "evaluator", None)
    predicted = evaluator.predicted() if known is None and hasattr(evaluator, "predicted") else None
    if predicted is None:
        return known
    loader = trainer.test_loader
    alone = Evaluation("test", 0.0, list(range(len(predicted.labels))), predicted, loader)
    return alone if _labels(loader) == predicted.labels.tolist() else None


def _labels(loader: Any) -> list[Any]:
    """Those of the list behind a loader."""
    return [
        getattr(item, "label", None) for item in getattr(getattr(loader, "dataset", None), "data_source", None) or ()
    ]


def _order(evaluation: Evaluation) -> np.ndarray:
    """The images in the order of the dataset's list, by their places in the order in which they were evaluated."""
    count = len(evaluation.predicted.labels)
    places = np.array(evaluation.places)
    if sorted(evaluation.places) != list(range(count)):  # a loader of a host's: they stay as they came
        places = np.arange(count)
    return places.argsort()


def _table(gathering: Gathering, evaluation: Evaluation) -> predictions.Table:
    """The predictions in the order of the dataset's list, whatever the order in which they were made."""
    predicted, order = evaluation.predicted, _order(evaluation)
    count = len(order)
    labels, top, shares = predicted.labels[order], predicted.top[order], predicted.probabilities[order]
    if _labels(evaluation.loader) == labels.tolist():
        names = gathering.images.names(evaluation.loader.dataset.data_source)
    else:
        names = [str(number) for number in range(count)]
    return predictions.Table(names, labels, top, shares)


def _and(written: Predictions | None) -> str:
    return f", predictions of {written.images:,} images to {written.file} beside it" if written else ""


def _and_of(written: Features | None) -> str:
    return f", features of {written.images:,} images to {written.file}" if written else ""


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _memory() -> int:
    """Bytes of the largest resident set of this process; 0 where the system does not say it."""
    if resource is None:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
