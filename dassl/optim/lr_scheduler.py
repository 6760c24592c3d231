"""Building a learning-rate schedule, with warm-up, from the OPTIM node. Schedules step once an epoch."""

from __future__ import annotations

from typing import Any

from dassl.config.defaults import choices_of
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, StepLR
from yacs.config import CfgNode

from caspl.ground.errors import InputError, unknown_name

AVAI_SCHEDS = choices_of("OPTIM.LR_SCHEDULER")
AVAI_WARMUPS = choices_of("OPTIM.WARMUP_TYPE")


class _BaseWarmupScheduler(LRScheduler):
    """Sets the rate for `warmup_epoch` epochs, then leaves it to `successor`.

    The first epoch after the warm-up runs at the successor's initial rate; from then on each step is the
    successor's. The state is plain: the successor's own state nested in this one's.
    """

    def __init__(self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, last_epoch: int = -1) -> None:
        self.successor = successor
        self.warmup_epoch = warmup_epoch
        super().__init__(optimizer, last_epoch)

    def warmup_lr(self) -> list[float]:
        """Return the rate of each parameter group in epoch `last_epoch` (from 0) of the warm-up."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        if self.last_epoch >= self.warmup_epoch:
            return self.successor.get_last_lr()
        return self.warmup_lr()

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch >= self.warmup_epoch:
            self.successor.step(epoch)
            self._last_lr = self.successor.get_last_lr()
        else:
            super().step(epoch)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "successor": self.successor.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = dict(state_dict)
        self.successor.load_state_dict(own.pop("successor"))
        super().load_state_dict(own)


class ConstantWarmupScheduler(_BaseWarmupScheduler):
    """Warm-up at the rate `cons_lr`."""

    def __init__(
        self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, cons_lr: float, last_epoch: int = -1
    ) -> None:
        self.cons_lr = cons_lr
        super().__init__(optimizer, successor, warmup_epoch, last_epoch)

    def warmup_lr(self) -> list[float]:
        return [self.cons_lr for _ in self.base_lrs]


class LinearWarmupScheduler(_BaseWarmupScheduler):
    """Warm-up at `min_lr` in the first epoch, then at the share (k-1)/`warmup_epoch` of the full rate in epoch k."""

    def __init__(
        self, optimizer: Optimizer, successor: LRScheduler, warmup_epoch: int, min_lr: float, last_epoch: int = -1
    ) -> None:
        self.min_lr = min_lr
        super().__init__(optimizer, successor, warmup_epoch, last_epoch)

    def warmup_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [self.min_lr for _ in self.base_lrs]
        return [lr * self.last_epoch / self.warmup_epoch for lr in self.base_lrs]


def build_lr_scheduler(optimizer: Optimizer, optim_cfg: CfgNode) -> LRScheduler:
    """Return the schedule that OPTIM.LR_SCHEDULER names, after a warm-up if WARMUP_EPOCH is above 0; as Dassl 0.6.3.

    With WARMUP_RECOUNT the schedule counts from 0 after the warm-up, but its length stays MAX_EPOCH: a cosine does
    not reach 0. Without, its counter starts at WARMUP_EPOCH, while its first rate is the full one.

    Raises:
        InputError: an unknown schedule or warm-up, or a STEPSIZE of the wrong type.
    """
    scheduler = _main_schedule(optimizer, optim_cfg)
    warmup = optim_cfg.WARMUP_EPOCH
    if warmup <= 0:
        return scheduler
    if not optim_cfg.WARMUP_RECOUNT:
        scheduler.last_epoch = warmup
    if optim_cfg.WARMUP_TYPE == "constant":
        return ConstantWarmupScheduler(optimizer, scheduler, warmup, optim_cfg.WARMUP_CONS_LR)
    if optim_cfg.WARMUP_TYPE == "linear":
        return LinearWarmupScheduler(optimizer, scheduler, warmup, optim_cfg.WARMUP_MIN_LR)
    raise InputError(unknown_name(optim_cfg.WARMUP_TYPE, AVAI_WARMUPS, what="warm-up in OPTIM.WARMUP_TYPE"))


def _main_schedule(optimizer: Optimizer, optim_cfg: CfgNode) -> LRScheduler:
    name, stepsize = optim_cfg.LR_SCHEDULER, optim_cfg.STEPSIZE
    if name == "cosine":
        return CosineAnnealingLR(optimizer, float(optim_cfg.MAX_EPOCH))
    if name == "single_step":
        period = stepsize[-1] if isinstance(stepsize, (list, tuple)) else stepsize
        if not isinstance(period, int):
            raise InputError(f"OPTIM.STEPSIZE must end in a whole number of epochs for single_step, but is {stepsize}.")
        return StepLR(optimizer, step_size=period if period > 0 else optim_cfg.MAX_EPOCH, gamma=optim_cfg.GAMMA)
    if name == "multi_step":
        if not isinstance(stepsize, (list, tuple)):
            raise InputError(f"OPTIM.STEPSIZE must be a list of epochs for multi_step, but is {stepsize}.")
        return MultiStepLR(optimizer, milestones=stepsize, gamma=optim_cfg.GAMMA)
    raise InputError(unknown_name(name, AVAI_SCHEDS, what="schedule in OPTIM.LR_SCHEDULER"))
