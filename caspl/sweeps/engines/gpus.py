"""Which GPUs a sweep may use, told without PyTorch, and by which of their names a run is given one.

A number counts, from 0, the GPUs that this process may see: those of CUDA_VISIBLE_DEVICES where it is set, as CUDA itself
counts them, else those of the machine in the order of nvidia-smi. Names of single GPUs ("GPU-8932f937-...") and of parts of one
("MIG-...") are those of `nvidia-smi -L`; the first letters of one are enough, as for CUDA.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...ground.errors import InputError, listed
from ...ground.texts import repeated, shown

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
SMI = ("nvidia-smi", "-L")
MOST_PER_GPU = 100
SMI_SECONDS = 20.0  # a driver in trouble keeps it waiting for ever
NUMBER, NAME = re.compile(r"[0-9]{1,4}"), re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]+")
EXPECTED = "expected numbers such as 0,1, names of nvidia-smi -L such as GPU-8932f937, or none"
GPU_LINE = re.compile(r"\s*GPU ([0-9]{1,4}):.*?(?:\(UUID: (GPU-[^)\s]+)\))?\s*")
MIG_LINE = re.compile(r"\s*MIG .*\(UUID: (MIG-[^)\s]+)\)\s*")


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a part of one that has a name of its own."""

    id: str  # as CUDA_VISIBLE_DEVICES takes it
    name: str  # the same however it was called, as far as is known: its lock's

    def environment(self) -> dict[str, str]:
        """What lets a run see this one and no other."""
        counted = NUMBER.fullmatch(self.id) and not os.environ.get(VISIBLE) and not os.environ.get(ORDER)
        return {VISIBLE: self.id} | ({ORDER: "PCI_BUS_ID"} if counted else {})  # as nvidia-smi counts


@dataclass(frozen=True)
class Known:
    """What nvidia-smi tells of this machine; all is empty where there is none."""

    uuids: Mapping[str, str]  # number -> name; "" where it was not told
    parts: Mapping[str, Sequence[str]]  # number -> names of its MIG devices
    problem: str = ""  # why it could not tell

    def names(self) -> list[str]:
        """Of all that can be named."""
        return [*filter(None, self.uuids.values()), *(part for parts in self.parts.values() for part in parts)]

    def ids(self) -> list[str]:
        """Of what a run can get: a GPU that is split into parts is not used whole."""
        return [id for number in self.uuids for id in self.parts.get(number) or [number]]

    def name(self, id: str) -> str:
        """A GPU's full name, where it is known."""
        found = [name for name in self.names() if name.startswith(id)]
        return self.uuids.get(id) or (found[0] if len(found) == 1 else id)


def ask() -> Known:
    """Ask nvidia-smi."""
    try:
        done = subprocess.run(SMI, capture_output=True, timeout=SMI_SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return Known({}, {})
    except subprocess.TimeoutExpired:
        return Known({}, {}, f"nvidia-smi has not answered in {SMI_SECONDS:.0f} seconds")
    except OSError as error:
        return Known({}, {}, f"nvidia-smi can't be started ({error.strerror})")
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        words = " ".join((text or done.stderr.decode("utf-8", "replace")).split())[:160]
        return Known({}, {}, f"nvidia-smi failed ({words or f'exit status {done.returncode}'})")
    return _told(text)


def _told(text: str) -> Known:
    uuids: dict[str, str] = {}
    parts: dict[str, list[str]] = {}
    for line in text.splitlines():
        if gpu := GPU_LINE.fullmatch(line):
            uuids[gpu[1]] = gpu[2] or ""
        elif (part := MIG_LINE.fullmatch(line)) and uuids:
            parts.setdefault(list(uuids)[-1], []).append(part[1])
    return Known(uuids, parts)


def visible() -> list[str] | None:
    """What CUDA_VISIBLE_DEVICES lets this process see; None: it is not set. As for CUDA, the list ends at what is none."""
    value = os.environ.get(VISIBLE)
    if value is None:
        return None
    ids: list[str] = []
    for id in map(str.strip, value.split(",")):
        if not (NUMBER.fullmatch(id) or NAME.fullmatch(id)) or id in ids:
            break
        ids.append(id)
    return ids


def places(asked: Sequence[str] | None, jobs_per_gpu: int, say: Callable[[str], object]) -> list[Gpu]:
    """The GPUs of --gpus, (): none, which take `jobs_per_gpu` runs each.

    `say` gets to know it where nobody can tell which there are. Raises InputError as `choose` and `check_jobs_per_gpu`, and
    where runs are to share a GPU and there is none.
    """
    check_jobs_per_gpu(jobs_per_gpu)
    chosen, problem = ([], "") if asked == () else choose(asked)
    if jobs_per_gpu > 1 and not chosen:
        why = f", as {problem}" if problem else ""
        raise InputError(
            f"--jobs-per-gpu is {jobs_per_gpu}, but there is no GPU to be seen{why}; give --jobs {jobs_per_gpu} in its place, "
            f"or name GPUs (--gpus)"
        )
    if problem:
        say(
            f"{problem}: runs are given no GPU of their own; --gpus names those to use, --gpus none says that there are none"
        )
    return chosen


def check_jobs_per_gpu(jobs_per_gpu: int) -> None:
    """Raise InputError for more runs than a GPU may have."""
    if jobs_per_gpu > MOST_PER_GPU:
        raise InputError(f"--jobs-per-gpu is {jobs_per_gpu}, expected 1 to {MOST_PER_GPU}; correct it")


def choose(asked: Sequence[str] | None) -> tuple[list[Gpu], str]:
    """The GPUs of --gpus, None: all that there are, and why it can't be told which there are ("" where it can).

    Raises InputError, in one sentence with all that is wrong.
    """
    if asked is not None and (wrong := problems(asked)):
        raise InputError("; ".join(wrong))
    known, seen = ask(), visible()
    if asked is None:
        ids = seen if seen is not None else known.ids()
        return [Gpu(id, known.name(id)) for id in ids], known.problem if seen is None else ""
    missing = [problem for id in asked if (problem := _missing(id, known, seen))]
    if missing:
        way_out = "leave --gpus out" if seen == [] else "choose among those, or leave --gpus out to use all"
        raise InputError(f"{listed(missing)}; {way_out}")
    ids = [seen[int(id)] if seen and NUMBER.fullmatch(id) else _plain(id) for id in asked]
    gpus = [Gpu(id, known.name(id)) for id in ids]
    twice = [gpu.id for i, gpu in enumerate(gpus) if gpu.name in [other.name for other in gpus[:i]]]
    if twice:
        raise InputError(_twice(twice))
    return gpus, ""


def problems(asked: Sequence[str]) -> list[str]:
    """What is wrong with these names, whichever GPUs there are, a sentence each."""
    if not asked:
        return [f"--gpus is empty, {EXPECTED}"]
    odd = [shown(id) for id in asked if not (NUMBER.fullmatch(id) or NAME.fullmatch(id))]
    wrong = [f"--gpus has {listed(odd)}, {EXPECTED}; correct it"] if odd else []
    return wrong + ([_twice(twice)] if (twice := repeated(map(_plain, asked))) else [])


def _plain(id: str) -> str:
    """A number as CUDA writes it."""
    return str(int(id)) if NUMBER.fullmatch(id) else id


def _twice(ids: Sequence[str]) -> str:
    return f"--gpus has {listed(ids)} twice; name each GPU once (--jobs-per-gpu lets runs share one)"


def _missing(id: str, known: Known, seen: list[str] | None) -> str:
    """What is wrong with an id, as a phrase; "": it is there, or nobody can tell."""
    if NUMBER.fullmatch(id):
        there = [str(i) for i in range(len(seen))] if seen is not None else list(known.uuids)
        if str(int(id)) in there or seen is None and not there:
            return ""
        whose = f"{VISIBLE}={os.environ[VISIBLE]} shows" if seen is not None else "this machine has"
        return f"--gpus has {id}, but {shown(whose)[1:-1]} {_range(there)}"
    if seen is not None:
        allowed = [known.name(other) for other in seen]
        there = [name for name in allowed if NAME.fullmatch(name)]
        if len(there) < len(allowed) or any(name.startswith(id) or id.startswith(name) for name in there):
            return ""
        return f"--gpus has {id}, which {VISIBLE} does not show"
    found = [name for name in known.names() if name.startswith(id)]
    if len(found) == 1 or not known.names():
        return ""
    return f"--gpus has {id}, but nvidia-smi -L shows {'more than one' if found else 'none'} of that name"


def _range(there: Sequence[str]) -> str:
    if not there:
        return "no GPU"
    return "the GPU 0 only" if len(there) == 1 else f"the GPUs {there[0]} to {there[-1]}"
