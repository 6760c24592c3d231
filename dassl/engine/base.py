"""The small steps of a trainer: registered models, their files, and the order of calls in training."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from dassl.utils.checkpoint import load_checkpoint, load_into, resume_from_checkpoint, save_checkpoint
from dassl.utils.errors import MissingFileError
from dassl.utils.tools import tolist_if_not
from torch import nn

from caspl.ground.errors import InputError
from caspl.ground.tensors import finite
from caspl.ground.tensors.values import shown

from .trackers import Trackers

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)


class TrainerBase(finite.Watched):
    """Base class of trainers, as Dassl 0.6.3. `train` makes these calls:

        before_train()
        begin_epochs()
        for each epoch:
            before_epoch()
            run_epoch()
            after_epoch()
            save_resume_state(finished epochs)
        after_train()

    Attributes:
        epoch: the epoch under way, from 0.
        start_epoch: the first epoch of this process.
        max_epoch: the number of epochs in all.
        defaults: of the configuration's keys, by their full names, as far as whoever builds the trainer tells them.
        loaded: the files that `load_model` has read last, and after how many epochs they say they were written.
    """

    defaults: Mapping[str, Any] = {}
    loaded: tuple[list[str], Any] | None = None

    def __init__(self) -> None:
        self._models: OrderedDict[str, nn.Module] = OrderedDict()
        self._optims: OrderedDict[str, torch.optim.Optimizer | None] = OrderedDict()
        self._scheds: OrderedDict[str, torch.optim.lr_scheduler.LRScheduler | None] = OrderedDict()
        self._writer: SummaryWriter | None = None
        self.trackers = Trackers()  # none

    def idle_keys(self) -> Collection[str]:
        """Keys whose values change nothing with the rest of the configuration: a run that is resumed may have had others."""
        return ()

    # ------------------------------------------------------------ models
    def register_model(
        self,
        name: str = "model",
        model: nn.Module | None = None,
        optim: torch.optim.Optimizer | None = None,
        sched: torch.optim.lr_scheduler.LRScheduler | None = None,
    ) -> None:
        """Put a model, its optimiser and its schedule under the trainer's care; its files go to a folder `name`.

        Raises:
            AttributeError: the constructor of the base class has not run yet.
            ValueError: the name is in use.
        """
        if "_models" not in self.__dict__:
            raise AttributeError("register_model() was called before super().__init__()")
        if name in self._models:
            raise ValueError(f'A model named "{name}" is registered already')
        self._models[name] = model
        self._optims[name] = optim
        self._scheds[name] = sched

    def get_model_names(self, names: str | list[str] | None = None) -> list[str]:
        """Return `names` as a list, or the names of all registered models.

        Raises:
            KeyError: one of `names` is not registered.
        """
        if names is None:
            return list(self._models)
        names = tolist_if_not(names)
        for name in names:
            if name not in self._models:
                raise KeyError(f'no model "{name}" is registered, only {list(self._models)}')
        return names

    def set_model_mode(self, mode: str = "train", names: str | list[str] | None = None) -> None:
        """Set models to `train`, or to `eval` (also called `test`)."""
        if mode not in ("train", "test", "eval"):
            raise KeyError(f'mode must be train, test or eval, not "{mode}"')
        for name in self.get_model_names(names):
            self._models[name].train(mode == "train")

    # ------------------------------------------------------------ files
    def run_facts(self) -> dict[str, Any]:
        """Return what model files are to say of the run, in the entry `run`: plain values. {} = there is no such entry."""
        return {}

    def save_model(
        self,
        epoch: int,
        directory: str,
        is_best: bool = False,
        val_result: float | None = None,
        model_name: str = "",
    ) -> None:
        """Write a file per model to `directory`/<name>.

        Each holds `state_dict`, `epoch` (finished epochs), `optimizer` and `scheduler` (their states or None),
        `val_result` (percent or None) and, where there are any, the `run_facts` as `run`. Raises DivergedError, and writes
        nothing, where `check_models` does.

        Args:
            epoch: the epoch just trained, from 0.
            directory: folder of the run.
            is_best: also copy to `model-best.pth.tar`.
            val_result: validation result, if there is one.
            model_name: file name; "" = `model.pth.tar-<epoch>`.
        """
        self.check_models()
        facts = self.run_facts()
        for name in self.get_model_names():
            optim, sched = self._optims[name], self._scheds[name]
            save_checkpoint(
                {
                    "state_dict": self._models[name].state_dict(),
                    "epoch": epoch + 1,
                    "optimizer": None if optim is None else optim.state_dict(),
                    "scheduler": None if sched is None else sched.state_dict(),
                    "val_result": None if val_result is None else float(val_result),
                    **({"run": facts} if facts else {}),
                },
                os.path.join(directory, name),
                is_best=is_best,
                model_name=model_name,
            )

    def resume_model_if_exist(self, directory: str) -> int:
        """Load the newest files that `save_model` wrote to `directory`, and return how many epochs are finished.

        Without a folder for every model nothing is loaded and 0 is returned.

        Raises:
            InputError: a folder has no usable file, or the models' files are of different epochs.
        """
        names = self.get_model_names()
        if not names or not all(os.path.exists(os.path.join(directory, name)) for name in names):
            logger.info("No checkpoint found, train from scratch")
            return 0
        logger.info(f"Found checkpoint at {directory} (will resume training)")
        epochs = {
            name: resume_from_checkpoint(
                os.path.join(directory, name), self._models[name], self._optims[name], self._scheds[name]
            )
            for name in names
        }
        if len(set(epochs.values())) > 1:
            found = ", ".join(f"{name}: {epoch}" for name, epoch in epochs.items())
            raise InputError(
                f"The newest model files in {directory} are of different epochs ({found}); write the name of a file "
                'that all have into the text files "checkpoint", or delete the folders to train from scratch.'
            )
        epoch, longest = epochs[names[0]], getattr(self, "max_epoch", epochs[names[0]])
        if epoch > longest:
            raise InputError(
                f"The newest model files in {directory} are of epoch {epoch}, but MAX_EPOCH is {longest}; write the name of an "
                'earlier one into the text files "checkpoint", or choose another --output-dir.'
            )
        return epoch

    def load_model(self, directory: str, epoch: int | None = None) -> None:
        """Load weights that `save_model` wrote to `directory`; without a directory nothing is loaded.

        Args:
            directory: folder of a run.
            epoch: load `model.pth.tar-<epoch>`; None = `model-best.pth.tar`.

        Raises:
            MissingFileError: there is no such file; the sentence names the epochs there are.
            InputError: the file is damaged or does not fit the model.
        """
        if not directory:
            logger.info(
                "Note that load_model() is skipped as no pretrained model is given "
                "(ignore this if it's done on purpose)"
            )
            return
        file_name = "model-best.pth.tar" if epoch is None else f"model.pth.tar-{epoch}"
        paths = []
        for name in self.get_model_names():
            path = os.path.join(directory, name, file_name)
            if not os.path.exists(path):
                raise MissingFileError(f"No model at {path}; {_epochs_there(os.path.join(directory, name))}.")
            checkpoint = load_checkpoint(path)
            if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
                raise InputError(
                    f"{path} has no state_dict, so it is no file of this trainer; name another epoch or folder."
                )
            result = checkpoint.get("val_result")
            result = f"{result:.1f}" if isinstance(result, float) else "None"
            logger.info(f"Load {path} to {name} (epoch={shown(checkpoint.get('epoch'))}, val_result={result})")
            load_into(self._models[name], checkpoint["state_dict"], path)
            paths.append(path)
            self.loaded = paths, checkpoint.get("epoch")

    # ------------------------------------------------------------ tensorboard
    def init_writer(self, log_dir: str) -> None:
        """Start writing scalars for TensorBoard to folder `log_dir`, unless that has begun."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # takes a second, and evaluation does not need it

            logger.info(f"Initialize tensorboard (log_dir={log_dir})")
            try:
                self._writer = SummaryWriter(log_dir=log_dir)
            except OSError as error:
                raise _naming(error, log_dir) from None

    def close_writer(self) -> None:
        """Write what is pending and stop writing scalars."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                writer.close()
            except OSError as error:
                raise _naming(error, writer.log_dir) from None

    def write_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        """Write a scalar, for TensorBoard and for the trackers; does nothing where neither is under way."""
        self.trackers.add(tag, scalar_value, global_step)
        if self._writer is not None:
            try:
                self._writer.add_scalar(tag, scalar_value, global_step)
            except OSError as error:  # also what its thread has met
                raise _naming(error, self._writer.log_dir) from None

    # ------------------------------------------------------------ training
    def train(self, start_epoch: int, max_epoch: int) -> None:
        """Make the calls listed at the class, from epoch `start_epoch` (which `before_train` may move) on."""
        self.start_epoch = start_epoch
        self.max_epoch = max_epoch
        with self.closing_trackers():
            try:
                self.before_train()
                self.begin_epochs()
                try:
                    self.run_epochs()
                except FloatingPointError as error:
                    self.close_writer()
                    self.end_diverged(error)
            except KeyboardInterrupt:
                self.close_writer()
                logger.info(self.interrupt_note())
                raise

    @contextmanager
    def closing_trackers(self) -> Iterator[None]:
        """Inside, trackers may begin; in the end the runs that they track are ended, as failed where something is raised."""
        try:
            yield
        except BaseException:
            self.trackers.close(failed=True)
            raise
        self.trackers.close()

    def run_epochs(self) -> None:
        """The calls from `before_epoch` to `after_train`."""
        # What follows a run resumed after its last epoch should see that epoch
        self.epoch = max(self.start_epoch - 1, 0)
        for epoch in range(self.start_epoch, self.max_epoch):
            self.epoch = epoch
            self.before_epoch()
            self.run_epoch()
            self.after_epoch()
            self.save_resume_state(self.epoch + 1)
        self.after_train()

    def before_train(self) -> None:
        """Called first."""

    def begin_epochs(self) -> None:
        """Called between `before_train` and the first epoch."""

    def before_epoch(self) -> None:
        """Called before each epoch."""

    def run_epoch(self) -> None:
        """Train for one epoch."""
        raise NotImplementedError

    def after_epoch(self) -> None:
        """Called after each epoch."""

    def save_resume_state(self, finished: int) -> None:
        """Called last in each epoch, with the number of finished epochs."""

    def after_train(self) -> None:
        """Called last."""

    def interrupt_note(self) -> str:
        """Return the line logged when the user interrupts training."""
        return "Interrupted"

    def end_diverged(self, error: FloatingPointError) -> NoReturn:
        """Raise the DivergedError that says how to go on after `error`, which has stopped training."""
        if isinstance(error, finite.DivergedError):
            raise error
        self.diverged(str(error))

    def calmer(self) -> str:
        """Return the settings under which a training that diverges may not."""
        return "a lower OPTIM.LR"

    def test(self) -> float:
        """Evaluate."""
        raise NotImplementedError

    def parse_batch_train(self, batch: Any) -> Any:
        """Take from a training batch what `forward_backward` needs."""
        raise NotImplementedError

    def parse_batch_test(self, batch: Any) -> Any:
        """Take inputs and labels from a test batch."""
        raise NotImplementedError

    def forward_backward(self, batch: Any) -> dict[str, float]:
        """Train on a batch and return what to report, such as the loss."""
        raise NotImplementedError

    def model_inference(self, input: Any) -> Any:
        """Return the model's output."""
        raise NotImplementedError

    # ------------------------------------------------------------ one step
    def detect_anomaly(self, loss: torch.Tensor) -> None:
        """Stop at a loss that is infinite or not a number.

        Raises:
            DivergedError (a FloatingPointError): it is; the message names epoch, batch, rate and loss.
        """
        self.check_numbers(loss=loss.detach().abs().max())

    def model_zero_grad(self, names: str | list[str] | None = None) -> None:
        """Clear the gradients of models that have an optimiser."""
        for name in self.get_model_names(names):
            if self._optims[name] is not None:
                self._optims[name].zero_grad()

    def model_backward(self, loss: torch.Tensor) -> None:
        """Check the loss and compute gradients. Raises DivergedError as `detect_anomaly`."""
        self.detect_anomaly(loss)
        loss.backward()

    def model_update(self, names: str | list[str] | None = None) -> None:
        """Step the optimisers. Raises DivergedError at gradients that are not finite, before the step, and at parameters."""
        optims = [self._optims[name] for name in self.get_model_names(names) if self._optims[name] is not None]
        parameters = [p for optim in optims for group in optim.param_groups for p in group["params"]]
        self.check_numbers(gradients=finite.largest_norm(p.grad for p in parameters if p.grad is not None))
        for optim in optims:
            optim.step()
        self.check_numbers(parameters=finite.largest_norm(parameters))

    def model_backward_and_update(self, loss: torch.Tensor, names: str | list[str] | None = None) -> None:
        """Clear gradients, compute them from `loss`, and step."""
        self.model_zero_grad(names)
        self.model_backward(loss)
        self.model_update(names)

    def update_lr(self, names: str | list[str] | None = None) -> None:
        """Step the schedules; a trainer calls this after the last batch of an epoch."""
        for name in self.get_model_names(names):
            if self._scheds[name] is not None:
                self._scheds[name].step()


def _naming(error: OSError, place: str) -> OSError:
    """The error with a file name, `place` where it has none."""
    return OSError(error.errno, error.strerror, error.filename or place)


def _epochs_there(folder: str) -> str:
    """Say which model files of `save_model` a folder holds."""
    if not os.path.isdir(folder):
        return f"the folder {folder} does not exist"
    names = [entry.name for entry in Path(folder).iterdir()]
    prefix = "model.pth.tar-"
    epochs = sorted(int(n.removeprefix(prefix)) for n in names if n.removeprefix(prefix).isdecimal())
    found = [f"epochs {', '.join(map(str, epochs))}"] if epochs else []
    found += ["the best model"] if "model-best.pth.tar" in names else []
    return f"{folder} holds {' and '.join(found) if found else 'no model file'}"
