"""The most memory that a process has held since it was asked to count."""

from __future__ import annotations

import ctypes
import gc
import resource
from contextlib import suppress
from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def count_from_here(device: str = "cpu") -> float:
    """Begin to look for the peak; gives the bytes that are held now."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with suppress(OSError, AttributeError):  # of another system than Linux
        ctypes.CDLL(None).malloc_trim(0)  # what is free is not held
        CLEAR.write_text("5")  # the peak becomes what is held now
    return _status("VmRSS")


def peak(device: str = "cpu") -> float:
    """The most bytes held since then; on systems other than Linux since the process began."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return _status("VmHWM")


def _status(name: str) -> float:
    with suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
