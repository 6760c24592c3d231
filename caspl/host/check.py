"""Whether the Dassl of the checkout that `caspl.plugin` is imported in can work, said before anything is registered into it."""

from __future__ import annotations

import inspect
import logging
import traceback
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from types import ModuleType

import torch
from torch.optim.lr_scheduler import LRScheduler

from ..border import own_dassl
from ..ground.errors import InputError

log = logging.getLogger(__name__)


class HostError(InputError, ImportError):
    """The checkout that caspl.plugin was imported in cannot carry it; one sentence says why and what to do."""


def check_host() -> None:
    """Try the importable Dassl with the installed PyTorch: build a schedule, save it, read it again.

    Warns where checkpoints cannot be read again; training works all the same.

    Raises:
        HostError: there is no Dassl, or its schedules can't be built.
    """
    if not own_dassl.importable():
        raise HostError(
            "there is no Dassl here (no module named dassl can be imported), and CasPL's trainers need one; install "
            "https://github.com/KaiyangZhou/Dassl.pytorch as the host's README says, or run in CasPL's own checkout"
        )
    dassl = import_module("dassl")
    pair = f"Dassl {getattr(dassl, '__version__', '(no version)')} and PyTorch {torch.__version__} do not fit"
    folder = Path(dassl.__file__).parent
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch 2.2 to 2.6 warn of the argument that 2.7 no longer has
            _save_and_read(import_module("dassl.utils"), _schedule())
    except TypeError as error:
        culprit = _culprit(error, folder)
        if culprit and "argument" in str(error) and "verbose" not in inspect.signature(LRScheduler.__init__).parameters:
            raise HostError(
                f'{pair}: {culprit}, to which PyTorch says "{error}"; install "torch<2.7", or remove the argument verbose from '
                f"that line"
            ) from None
    except UnpicklingError as error:
        warnings.warn(
            f"{pair} where checkpoints are read: {_culprit(error, folder)}, which refuses the schedule in "
            f'them; for --resume, and for --eval-only with the host\'s own trainers, install "torch<2.6", or add '
            f"weights_only=False to that line (and read no file that you do not trust)",
            stacklevel=4,  # the line of the host that imports caspl.plugin
        )
    except Exception as error:  # a Dassl that differs from what is tried here; whether it works, its own run will tell
        log.debug("the host's Dassl could not be tried: %s", error)


def _schedule() -> LRScheduler:
    """One as the family's configurations ask for it. Dassl 0.6.3 hands `verbose` to PyTorch, which PyTorch 2.7 dropped."""
    keys = import_module("dassl.config").get_cfg_default().OPTIM
    keys.WARMUP_EPOCH, keys.WARMUP_TYPE = 1, "constant"
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    return import_module("dassl.optim").build_lr_scheduler(optimizer, keys)


def _save_and_read(utils: ModuleType, schedule: LRScheduler) -> None:
    """Through Dassl's own functions. Dassl 0.6.3 pickles the schedule, which PyTorch 2.6 does not load by default."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        utils.save_checkpoint({"state_dict": {}, "epoch": 0, "scheduler": schedule.state_dict()}, folder)
        utils.load_checkpoint(str(Path(folder) / "model.pth.tar-0"))


def _culprit(error: Exception, folder: Path) -> str:
    """The last line of Dassl's own code that an error went through; empty where it went through none."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if folder in Path(f.filename).parents]
    return f'{frames[-1].filename}, line {frames[-1].lineno}, is "{frames[-1].line}"' if frames else ""
