"""Sides of a comparison, each in a process of its own that waits to be told "go", so that only one computes at a time.

A benchmark calls `sides(args, ("plain", "ours"), prepare)`. In the process that the user has started this gives a `Side` for
each name; it has started the same command again for each, with `--side NAME`, and there `sides` does not return: it serves.
Code that lives elsewhere is served by a command of its own (`start`). Calling a side makes it do one step and gives the seconds
of that step; `shown` gives what the last step gave, and the peak of memory above what was held before the first. A side that
can do several things has a step by the name of each, `side.doing("evaluate")`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.frame import memory
from bench.frame.timing import timed

ROOT = Path(__file__).resolve().parents[2]
Step = Callable[[], dict[str, Any]]  # gives what is to be compared: lists of tensors by name
ONLY = "step"  # the name of a step that is alone


class ChildError(RuntimeError):
    """A side has ended before its time."""


class Side:
    """A process that does a step when it is called. `name` is how errors call it."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, cwd: Path, env: Mapping[str, str]):
        self.name, self._result, self._errors = name, folder / f"{name}.pt", folder / f"{name}.txt"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*command, "--result", str(self._result)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=cwd,
                env={**os.environ, **env},
            )
        self._answer()

    def __call__(self, what: str = ONLY) -> float:
        return self._ask(what)["seconds"]

    def doing(self, what: str) -> Callable[[], float]:
        return partial(self, what)

    def shown(self) -> dict[str, Any]:
        """What the last step gave, and "bytes"."""
        self._ask("show")
        return torch.load(self._result)

    def stop(self) -> None:
        self._process.kill()  # it waits for a word, or is in the middle of a step
        self._process.communicate()

    def _ask(self, word: str) -> dict[str, Any]:
        try:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended: there is no answer
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        for line in self._process.stdout:
            if line.startswith("{"):  # nothing that was printed before `serve` began
                return json.loads(line)
        status = self._process.wait()
        if status == -signal.SIGKILL:
            raise ChildError(f"{self.name} was killed, as the system does where memory is short; take fewer classes")
        said = [text.strip() for text in self._errors.read_text(errors="replace").splitlines() if text.strip()]
        raise ChildError(f"{self.name} ended with status {status}: {said[-1] if said else 'it said nothing'}")


@contextmanager
def start(commands: Mapping[str, tuple[Sequence[str], Path, Mapping[str, str]]]) -> Iterator[dict[str, Side]]:
    """Sides by name, of (command, working folder, environment). They are made ready one after the other."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found = {}
        for name, (command, cwd, env) in commands.items():
            found[name] = Side(name, command, Path(folder), cwd, env)
            stack.callback(found[name].stop)
        yield found


@contextmanager
def sides(
    args: Any, names: Sequence[str], prepare: Callable[[str], Step | Mapping[str, Step]]
) -> Iterator[dict[str, Side]]:
    """See the top. `prepare(name)` sets a side up, in its process, and gives its step."""
    if args.side:
        serve(lambda: prepare(args.side), args.result, args.device)
        sys.exit()
    with start({name: (again(name), ROOT, {}) for name in names}) as found:
        yield found


def again(name: str) -> list[str]:
    """The command of this benchmark, for one of its sides."""
    return [sys.executable, "-m", "bench", *sys.argv[1:], "--side", name]


def serve(prepare: Callable[[], Step | Mapping[str, Step]], result: str, device: str = "cpu") -> None:
    """Do a step whenever standard input says so, until it ends. What anybody prints goes to standard error."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # or what was printed comes behind the error that ends it all

    def say(**answer: Any) -> None:
        channel.write(json.dumps(answer) + "\n")
        channel.flush()

    prepared, last = prepare(), {}
    steps = prepared if isinstance(prepared, Mapping) else {ONLY: prepared}

    def do(what: str) -> None:
        last.clear()  # of the call before: its memory must not count
        last.update(steps[what]())

    held = memory.count_from_here(device)
    say(ready=True)
    for line in sys.stdin:
        if (what := line.strip()) == "show":
            torch.save({**last, "bytes": memory.peak(device) - held}, result)
            say(shown=True)
        else:
            say(seconds=timed(partial(do, what), device)())


def difference(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> float:
    """The largest difference between two lists of tensors, relative to the largest entry of each tensor of the first."""
    return max(((x - y).abs().max() / x.abs().max()).item() for x, y in zip(a, b, strict=True))
