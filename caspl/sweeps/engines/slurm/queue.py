"""What of earlier sweeps is still in the queue, so that it is not submitted twice."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from ....ground.errors import InputError
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
    with suppress(OSError, subprocess.TimeoutExpired):
        words = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        return [match.groups() for line in done.stdout.splitlines() if (match := TASK.fullmatch(line.strip()))]
    return []
