"""What an installation changes in a process, so that it can be undone."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any


class Changes(ExitStack):
    """Changes to objects of others. `undo`, or leaving a `with` block, takes them back, the last one first."""

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Give this one object another attribute `name`, past what its class does on assignment."""
        own = vars(owner)
        if name in own:
            self.callback(own.__setitem__, name, own[name])
        else:
            self.callback(own.pop, name)
        own[name] = value

    def undo(self) -> None:
        """Put everything back."""
        self.close()
