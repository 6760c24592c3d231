"""The runs that a log tells of. Dassl's format, the same in this project and in the family's repositories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO

from ...ground.errors import InputError
from ...ground.files import regular
from .text import read_lines
from .told import Result, Told

LOG_NAME = re.compile(r"log\.txt(-\d[\d-]*)?")
ARGUMENTS, CONFIG = "** Arguments **", "** Config **"

EVALUATION = re.compile(r"Evaluate on the \*(\w+)\* set|Do evaluation on (\w+) set")  # of today's Dassl, of older ones
RESULT = re.compile(r"(?:\* ?)?(total|correct|accuracy): ?(\S+?)( ?%)?")
EPOCH = re.compile(r"epoch \[\d+/\d+\]")
LOADING = re.compile(r"Loading (dataset|trainer): (\S+)")  # behind the configuration, which a cut log lacks
TRAINED = ("Finish training", "Finished training")  # today's Dassl, that of ProGrad and KgCoOp
ARGUMENT = re.compile(r"(\w{1,60}): ?(.*)")
KEY = re.compile(r"( *)(\w{1,60}):(?: (.*))?")
BOOSTED_BY_BASE_NAMES = re.compile(r"Boosting prompts from .*\(names of base classes only\)")
MOST_RUNS, CONFIG_LINES = 1_000, 10_000


def read_logs(path: Path) -> list[Told]:
    """The runs of one log file, oldest first. Raises OSError where it can't be read, InputError for too many."""
    parts = list(islice(_split(read_lines(path)), MOST_RUNS + 1))
    if len(parts) > MOST_RUNS:
        raise InputError(f"it holds more than {MOST_RUNS} runs")
    return [_read(lines, Told(path, number, len(parts))) for number, lines in enumerate(parts, 1)]


def logs_of(folder: Path, names: Iterable[str]) -> list[Path]:
    """The log files among the files `names` of a folder, oldest first.

    A run into a folder that has a log.txt writes log.txt-<time>, so that the names in order are the logs in order.
    """
    return [folder / name for name in sorted(names) if LOG_NAME.fullmatch(name)]


def logs_in(folder: str | Path) -> list[Path]:
    """The log files of a folder, oldest first; none where it can't be read."""
    with suppress(OSError):
        return logs_of(Path(folder), os.listdir(folder))
    return []


def newest_log(folder: str | Path) -> Path | None:
    """The last log file of a folder; None: there is none."""
    logs = logs_in(folder)
    return logs[-1] if logs and logs[-1].is_file() else None


def _split(lines: list[str]) -> Iterator[list[str]]:
    """One part for each run: each begins with its arguments, or its configuration where no arguments are printed."""
    head = ARGUMENTS if ARGUMENTS in lines else CONFIG
    starts = [i for i, line in enumerate(lines) if line == head]
    before = lines[: starts[0]] if starts else lines
    if not starts or any(RESULT.fullmatch(line) for line in before):
        yield before
    yield from (lines[start:end] for start, end in pairwise([*starts, len(lines)]))


def _read(lines: list[str], log: Told) -> Told:
    end = next((i for i, line in enumerate(lines) if _ends_config(line)), len(lines))
    start = lines.index(CONFIG) if CONFIG in lines else 0
    log.arguments = {m[1]: m[2].strip() for m in map(ARGUMENT.fullmatch, lines[: min(start, CONFIG_LINES)]) if m}
    log.config = _config(lines[start : min(end, start + CONFIG_LINES)])
    split, block, said = log.says("TEST.SPLIT") or "test", None, {}
    for line in map(str.strip, lines):
        if match := EVALUATION.fullmatch(line):
            split, block, said = match[1] or match[2], "evaluation", {}
        elif line == "=> result":
            block, said = "result", {}
        elif block and (match := RESULT.fullmatch(line)):
            said[match[1]] = match[2]
            if match[1] == "accuracy" and match[3]:
                log.results.append(Result(split, **said))
                block = None
        elif block == "result":
            block = None
        elif match := LOADING.fullmatch(line):
            log.loaded.setdefault(f"{match[1].upper()}.NAME", match[2])
        elif EPOCH.match(line):
            log.training = True
        elif line in TRAINED:
            log.trained, log.results = True, []  # of what came before, none is of the trained model
        elif BOOSTED_BY_BASE_NAMES.fullmatch(line):
            log.boosted_by_base_names = True
    if log.training and not log.trained:
        log.results = []
    return log


def _ends_config(line: str) -> bool:
    return line.startswith(
        ("** System info", "Collecting env", "Loading ", "epoch [", "Evaluate on", "Do evaluation", "=> ")
    )


def _config(lines: Iterable[str]) -> dict[str, str]:
    """The configuration that a run prints at its start: its nodes are indented."""
    values, nodes = {}, []
    for match in filter(None, map(KEY.fullmatch, lines)):
        depth = len(match[1])
        while nodes and nodes[-1][0] >= depth:
            nodes.pop()
        values[".".join([*(name for _, name in nodes), match[2]])] = (match[3] or "").strip().strip("'\"")
        nodes.append((depth, match[2]))
    return values


def folder_of(text: str) -> str:
    """A folder as a command line or a configuration has it, in one spelling."""
    return os.path.normpath(text.replace("\\", "/")) if text else ""


# ---------------------------------------------------------------------------------------------------------------------
# The last result alone, of thousands of logs in seconds
# ---------------------------------------------------------------------------------------------------------------------
BLOCK = 2**16  # bytes of a log that are read at a time, from its end
LONGEST_LINE = 200  # bytes of a line that are looked at
HEADING_OR_ACCURACY = re.compile(
    rb"^(?:(?:Evaluate on the \*|Do evaluation on )(?P<split>\w+)|\* accuracy:[ \t]+(?P<accuracy>\S+))",
    re.MULTILINE,
)


def last_accuracy(log: Path) -> str | None:
    """The last accuracy on test images that a log prints, such as "82.3%"; those on validation images are none.

    Only as much of the file is read, from its end, as that takes.
    """
    accuracy = None  # the last one below the heading that comes next, going upwards
    try:
        with open(regular(log), "rb") as file:
            for match in _upwards(file):
                if match["accuracy"]:
                    accuracy = accuracy or match["accuracy"]
                elif accuracy and match["split"] != b"val":
                    break
                else:
                    accuracy = None
    except OSError:
        return None
    return accuracy.decode("ascii", "replace") if accuracy else None


def _upwards(file: BinaryIO) -> Iterator[re.Match[bytes]]:
    """The headings and accuracies of a log, from its last line to its first."""
    end, rest = file.seek(0, os.SEEK_END), b""
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start) + rest  # `rest` is the beginning of a line that begins in this block
        first = block.find(b"\n") + 1 if start else 0
        yield from reversed(list(HEADING_OR_ACCURACY.finditer(block, first))) if first or not start else ()
        rest = block[: first or None][:LONGEST_LINE]
        end = start
