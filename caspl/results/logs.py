"""What the log of one run says. Dassl's format, the same in this project and in the original repositories."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..ground.errors import cause
from ..ground.files import regular

logger = logging.getLogger(__name__)

LOG_NAME = re.compile(r"log\.txt(-\d[\d-]*)?")

# Either the line in front of an evaluation, of which older Dassl versions have another, or a whole result block. A block
# that was cut off while it was written has no complete line of the accuracy.
EVALUATION = re.compile(
    r"^(?:Evaluate on the \*(?P<split>\w+)\* set|Do evaluation on (?P<older_split>\w+) set)$"
    r"|^=> result\n(?:\* total: (?P<total>\S+)\n\* correct: (?P<correct>\S+)\n)?\* accuracy: (?P<accuracy>\S+)%$",
    re.MULTILINE,
)
COUNT = re.compile(r"\d[\d,]{0,14}", re.ASCII)
ROUNDED = 0.51  # percent by which the accuracy that is printed may differ from that of the counts
PART_BYTES = 2**23  # of a log of more than twice as many the beginning, with the configuration, and the end are read
SUBSAMPLE = re.compile(r"^ *SUBSAMPLE_CLASSES: (\w+) *$", re.MULTILINE)
BOOSTED_BY_BASE_NAMES = re.compile(r"^Boosting prompts from .*\(names of base classes only\)$", re.MULTILINE)


@dataclass(frozen=True)
class Log:
    """A run's newest log with a result, or its newest log where none has one."""

    path: Path
    accuracy: float | None  # percent of the test images; None: not finished
    classes: str | None  # DATASET.SUBSAMPLE_CLASSES: all, base or new; None where the log does not say
    backbone: str | None  # MODEL.BACKBONE.NAME
    base_names: bool  # CasPL: the log says that phase 1 knew the names of the base classes only
    unfinished: Path | None = None  # the newest log, where it has no result


def read_logs(folder: Path, names: Iterable[str]) -> Log | None:
    """The log of the run in `folder`, which holds the files `names`; None if none of them is a log.

    A run into a folder that has a log.txt writes log.txt-<time>, so that the names in order are the logs in order. One that
    cannot be read, or whose numbers are impossible, is a warning and counts as if it were not there.
    """
    logs = []
    for path in (folder / name for name in sorted(names, reverse=True) if LOG_NAME.fullmatch(name)):
        try:
            logs.append(read_log(path))
        except (OSError, ValueError) as error:
            logger.warning("left out: %s: %s", path, cause(error))
    if not logs:
        return None
    newest = logs[0]
    finished = next((log for log in logs if log.accuracy is not None), newest)
    return finished if newest.accuracy is not None else replace(finished, unfinished=newest.path)


def read_log(path: Path) -> Log:
    """Read one log file. Raises OSError where that is impossible, ValueError where its numbers are."""
    text = _text(path)
    subsample = SUBSAMPLE.findall(text)
    return Log(
        path=path,
        accuracy=last_accuracy(text),
        classes=subsample[-1] if subsample else None,
        backbone=config_value(text, "BACKBONE", "NAME"),
        base_names=config_value(text, "CASPL", "CLASSES") == "base" or bool(BOOSTED_BY_BASE_NAMES.search(text)),
    )


def _text(path: Path) -> str:
    """What a log says, of a very long one the beginning and the end."""
    with regular(path).open("rb") as file:
        content = file.read(2 * PART_BYTES + 1)
        if len(content) > 2 * PART_BYTES:
            file.seek(-PART_BYTES, os.SEEK_END)
            content = content[:PART_BYTES] + b"\n" + file.read(PART_BYTES)
    return content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def last_accuracy(text: str) -> float | None:
    """Percent, from the last result on test images: to the image where the counts are printed, else as printed.

    Results on validation images, which a training run may print after each epoch, are none. Raises ValueError for a result
    that cannot be.
    """
    split, accuracy = "test", None
    for match in EVALUATION.finditer(text):
        if match["accuracy"] is None:
            split = match["split"] or match["older_split"]
        elif split != "val":
            accuracy = _percent(match)
    return accuracy


def _percent(match: re.Match[str]) -> float:
    printed = match["accuracy"]
    if not re.fullmatch(r"\d{1,3}(\.\d{0,20})?", printed, re.ASCII) or float(printed) > 100:
        raise ValueError(f"its accuracy is {printed[:40]}%, expected 0 to 100")
    if match["total"] is None:
        return float(printed)
    if not COUNT.fullmatch(match["total"]) or not COUNT.fullmatch(match["correct"]):
        raise ValueError(f"it counts {match['correct'][:40]} correct images of {match['total'][:40]}, expected numbers")
    total, correct = (int(match[name].replace(",", "")) for name in ("total", "correct"))
    if correct > total or not total:
        raise ValueError(f"it counts {correct:,} correct images of {total:,}, which is impossible")
    if abs(100 * correct / total - float(printed)) > ROUNDED:
        raise ValueError(f"it counts {correct:,} correct images of {total:,} and prints an accuracy of {printed}%")
    return 100 * correct / total


def config_value(text: str, section: str, key: str) -> str | None:
    """The value of `key` in `section` of the configuration that a run prints at its start: its nodes are indented."""
    node = re.search(rf"^( *){section}:\n((?:\1 .*\n)*)", text, re.MULTILINE)
    value = re.search(rf"^ *{key}: (\S+) *$", node[2], re.MULTILINE) if node else None
    return value[1] if value else None
