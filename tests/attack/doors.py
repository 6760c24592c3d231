"""The commands, by the names that the table gives them."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Door:
    """A command: the module whose `main(argv)` it is, words that come first, and how a shell starts it."""

    module: str
    words: tuple[str, ...]
    command: tuple[str, ...]

    def call(self, argv: tuple[str, ...]) -> int | None:
        """The exit status, in this process. Raises what the command raises."""
        return importlib.import_module(self.module).main([*self.words, *argv])


def _caspl(word: str) -> Door:
    return Door("caspl.__main__", (word,), (sys.executable, "-m", "caspl", word))


def _module(name: str, module: str = "") -> Door:
    return Door(module or f"{name}.__main__", (), (sys.executable, "-m", name))


def _script(name: str) -> Door:
    return Door("", (), ("bash", str(ROOT / "scripts" / name)))


DOORS = {
    "train": Door("train", (), (sys.executable, str(ROOT / "train.py"))),
    "predict": _caspl("predict"),
    "export": _caspl("export"),
    "words": _caspl("words"),
    "share": _caspl("share"),
    "caspl convert": _caspl("convert"),
    "convert": _module("caspl.convert", "caspl.checkpoints.convert"),
    "sweep": _caspl("sweep"),
    "store": _caspl("store"),
    "results": _module("caspl.results"),
    "report": _module("caspl.results.report"),
    "datasets": _module("caspl.datasets"),
    "configs": _module("caspl.configs"),
    "base2new.sh": _script("base2new.sh"),
    "phase1.sh": _script("phase1.sh"),
}


def warm() -> None:
    """Import every door's module once, in one thread, so that a process forked from this one starts at once."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT))
    for door in DOORS.values():
        if door.module:
            importlib.import_module(door.module)
    import matplotlib.pyplot  # noqa: F401, what doors import only on their way
    import open_clip  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import tensorboard  # noqa: F401
