"""What is to be known of a run: from its trainer and configuration, and from what lies beside the model that it tests."""

from __future__ import annotations

import logging
import os
import platform
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import dassl
import torch
from yacs.config import CfgNode

import caspl
from caspl.checkpoints.headers import BoostingHeader, RunHeader, read_header
from caspl.checkpoints.sources import on_disk
from caspl.ground.errors import InputError
from caspl.ground.keys import MISSING, flat, value_of
from caspl.results import records
from caspl.results.records import (
    Boosting,
    Code,
    Configuration,
    Dataset,
    Machine,
    Model,
    ModelFile,
    Protocol,
    Training,
    checkout,
)

from ..facts import CLASSES, written
from .images import Images

log = logging.getLogger(__name__)

UNKNOWN = "unknown"
BEST, LAST = "best_val", "last_step"  # values of TEST.FINAL_MODEL


# ---------------------------------------------------------------------------------------------------------------------
# Before there is a trainer
# ---------------------------------------------------------------------------------------------------------------------
def configuration(cfg: CfgNode, args: Namespace, defaults: Mapping[str, Any]) -> Configuration:
    """What was set, as far as it is not `defaults`, by their full names."""
    values = {key: written(value) for key, value in flat(cfg).items()}
    usual = {key: written(value) for key, value in defaults.items()}
    settings = {key: value for key, value in sorted(values.items()) if usual.get(key) != value}
    return Configuration(args.dataset_config_file or "", args.config_file or "", settings, records.digest(settings))


@cache
def code() -> Code:
    """Of this program, as it was when it was first asked for."""
    package = Path(caspl.__file__).resolve().parent
    root = package.parent
    modules = checkout.checksum(package, Path(dassl.__file__).resolve().parent)
    return Code(caspl.__version__, checkout.revision(root), checkout.modified(root), modules)


def machine(trainer: Any, cfg: CfgNode) -> Machine:
    """Without a trainer the device is the one that it would take."""
    device = getattr(trainer, "device", None) or torch.device(
        "cuda" if cfg.USE_CUDA and torch.cuda.is_available() else "cpu"
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    asked = value_of(cfg, f"TRAINER.{getattr(trainer, 'node', '')}.PREC")
    return Machine(
        python=sys.version.split()[0],
        torch=str(torch.__version__),
        device=device.type,
        device_name=name,
        precision="" if asked is MISSING else str(asked),
        computes_in=getattr(getattr(trainer, "precision", None), "computes_in", ""),
    )


# ---------------------------------------------------------------------------------------------------------------------
# With one
# ---------------------------------------------------------------------------------------------------------------------
class Beside:
    """What lies in the folder of the run whose model is tested, from which `files` were loaded.

    None for what is not there or, with a warning, is damaged or of another model.
    """

    def __init__(self, folder: str, files: Sequence[Path]) -> None:
        self.folder, self.files = folder, files

    @cached_property
    def record(self) -> records.Record | None:
        record = self._sound(records.found, self.folder) if self.folder else None
        if record is None or self._is_of_the_model(record):
            return record
        path = Path(self.folder, records.NAME)
        log.warning("what the model was trained on is not taken from there: %s speaks of another model file", path)
        return None

    def _is_of_the_model(self, record: records.Record) -> bool:
        """Also a test leaves a record in its folder, which may be that of another model's training."""
        model = record.model
        told = {file.name: file.sha256 for file in model.files} if model is not None else {}
        same = [told[name] == checksum for name, checksum in map(_checksum, self.files) if name in told]
        own = model is None or os.path.abspath(model.folder or self.folder) == os.path.abspath(self.folder)
        return all(same) and (bool(same) or own)

    @cached_property
    def header(self) -> RunHeader | BoostingHeader | None:
        for kind in (RunHeader, BoostingHeader):
            path = Path(self.folder, kind.file_name)
            if self.folder and path.is_file() and (header := self._sound(read_header, path, kind)):
                return header
        return None

    @staticmethod
    def _sound(read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except InputError as error:
            log.warning("what the model was trained on is not taken from there: %s", error)
            return None


class Gathering:
    """The facts of a run that has a trainer. `args` are those of train.py."""

    def __init__(self, trainer: Any, cfg: CfgNode, args: Namespace) -> None:
        self.trainer, self.cfg, self.args = trainer, cfg, args
        self.task = "test" if args.eval_only else "train"
        self.beside = Beside(args.model_dir or "", self._loaded()[0]) if args.eval_only else Beside("", [])
        data = getattr(getattr(trainer, "dm", None), "dataset", None)
        self.images = Images(data, str(cfg.DATASET.ROOT))
        self.dataset = self._dataset(data)

    def _dataset(self, data: Any) -> Dataset:
        names = getattr(data, "classnames", None) or [name for _, name in sorted(self.trainer.lab2cname.items())]
        subset = value_of(self.cfg, "DATASET.SUBSAMPLE_CLASSES")
        train, val, test = self.images.parts().values()
        return Dataset(
            name=self.cfg.DATASET.NAME,
            subset="all" if subset is MISSING else subset,
            shots=int(self.cfg.DATASET.NUM_SHOTS),
            seed=int(self.cfg.SEED),
            classes=list(names),
            train=train,
            val=val,
            test=test,
        )

    @property
    def learns(self) -> bool:
        """Whether what is tested has been trained."""
        return getattr(self.trainer, "learns", True) and (self.task == "train" or bool(self._loaded()[0]))

    def _loaded(self) -> tuple[list[Path], int | None]:
        """The files that the tested model is from, and after how many epochs they were written; of a training its last ones."""
        if self.trainer.loaded is not None:
            paths, epoch = self.trainer.loaded
            return [Path(path) for path in paths], epoch if type(epoch) is int and epoch >= 0 else None
        if self.task == "test":
            return [], None
        epochs = int(self.trainer.max_epoch)
        folder = Path(self.trainer.output_dir)
        paths = [folder / name / f"model.pth.tar-{epochs}" for name in self.trainer.get_model_names()]
        there = [path for path in paths if path.is_file()]
        return there, epochs if there else None

    def training(self) -> Training | None:
        """On what the tested model was trained; None where nothing is."""
        if not self.learns:
            return None
        if self.task == "train":
            here = self.dataset
            return Training(here.name, here.subset, here.shots, here.seed, int(self.trainer.max_epoch))
        if self.beside.record is not None and self.beside.record.model is not None:
            return self.beside.record.model.training
        settings = getattr(self.trainer, "known_settings", {})  # of the model file
        name, subset = (settings.get(key, "") for key in CLASSES)
        subset = subset if subset in ("all", "base", "new") else ""
        header = self.beside.header
        shots = header.shots if isinstance(header, RunHeader) else None
        seed, epochs = (header.seed, header.epochs) if header else (None, None)
        return Training(name or (header.dataset if header else ""), subset, shots, seed, epochs)

    def model(self, *, ended: bool) -> Model:
        """What was trained or tested. Before the run has `ended` there are no files of it."""
        backbone = getattr(self.trainer, "backbone", None)
        paths, epoch = self._loaded() if ended or self.task == "test" else ([], None)
        return Model(
            trainer=type(self.trainer).__name__,
            backbone=getattr(backbone, "name", self.cfg.MODEL.BACKBONE.NAME),
            fingerprint=getattr(backbone, "fingerprint", ""),
            parameters=self._parameters(),
            folder=self.beside.folder,
            epoch=epoch,
            files=[ModelFile(*_checksum(path)) for path in paths],
            training=self.training(),
        )

    def _parameters(self) -> int:
        """How many numbers are learned."""
        models = [self.trainer._models[name] for name in self.trainer.get_model_names()]
        counted = [p for model in models for p in model.parameters() if p.requires_grad or not self.trains_by_steps]
        return sum(p.numel() for p in {id(p): p for p in counted}.values())

    @property
    def trains_by_steps(self) -> bool:
        """Whether an optimiser does it: what is fitted otherwise, as a linear probe, needs no gradients."""
        return any(optimizer is not None for optimizer in self.trainer._optims.values())

    # ------------------------------------------------------------ protocol
    def protocol(self) -> Protocol:
        earlier = self.beside.record.protocol if self.beside.record is not None else None
        boosting, subset = self.boosting(), self.dataset.subset
        phase1 = self._names_of_phase1()
        unlabelled = boosting.dataset if boosting else "" if not phase1 else UNKNOWN
        if not self.reads_labels and self.learns:  # this is phase 1
            unlabelled = getattr(self.trainer, "dataset_name", self.dataset.name)
        training = self.training()
        phase2 = "" if training is None or not self.reads_labels else training.subset or UNKNOWN
        return Protocol(
            labels=self._labels(training, earlier),
            unlabelled=unlabelled,
            names_phase1=phase1,
            names_phase2=phase2,
            told="no" if subset == "all" else subset,
            chosen_by=self._chosen_by(training, earlier),
        )

    @property
    def reads_labels(self) -> bool:
        return getattr(self.trainer, "reads_labels", True)

    def _labels(self, training: Training | None, earlier: Protocol | None) -> str:
        if training is None or not self.reads_labels:
            return "none"
        if training.shots is None:
            return earlier.labels if earlier else UNKNOWN
        return "shots" if training.shots >= 1 else "all"

    def _names_of_phase1(self) -> str:
        own = getattr(self.trainer, "phase1_names", "") if self.learns else ""
        if self.task == "train" or not self.learns:
            return own
        if self.beside.record is not None and self.beside.record.protocol is not None:
            return self.beside.record.protocol.names_phase1
        return getattr(self.beside.header, "names", own)

    def _chosen_by(self, training: Training | None, earlier: Protocol | None) -> str:
        if training is None:
            return ""
        if self.task == "train":
            return self._chosen_by_training()
        if self.args.load_epoch is not None or not self.beside.folder:
            last = training.epochs is not None and training.epochs == self.args.load_epoch
            return LAST if last else "given"
        return earlier.chosen_by if earlier and earlier.chosen_by in ("val", "test") else UNKNOWN

    def _chosen_by_training(self) -> str:
        if self.cfg.TEST.FINAL_MODEL != BEST or self.cfg.TEST.NO_TEST or not self.trains_by_steps:
            return LAST
        return "test" if getattr(self.trainer, "val_loader", None) is None or self.images.val_is_tested() else "val"

    # ------------------------------------------------------------ boosting
    def boosting(self) -> Boosting | None:
        """Phase 1's prompts, of this run or under it; None where there are none, or nobody knows them."""
        given: tuple[str, BoostingHeader] | None = getattr(self.trainer, "boosted_by", None)
        if given is not None:
            return _boosting(*given, on_disk(given[0]))
        if self.task == "train" and not self.reads_labels:
            path = Path(self.trainer.output_dir, BoostingHeader.file_name)
            with suppress(InputError):
                return _boosting(path.name, read_header(path, BoostingHeader), path)
            return None
        return self.beside.record.boosting if self.beside.record is not None else None


def _checksum(path: Path) -> tuple[str, str]:
    """A model file's name in the folder of its run, and its SHA-256."""
    return "/".join(path.parts[-2:]), records.sha256_of(path)


def _boosting(source: str, header: BoostingHeader, path: Path | None) -> Boosting:
    shared = {
        name: getattr(header, name) for name in BoostingHeader.__dataclass_fields__ if name in Boosting.__annotations__
    }
    known = path is not None and os.path.isfile(path)
    return Boosting(source, records.sha256_of(path) if known else "", classes=len(header.classnames), **shared)
