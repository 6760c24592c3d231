"""What SLURM says: what of earlier sweeps is in the queue, so that it is not submitted twice, and how long an array may be."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from ....ground.errors import InputError
from .arrays import LONGEST
from .order import read
from .scripts import SUBMITTED

TASK = re.compile(r"(\d+)_(\d+)")


def queued(sweeps: Path) -> dict[str, str]:
    """Folder of a job -> its task, as 12_3, of all sweeps in the folder `sweeps` that wait in the queue or run.

    Empty where there is no squeue, or it says nothing: the locks of the folders keep two runs apart all the same.
    """
    submitted = {}
    for path in sorted(sweeps.glob(f"*/{SUBMITTED}")):
        with suppress(OSError, UnicodeDecodeError):
            lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
            submitted |= {words[0]: (path.parent, words[1]) for words in lines if len(words) == 2}
    found: dict[str, str] = {}
    orders = {}
    for array, index in _tasks() if submitted else ():
        folder, name = submitted.get(array, (None, ""))
        if folder is None:
            continue
        with suppress(InputError, LookupError):
            order = orders[folder] = orders.get(folder) or read(folder)
            found |= {order.jobs[number].folder: f"{array}_{index}" for number in order.arrays[name][int(index)]}
    return found


def _tasks() -> list[tuple[str, str]]:
    """(array, task) of whatever this user has in the queue."""
    told = _told("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i")
    return [(found[1], found[2]) for line in told.splitlines() if (found := TASK.fullmatch(line.strip()))]


def longest_array() -> int:
    """How many tasks an array may have: they are numbered from 0 to one below MaxArraySize."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _told("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(found[1])) if found else LONGEST


def _told(*words: str) -> str:
    """What a program of SLURM prints; "" where there is none, or it has no answer."""
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=60).stdout
    return ""
