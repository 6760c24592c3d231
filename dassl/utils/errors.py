"""Exceptions for mistakes in what the user gave."""

from __future__ import annotations

from caspl.ground.errors import InputError


class MissingFileError(InputError, FileNotFoundError):
    """A file that was asked for is not there; also a FileNotFoundError, which Dassl 0.6.3 raises."""


class RegistryError(InputError, KeyError):
    """An unknown or doubly used name of a registry; also a KeyError, which Dassl 0.6.3 raises."""

    def __str__(self) -> str:
        return self.args[0]  # KeyError would show the sentence in quotes
