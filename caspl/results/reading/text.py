"""A log as plain lines: without colours, progress bars and what a logger puts in front, whatever system wrote it."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from ...ground.files import regular

PART_BYTES = 2**23  # of a log of more than twice as many the beginning, with the configuration, and the end are read
ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

COLOUR = re.compile(r"\x1b\[[0-9;?]{0,20}[@-~]")
BAR = re.compile(
    r".{0,80}?\d{1,3}%\|[^|]{0,300}\|[^\[]{0,60}\[[^\]]{0,100}\]"
)  # tqdm's; what comes next may share its line

# What loggers put in front of a message: [2026-01-02 03:04:05,678][root][INFO] - ..., INFO:root:..., [01/02 03:04:05 d2]: ...
TIME = r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d{1,9})?"
LEVEL = r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)"
NAME = r"\s{1,8}[-|]\s{1,8}[\w.:<>]{1,80}(?=\s{1,8}[-|]\s)"
PREFIX = re.compile(
    rf"(?:\[[^\[\]]{{0,60}}?(?:{TIME}|{LEVEL})[^\[\]]{{0,60}}\](?:\s?\[[^\[\]]{{1,60}}\])*"
    rf"|(?:\d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}[T ])?{TIME}Z?(?:\s?\[[^\[\]]{{1,60}}\])*"
    rf"|{LEVEL}:[\w.]{{1,80}}(?=:))"
    rf"(?:{NAME}|\s{{1,8}}(?:[-|]\s{{1,8}})?\[?{LEVEL}\]?(?!\w))*(?:\s{{1,8}}[-|]\s|:\s?|\s|$)"
)


def read_lines(path: Path) -> list[str]:
    """The lines of a log, of a very long one those of its two ends. Raises OSError where that is impossible."""
    with regular(path).open("rb") as file:
        content = file.read(2 * PART_BYTES + 1)
        if len(content) > 2 * PART_BYTES:
            file.seek(-PART_BYTES, os.SEEK_END)
            content = content[:PART_BYTES] + b"\n" + file.read(PART_BYTES)
    encoding = next((encoding for mark, encoding in ENCODINGS if content.startswith(mark)), "utf-8")
    text = COLOUR.sub("", content.decode(encoding, "replace"))
    return [_plain(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _plain(line: str) -> str:
    if bar := BAR.match(line):
        line = line[bar.end() :].lstrip()
    prefix = PREFIX.match(line)
    return line[prefix.end() :] if prefix else line
