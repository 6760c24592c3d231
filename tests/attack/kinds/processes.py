"""Environment variables of torchrun that contradict each other: one process that believes to be one of several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import Sound

TWO = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29999"}
MISTAKES: tuple[tuple[str, dict[str, str]], ...] = (
    ("a size alone", dict.fromkeys(("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"), "")),
    ("no rank", {"RANK": ""}),
    ("no place to meet", {"MASTER_ADDR": "", "MASTER_PORT": ""}),
    ("a rank beyond the size", {"RANK": "2"}),
    ("a rank below 0", {"RANK": "-1"}),
    ("a rank that is a text", {"RANK": "first"}),
    ("a size of 0", {"WORLD_SIZE": "0"}),
    ("a size that is no number", {"WORLD_SIZE": "NaN"}),
    ("a huge size", {"WORLD_SIZE": "9" * 30}),
    ("a size with escapes", {"WORLD_SIZE": "\x1b[31m2"}),
    ("a local rank beyond the rank", {"LOCAL_RANK": "1"}),
    ("a port that there is not", {"MASTER_PORT": "70000"}),
    ("a port that is a fraction", {"MASTER_PORT": "1.5"}),
)


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    for what, changed in MISTAKES:
        argv = sound.digits("CoOp", "OPTIM.MAX_EPOCH", "1")
        yield Case("processes", "train", what, argv, tuple(changed), partial(believing, {**TWO, **changed}))
    argv = sound.digits("CoOp", "OPTIM.ACCUMULATE", "33", "DATALOADER.TRAIN_X.BATCH_SIZE", "32")
    yield Case("processes", "train", "more parts than images", argv, ("OPTIM.ACCUMULATE",))


def believing(variables: dict[str, str], folder: Path) -> None:
    os.environ.update(variables)
