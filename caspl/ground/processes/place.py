"""Which of how many processes this one is, by the environment variables that torchrun sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError

RANK, SIZE, LOCAL, HOST, PORT = VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
MOST = 65_536  # processes
ADVICE = "torchrun --nproc-per-node N sets them all; for a single process unset WORLD_SIZE"


@dataclass(frozen=True)
class Place:
    """A process of a job. `number`, from 0, is among `count` of the whole job, `local` on its machine.

    `host` and `port` are where the processes meet.
    """

    number: int = 0
    count: int = 1
    local: int = 0
    host: str = ""
    port: int = 0


def alone(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is to be a job by itself, whatever its parent is a part of."""
    return {name: value for name, value in environment.items() if name not in VARIABLES}


def place_in(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that the variables say; without a WORLD_SIZE above 1 it is alone. Raises InputError where they contradict."""
    if not environment.get(SIZE):
        return Place()
    count = _number(environment, SIZE, 1, MOST)
    if count == 1:
        return Place()
    missing = [name for name in VARIABLES if not environment.get(name)]
    if missing:
        raise InputError(f"WORLD_SIZE is {count}, but {' and '.join(missing)} {_are(missing)} not set; {ADVICE}")
    number = _number(environment, RANK, 0, count - 1)
    return Place(
        number=number,
        count=count,
        local=_number(environment, LOCAL, 0, number),
        host=environment[HOST],
        port=_number(environment, PORT, 1, 65_535),
    )


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _number(environment: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = environment[name].strip()
    if text.isdecimal() and len(text) < 9 and least <= int(text) <= most:
        return int(text)
    raise InputError(f'{name} is "{text[:40]}", expected a whole number, {least} to {most}; {ADVICE}')
