"""The one reader of what torch.save wrote: model files and resume.pth.tar, ours and those of the family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InputError, cause, first_line
from .archives import TensorFile, UnknownObjectError, UnreadableError, opened
from .checksum import without_checksum


def read_entries(path: Path, remedy: str) -> tuple[Any, list[str]]:
    """What a file holds, tensors on the CPU, and the names of the entries that were left out; nothing pickled is run.

    An entry is left out where it holds objects of other classes than tensors, numbers, texts and their containers. The entry
    `checksum` is compared and not given; without it, as in the family's files, what can be read is taken.

    Raises InputError, with `remedy` as its last words, for a file that may not be read, is damaged, cut short or of another
    kind.
    """
    try:
        with opened(path) as content:
            if not isinstance(content.root, dict):
                return _plain_or_name(content, content.root)
            found = {name: _plain_or_name(content, value) for name, value in content.root.items()}
            entries = {name: value for name, (value, left_out) in found.items() if not left_out}
            return without_checksum(entries), [str(name)[:60] for name, (_, left_out) in found.items() if left_out]
    except PermissionError:
        raise InputError(f"{path} may not be read by this user; change its permissions") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({cause(error)}); {remedy}") from None
    except UnreadableError as error:
        raise InputError(
            f"{path} is cut short, damaged or no file of torch.save ({first_line(error)}); {remedy}"
        ) from error


def models_beside(path: Path) -> str:
    """The rest of a sentence about a model file `path` that is not there: the model files beside it."""
    if not path.parent.is_dir():
        return f", nor a folder {path.parent}"
    names = sorted(entry.name for entry in path.parent.iterdir() if ".pth" in entry.name and entry.name[0] != ".")
    return f"; {path.parent} holds {', '.join(names) or 'no model file'}"


def _plain_or_name(content: TensorFile, value: object) -> tuple[Any, list[str]]:
    """A value, or None and the name of the class that it holds an object of."""
    try:
        return content.plain(value), []
    except UnknownObjectError as error:
        return None, [str(error)]
