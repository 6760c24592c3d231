"""Exceptions for mistakes in what the user gave."""

from __future__ import annotations


class InputError(ValueError):
    """A sentence for the user: what was found, where, and what to do. Programs print it without a stack trace."""

    def __init__(self, message: str = "") -> None:
        # A loader's worker process sends its traceback as the message; the sentence is that text's last line
        if message.startswith("Caught ") and "DataLoader worker" in message.split("\n", 1)[0]:
            message = message.rstrip().rsplit("\n", 1)[-1].split("Error: ", 1)[-1]
        super().__init__(message)


class MissingFileError(InputError, FileNotFoundError):
    """A file that was asked for is not there; also a FileNotFoundError, which Dassl 0.6.3 raises."""


class RegistryError(InputError, KeyError):
    """An unknown or doubly used name of a registry; also a KeyError, which Dassl 0.6.3 raises."""

    def __str__(self) -> str:
        return self.args[0]  # KeyError would show the sentence in quotes
