"""How what goes wrong in one process ends all of them, in one sentence that is printed once.

Whoever meets an error leaves it in the store that all processes share. The others find it there when they next wait for each
other, and raise it, too, so that each ends as it does by itself: the first one's record says why. The first one prints. Where
it does not come to that, because it is busy for long or has been killed, the process that has met the error does.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from .. import door
from ..errors import ElsewhereError, InputError
from ..tensors.finite import DivergedError, NotFiniteError

if TYPE_CHECKING:
    from torch.distributed import Store

ENDED, TOLD = "ended", "told"  # keys of the store: the first error, and which process prints its sentence
KINDS = {
    "input": InputError,
    "diverged": DivergedError,
    "not finite": NotFiniteError,
    "interrupted": KeyboardInterrupt,
    "other": ElsewhereError,
}
PATIENCE = 15.0  # seconds in which the first process is to print an error of another one
SHORT = 3.0  # the same for what all have met: an interruption, or the end of one of them
PAUSE = 0.05


def as_text(error: BaseException, number: int = 0) -> str:
    """What the other processes are told of an error: its kind, its sentence, and the number of the process."""
    if isinstance(error, KeyboardInterrupt):
        return json.dumps(["interrupted", "", number])
    status, said = door.outcome(error)
    kinds = {"diverged": DivergedError, "not finite": NotFiniteError}
    kind = next((kind for kind, of in kinds.items() if isinstance(error, of)), "input" if status == 2 else "other")
    return json.dumps([kind, said, number])


def of_text(text: str) -> BaseException:
    """The error that `as_text` has told of."""
    kind, said, _ = json.loads(text)
    return KINDS[kind](*([said] if said else []))


class Ends:
    """The ends of the processes that share a `store`.

    Attributes:
        names: texts that stand for another one in what is told, such as a folder of this process alone.
    """

    def __init__(self, store: Store, number: int):
        self.store, self.number = store, number
        self.names: dict[str, str] = {}

    def look(self, patience: float = 0.0) -> None:
        """Raise the error that another process has left; `patience`: seconds in which one may come."""
        until = time.monotonic() + patience
        while not self._has(ENDED):
            if time.monotonic() >= until:
                return
            time.sleep(PAUSE)
        raise of_text(self.store.get(ENDED).decode())

    def leave(self, error: BaseException) -> None:
        """Leave the error that ends this process, and see to it that its sentence is printed once."""
        text = as_text(error, self.number)
        for own, other in self.names.items():
            text = text.replace(own, other)
        try:
            met_first = self.store.compare_set(ENDED, "", text).decode() == text
            speaks = not self.number or met_first and not self._is_told(error)
            if not speaks or self.store.compare_set(TOLD, "", str(self.number)).decode() != str(self.number):
                door.silence()
        except (RuntimeError, ElsewhereError):  # the store has gone with the process that kept it
            if self.number and not kept_by_torchrun():
                door.silence()  # that was the first one, which has spoken unless it was killed

    def _is_told(self, error: BaseException) -> bool:
        """Whether the first process has come to print, within the time that it is given."""
        until = time.monotonic() + (SHORT if isinstance(error, KeyboardInterrupt | ElsewhereError) else PATIENCE)
        while time.monotonic() < until:
            if self._has(TOLD):
                return True
            time.sleep(PAUSE)
        return False

    def _has(self, key: str) -> bool:
        try:
            return self.store.check([key])
        except RuntimeError:
            raise ElsewhereError(GONE) from None


def kept_by_torchrun() -> bool:
    """Whether it is torchrun that keeps the store, and not the first process."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


GONE = (
    "another process of the job has ended without a word, perhaps killed for its memory; the same command resumes after the "
    "last finished epoch"
)
