"""The rule: a bad input ends in exit status 2 and one sentence, soon, and leaves nothing behind but the log."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import PurePath

from .attempts import NOT_PREPARED, Listing, Outcome
from .cases import REFUSED

SENTENCE = re.compile(r"^(?:[\w./ -]+: )?error: .*$", re.MULTILINE)  # argparse names the program before it
LOG = re.compile(r"log\.txt.*|run\.json")  # the record of the run says, too, why it was refused
# Letters that a terminal acts on; file and class names must not bring them there
ACTING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
TRACES = ("Traceback (most recent call last)", "error: unexpected ", "Exception ignored", "Fatal Python error")


def faults(outcome: Outcome) -> list[str]:
    """What is against the rule, a clause each."""
    case, printed = outcome.case, outcome.out + outcome.err
    if outcome.status == NOT_PREPARED:
        return [f"the case itself could not be prepared: {outcome.err.strip().splitlines()[-1:]}"]
    if outcome.status is None:
        return [f"was still running after {outcome.seconds:.0f} s"]
    expected, found = outcome.expected, []
    if outcome.status != expected:
        found.append(f"exit status {outcome.status}, expected {expected}")
    found += [f"printed {trace!r}" for trace in TRACES if trace in printed]
    sentences = SENTENCE.findall(outcome.err)
    lines = 0 if expected == 0 else 1
    if expected == REFUSED or expected == 0:
        if len(sentences) != lines:
            found.append(f"{len(sentences)} error lines, expected {lines}")
        elif sentences and case.names and not any(name in sentences[0] for name in case.names):
            found.append(f"the sentence has none of {', '.join(case.names)}")
    if case.said and case.said not in printed:
        found.append(f"did not say {case.said!r}")
    if acting := ACTING.search(printed.replace("\x1b[A", "")):
        found.append(f"printed the control character {acting[0]!r}")
    if outcome.outside:
        found.append(f"turned to {outcome.outside.splitlines()[0]}")
    if expected == REFUSED and (written := changes(outcome.before, outcome.after, case.leaves)):
        found.append(f"left {', '.join(written[:4])}")
    return found


def changes(before: Listing, after: Listing, leaves: tuple[str, ...] = ()) -> list[str]:
    """What has come, gone or changed, but for logs, the folders on the way to them, and new paths that fit `leaves`."""
    logs = [PurePath(path) for path in after if path not in before and LOG.fullmatch(PurePath(path).name)]
    allowed = {str(path) for log in logs for path in (log, *log.parents)}
    return [
        f"{path} ({'gone' if path not in after else 'changed' if path in before else 'new'})"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and path not in allowed
        if path in before or not any(fnmatch(path, pattern) for pattern in leaves)
    ]
