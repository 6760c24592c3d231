"""What lies below a folder, and, on stderr, what of it stands in no table."""

from __future__ import annotations

import sys
from pathlib import Path

from ..ground.errors import InputError
from ..ground.texts import sentence, tell
from .reading.places import EXPECTED
from .reading.run import Found
from .reading.runs import find_runs


def found_below(folder: Path) -> Found:
    """The runs below `folder`. Raises InputError where there is none that anything could be said about."""
    found = find_runs(folder)
    if not (found.runs or found.unfinished or found.validation):
        _tell_left_out(folder, found)
        looked = (
            "its logs are left out for the reasons above"
            if found.left_out
            else f"looked for log.txt in folders {EXPECTED}"
        )
        raise InputError(f"no results below {folder}; {looked}")
    return found


def tell_lacks(folder: Path, found: Found) -> None:
    """Say what the tables of these runs lack, a line each."""
    for path, run in found.unfinished:
        older = f" (the result of {folder / run.path} counts)" if run.accuracy is not None else ""
        tell(f"unfinished: {folder / path}{older}", sys.stderr)
    for path, run in found.validation:
        tell(f"tested on validation images ({run.accuracy:.2f} %), in no table: {folder / path}", sys.stderr)
    _tell_left_out(folder, found)
    if found.elsewhere:
        first, *others = found.elsewhere
        more = f" and {len(others)} more" if others else ""
        tell(f"not read, in no known layout: {folder / first}{more}", sys.stderr)


def _tell_left_out(folder: Path, found: Found) -> None:
    for path, why in found.left_out:
        tell(f"left out: {folder / path}: {sentence(why)}", sys.stderr)
