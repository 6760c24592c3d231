"""A file by which a node shows that it sees the folder of the sweep, and not one of its own of the same name."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from ....ground.files import replacing
from ...jobs import Plan


class Token:
    """In the deepest folder that has all folders of a plan in it, for as long as the sweep lasts."""

    def __init__(self, plan: Plan):
        self.said = secrets.token_hex(16)
        folders = [os.path.abspath(job.folder) for job in plan]
        self.path = os.path.join(os.path.commonpath(folders) if folders else os.getcwd(), f".sweep-{self.said[:8]}")

    def write(self) -> None:
        """Raises OSError where the folder can't be written."""
        with replacing(self.path) as file:
            file.write_text(self.said, encoding="ascii")

    def remove(self) -> None:
        with suppress(OSError):
            os.unlink(self.path)
