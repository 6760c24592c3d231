"""Trainers that build everything from the configuration: with labelled data, and with unlabelled data beside it."""

from __future__ import annotations

import datetime
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from dassl.data import DataManager, DatasetWrapper
from dassl.evaluation import Predicted, build_evaluator
from dassl.evaluation.evaluator import CONFUSION
from dassl.utils.files import mkdir_if_missing
from tqdm import tqdm
from yacs.config import CfgNode

from caspl.ground.devices.transfers import onto
from caspl.ground.errors import InputError, unknown_name
from caspl.ground.files import check_writable
from caspl.ground.keys import flat
from caspl.ground.processes import together
from caspl.ground.tensors import finite
from caspl.ground.yaml_files import load_yaml

from . import resume, trackers
from .base import TrainerBase
from .reporting import Reports
from .scoring import scored

__all__ = ["SimpleTrainer", "TrainerBase", "TrainerX", "TrainerXU"]

logger = logging.getLogger(__name__)


def choose_device(use_cuda: bool) -> torch.device:
    """Return the CUDA device, else Apple's, else the CPU; the CPU if `use_cuda` is False.

    Each process of a job on several devices has the one of its own number. Raises InputError where there are too few.
    """
    if use_cuda and torch.cuda.is_available():
        if together.count() > 1:
            own, there = together.local(), torch.cuda.device_count()
            if own >= there:
                raise InputError(
                    f"LOCAL_RANK is {own}, but this machine shows {there} GPU{'s' if there > 1 else ''}; start as many "
                    f"processes as there are (torchrun --nproc-per-node {there}), or set USE_CUDA False"
                )
            torch.cuda.set_device(own)
        return torch.device("cuda")
    if use_cuda and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that has ended, for the run's record (not in Dassl).

    Attributes:
        split: val or test.
        seconds: how long it took.
        places: where each image stands in the loader's `data_source`, in the order in which they were evaluated.
        predicted: what was predicted for each; None where the evaluator does not keep it.
        loader: what gave the images.
    """

    split: str
    seconds: float
    places: list[int]
    predicted: Predicted | None
    loader: Any


class SimpleTrainer(TrainerBase):
    """A trainer whose subclasses supply `build_model` and `forward_backward`, as Dassl 0.6.3.

    Unlike there, an interrupted run continues exactly where its last finished epoch ended, see
    `save_resume_state`.

    Attributes:
        cfg: the configuration.
        device: where models and batches go.
        output_dir: folder for everything the run writes.
        dm: the data manager; its loaders, `num_classes`, `num_source_domains` and `lab2cname` are attributes too.
        evaluator: collects predictions in `test`.
        best_result: best validation result so far, in percent; -inf before the first.
        evaluation: the last evaluation; None before the first, and when training has ended.
        shares_batches: whether `forward_backward` shares a batch out among the processes of a job (not in Dassl).
    """

    evaluation: Evaluation | None = None
    shares_batches = False

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.check_cfg(cfg)
        self.device = choose_device(cfg.USE_CUDA)
        self.start_epoch = self.epoch = 0
        self.max_epoch = cfg.OPTIM.MAX_EPOCH
        self.output_dir = cfg.OUTPUT_DIR
        self.cfg = cfg
        self.best_result = float("-inf")
        self._resumed: dict[str, Any] | None = None
        self.build_data_loader()
        self.build_model()
        self.evaluator = build_evaluator(cfg, lab2cname=self.lab2cname)

    def check_cfg(self, cfg: CfgNode) -> None:
        """Raise an InputError if the trainer cannot work with the configuration; called before anything is built."""

    def build_data_loader(self) -> None:
        """Set the loaders and the facts about the dataset; an override must set the same attributes, but for `dm`."""
        self.dm = together.after_the_first(lambda: DataManager(self.cfg))
        self.train_loader_x = self.dm.train_loader_x
        self.train_loader_u = self.dm.train_loader_u
        self.val_loader = self.dm.val_loader
        self.test_loader = self.dm.test_loader
        self.num_classes = self.dm.num_classes
        self.num_source_domains = self.dm.num_source_domains
        self.lab2cname = self.dm.lab2cname

    def build_model(self) -> None:
        """Build `self.model`, its optimiser and schedule, and register them."""
        raise NotImplementedError(f"{type(self).__name__} must define build_model()")

    # ------------------------------------------------------------ resuming
    def extra_state(self) -> dict[str, Any]:
        """Return what else decides how training goes on, such as a gradient scaler's state: plain values, tensors."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` returned."""

    def starting_point(self, directory: str, finished: int) -> str:
        """Return the file of a run of `finished` epochs in `directory` that MODEL.INIT_WEIGHTS can name; "" = none."""
        return ""

    def save_resume_state(self, finished: int) -> None:
        """Write `resume.pth.tar` every TRAIN.RESUME_FREQ epochs and after the last one.

        It comes after the model files of the epoch, so that a run killed in between repeats the epoch and writes
        the same files again.
        """
        frequency = self.cfg.TRAIN.RESUME_FREQ
        if frequency > 0 and (finished % frequency == 0 or finished == self.max_epoch):
            resume.save_run(self, resume.resume_path(self.output_dir), finished)

    def begin_epochs(self) -> None:
        """Go on with the random states of the interrupted run, or write a first file to resume from.

        That first file keeps a run killed between the first model file and the end of its epoch from resuming from
        the model file alone, which holds no random states.
        """
        path = resume.resume_path(self.output_dir)
        if self._resumed is not None:
            resume.restore_random_state(self._resumed["random"])
        if together.count() > 1:
            resume.restore_random_state(together.once(resume.random_state))
        if (self._resumed is None or not os.path.exists(path)) and self.cfg.TRAIN.RESUME_FREQ > 0:
            resume.save_run(self, path, self.start_epoch)
        self._resumed = None

    def interrupt_note(self) -> str:
        path = resume.resume_path(self.output_dir)
        if os.path.exists(path):
            return f"Interrupted in epoch {self.epoch + 1}; the same command resumes from {path}"
        return f"Interrupted in epoch {self.epoch + 1}; there is no {path} to resume from"

    def end_diverged(self, error: FloatingPointError) -> NoReturn:
        """As in TrainerBase; resume.pth.tar is marked before, so that the same command may go on from it at another rate."""
        try:
            super().end_diverged(error)
        except finite.DivergedError as diverged:
            raise finite.DivergedError(f"{diverged}{self._after_divergence(str(diverged))}") from error

    def _after_divergence(self, said: str) -> str:
        path = resume.resume_path(self.output_dir)
        try:
            finished = resume.mark_diverged(path, said) if os.path.exists(path) else None
        except (OSError, InputError) as error:
            return f" in another --output-dir, since {path} could not be marked as diverged ({error})"
        if finished is None:
            return (
                ": without resume.pth.tar the same command then goes on from the newest model files, if there are any"
            )
        if finished == self.max_epoch:
            return " in another --output-dir, since all epochs are trained here"
        if finished == 0:
            return ": the same command then begins anew, since no epoch was finished"
        return f": the same command then goes on after epoch {finished}, from {path}"

    # ------------------------------------------------------------ training
    def train(self) -> None:
        """Train and, unless TEST.NO_TEST, evaluate.

        Raises InputError in a job of several processes where the trainer does not share its batches out among them.
        """
        if together.count() > 1 and not self.shares_batches:
            raise InputError(
                f"{type(self).__name__} trains in one process, and this job has {together.count()} (WORLD_SIZE); start it "
                f"without torchrun"
            )
        super().train(self.start_epoch, self.max_epoch)

    def before_train(self) -> None:
        """Resume if there is something to resume from: resume.pth.tar, else model files, in RESUME or OUTPUT_DIR."""
        directory = self.cfg.RESUME or self.cfg.OUTPUT_DIR
        path = resume.resume_path(directory)
        if os.path.exists(path):
            self._resumed = resume.load_run(self, path)
            self.start_epoch = 0 if self._resumed is None else self._resumed["epoch"]
            if self.start_epoch:
                logger.info(f"Resume from {path}, {self.start_epoch} of {self.max_epoch} epochs are finished")
            else:
                logger.info("No finished epoch found, train from scratch")
        else:
            self.start_epoch = self.resume_model_if_exist(directory)

        for name in self.get_model_names():
            check_writable(os.path.join(self.output_dir, name), "the folder of the checkpoints", folder=True)
        if self.cfg.TEST.COMPUTE_CMAT:
            check_writable(os.path.join(self.output_dir, CONFUSION), "the confusion matrix (TEST.COMPUTE_CMAT)")
        writer_dir = os.path.join(self.output_dir, "tensorboard")
        mkdir_if_missing(writer_dir)
        self.init_writer(writer_dir)
        self.begin_tracking(resumed=self.start_epoch > 0)
        self.time_start = time.time()
        if self.max_epoch - self.start_epoch > 1:
            self.keep_images()

    def keep_images(self) -> None:
        """Decode training images beforehand, since several epochs will read them."""
        for loader in (self.train_loader_x, self.train_loader_u):
            if isinstance(getattr(loader, "dataset", None), DatasetWrapper):
                loader.dataset.keep_images()

    def begin_tracking(self, *, resumed: bool = False) -> None:
        """Let the trackers that LOGGER names follow this run, see `caspl.train` and `closing_trackers`."""
        if names := trackers.named(self.cfg.LOGGER):
            config = flat(load_yaml(self.cfg.dump()))
            self.trackers = trackers.begin(names, self.output_dir, config, resumed=resumed)

    def after_epoch(self) -> None:
        """With FINAL_MODEL best_val evaluate and keep the best model; write model files when they are due."""
        finished = self.epoch + 1
        if not self.cfg.TEST.NO_TEST and self.cfg.TEST.FINAL_MODEL == "best_val":
            result = self.test(split="val")
            if result > self.best_result:
                self.best_result = result
                self.save_model(self.epoch, self.output_dir, val_result=result, model_name="model-best.pth.tar")
        frequency = self.cfg.TRAIN.CHECKPOINT_FREQ
        if finished == self.max_epoch or (frequency > 0 and finished % frequency == 0):
            self.save_model(self.epoch, self.output_dir)

    def after_train(self) -> None:
        """Evaluate the model that TEST.FINAL_MODEL names, and log the time taken."""
        logger.info("Finish training")
        self.evaluation = None  # what was evaluated so far is not the final model
        if self.test_loader is None:
            logger.info(f"{self.cfg.DATASET.NAME} has no test images: there is no final test")
        elif not self.cfg.TEST.NO_TEST:
            if self.cfg.TEST.FINAL_MODEL == "best_val":
                logger.info("Deploy the model with the best val performance")
                self.load_model(self.output_dir)
            else:
                logger.info("Deploy the last-epoch model")
            self.test()
        elapsed = datetime.timedelta(seconds=round(time.time() - self.time_start))
        logger.info(f"Elapsed: {elapsed}")
        self.close_writer()

    def run_batches(self, batches: Iterator[tuple[Any, ...]], num_batches: int) -> None:
        """Call `forward_backward` with each entry of `batches`, and report losses, times and the learning rate."""
        self.set_model_mode("train")
        self.num_batches = num_batches
        reports = Reports(self, num_batches)
        bar = tqdm(
            batches,
            total=num_batches,
            desc=f"epoch {self.epoch + 1}/{self.max_epoch}",
            unit="batch",
            leave=False,
            disable=None,  # shown on a terminal only
        )
        end = time.time()
        for self.batch_idx, batch in enumerate(bar):
            loaded = time.time()
            figures = self.forward_backward(*batch)
            reports.add(figures, time.time() - end, loaded - end)
            end = time.time()
        reports.finish()

    # ------------------------------------------------------------ evaluation
    @torch.no_grad()
    def test(self, split: str | None = None) -> float:
        """Evaluate on `split`: val, or test, which also stands in for a missing val; None = TEST.SPLIT.

        Returns:
            The evaluator's first result: accuracy in percent.
        """
        self.set_model_mode("eval")
        self.evaluator.reset()
        split = self.cfg.TEST.SPLIT if split is None else split
        if split == "val" and self.val_loader is not None:
            data_loader = self.val_loader
        else:
            split, data_loader = "test", self.test_loader
        if data_loader is None:
            raise InputError(
                f"{self.cfg.DATASET.NAME} has no test images to evaluate on; name a dataset with labels, and to train on "
                f"this one leave TEST.FINAL_MODEL at last_step."
            )
        logger.info(f"Evaluate on the *{split}* set")
        start, places = time.perf_counter(), []
        for scores, label, index in scored(self, data_loader, split):
            self.evaluator.process(scores, label)
            places += range(len(places), len(places) + len(label)) if index is None else index
        results = self.evaluator.evaluate()
        predicted = self.evaluator.predicted() if hasattr(self.evaluator, "predicted") else None
        self.evaluation = Evaluation(split, time.perf_counter() - start, places, predicted, data_loader)
        for name, value in results.items():
            self.write_scalar(f"{split}/{name}", value, self.epoch)
        return next(iter(results.values()))

    def model_inference(self, input: torch.Tensor) -> torch.Tensor:
        """Return scores (B, C) of images (B, 3, height, width)."""
        return self.model(input)

    def parse_batch_test(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (B, 3, height, width) and labels (B,) on the trainer's device."""
        return onto(self.device, batch["img"], batch["label"])

    def get_current_lr(self, names: str | list[str] | None = None) -> float:
        """Return the learning rate of the first parameter group of the first model."""
        return self._optims[self.get_model_names(names)[0]].param_groups[0]["lr"]


class TrainerX(SimpleTrainer):
    """Trains on labelled data: `forward_backward(batch)` for every batch of `train_loader_x`."""

    def run_epoch(self) -> None:
        """Train on every batch once."""
        self.run_batches(((batch,) for batch in self.train_loader_x), len(self.train_loader_x))

    def parse_batch_train(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images (B, 3, height, width), labels (B,) and domains (B,) on the trainer's device."""
        return onto(self.device, batch["img"], batch["label"], batch["domain"])


class TrainerXU(SimpleTrainer):
    """Trains on labelled and unlabelled data: `forward_backward(batch_x, batch_u)`."""

    def run_epoch(self) -> None:
        """Train on as many pairs of batches as TRAIN.COUNT_ITER says; a loader that ends early starts again."""
        lengths = {"train_x": len(self.train_loader_x), "train_u": len(self.train_loader_u)}
        lengths["smaller_one"] = min(lengths.values())
        count = self.cfg.TRAIN.COUNT_ITER
        if count not in lengths:
            raise InputError(unknown_name(count, lengths, what="value of TRAIN.COUNT_ITER"))
        self.run_batches(self._pairs(lengths[count]), lengths[count])

    def _pairs(self, number: int) -> Iterator[tuple[Any, Any]]:
        loaders = [self.train_loader_x, self.train_loader_u]
        passes = [iter(loader) for loader in loaders]  # both before the first batch: each start draws a random number
        for _ in range(number):
            pair = []
            for index, loader in enumerate(loaders):
                try:
                    pair.append(next(passes[index]))
                except StopIteration:
                    passes[index] = iter(loader)
                    pair.append(next(passes[index]))
            yield tuple(pair)

    def parse_batch_train(
        self, batch_x: dict[str, Any], batch_u: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images and labels of the labelled batch and images of the other, on the trainer's device."""
        return onto(self.device, batch_x["img"], batch_x["label"], batch_u["img"])
