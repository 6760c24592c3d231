"""What every sweep prints with --dry-run, kept as text in dry_runs/, so that a change shows as a difference of those files.

    python tests/caspl/sweeps/dry_runs.py             # write them anew, by the scripts of this checkout
    python tests/caspl/sweeps/dry_runs.py CHECKOUT    # by those of another

A line that begins with `$` is a call, as one would type it behind `bash scripts/` without `.sh`: `elsewhere:` in front of it
is for one in another folder, NAME=VALUE an environment variable. Then come what it writes to stdout, what it writes to stderr
(behind `! `), and its exit status (behind `? `) unless that is 0. A new call is a new line with `$`; the rest is written by
this module.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

LISTS = Path(__file__).resolve().with_suffix("")
CHECKOUT = Path(__file__).resolve().parents[3]
ELSEWHERE = "elsewhere: "


@dataclass
class Call:
    """A sweep as it is called."""

    line: str
    elsewhere: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    script: str = ""
    arguments: list[str] = field(default_factory=list)

    @classmethod
    def of_line(cls, line: str) -> Call:
        call = cls(line, line.startswith(ELSEWHERE))
        words = shlex.split(line.removeprefix(ELSEWHERE))
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            call.variables[name] = value
        call.script, call.arguments = words[0], words[1:]
        return call


@dataclass
class Answer:
    """What came back, and the folders that it may name: the repository and the folder of the call."""

    out: str
    err: str
    status: int

    def text(self, repository: str, elsewhere: str) -> str:
        lines = self.out.splitlines() + [f"! {line}" for line in self.err.splitlines()]
        lines += [f"? {self.status}"] if self.status else []
        text = "".join(f"{line}\n" for line in lines)
        return text.replace(elsewhere, "/ELSEWHERE").replace(repository, "/REPOSITORY")


def read(path: Path) -> Iterator[tuple[Call, str]]:
    """The calls of a list, each with what it is to print."""
    for part in f"\n{path.read_text(encoding='utf-8')}".split("\n$ ")[1:]:
        line, _, text = part.partition("\n")
        yield Call.of_line(line), text.strip("\n") + "\n" if text.strip("\n") else ""


def lists() -> list[Path]:
    return sorted(LISTS.glob("*.txt"))


def write(path: Path, answer: Callable[[Call], str]) -> None:
    """The same calls with new answers."""
    parts = [f"$ {call.line}\n{answer(call)}" for call, _ in read(path)]
    path.write_text("\n".join(parts), encoding="utf-8")


def by_script(checkout: Path, elsewhere: Path) -> Callable[[Call], str]:
    """Calls go to the scripts of a checkout."""

    def answer(call: Call) -> str:
        plain = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        done = subprocess.run(
            ["bash", str(checkout / "scripts" / f"{call.script}.sh"), *call.arguments],
            cwd=elsewhere if call.elsewhere else checkout,
            env={**plain, "LC_ALL": "C.UTF-8", **call.variables},
            capture_output=True,
            text=True,
        )
        return Answer(done.stdout, done.stderr, done.returncode).text(str(checkout), str(elsewhere))

    return answer


if __name__ == "__main__":
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else CHECKOUT).resolve()
    with tempfile.TemporaryDirectory() as folder:
        for path in lists():
            write(path, by_script(checkout, Path(folder).resolve()))
