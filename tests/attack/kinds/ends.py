"""Commands whose right end is another exit status: training that diverges, and signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import Sound

DIVERGED = "the values can be, but training with them diverges"
STOPPED = "the command was told to stop"
LONG = ("OPTIM.MAX_EPOCH", "2000", "TEST.NO_TEST", "True")


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for trainer in ("CoOp", "CoCoOp", "MaPLe", "KgCoOp", "CasPLBoost"):
        argv = sound.digits(trainer, "OPTIM.LR", "1000", "OPTIM.WEIGHT_DECAY", "1", "OPTIM.MAX_EPOCH", "30")
        yield Case("diverged", "train", trainer, argv, status=1, why=DIVERGED, said="OPTIM.LR")
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        for after in (2, 9):
            prepare = partial(told_to_stop, number=number, after=after)
            more = {"status": status, "why": STOPPED, "said": "interrupted", "fresh": True}
            argv = sound.digits("CoOp", *LONG)
            yield Case("signal", "train", f"{number.name} after {after} s", argv, (), prepare, **more)


def told_to_stop(folder: Path, number: signal.Signals, after: float) -> None:
    """A process beside the case sends it the signal, `after` so many seconds."""
    case = os.getpid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not os.fork():
        time.sleep(after)
        os.kill(case, number)
        os._exit(0)
