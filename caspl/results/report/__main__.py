"""One HTML page of all that lies below an output folder: tables, figures, and the record of every run; docs/results.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ...ground import door
from ...ground.files import check_writable, replacing
from ...ground.texts import log_to_stderr, tell
from ..lacks import found_below, tell_lacks
from .contents import page_of
from .page import html

NAME = "report.html"


def parser() -> argparse.ArgumentParser:
    made = door.Parser(prog=door.prog("python -m caspl.results.report"), description=__doc__)
    made.add_argument("folder", type=Path, help="for example output, or output/base2new")
    made.add_argument("--output", type=Path, metavar="FILE", help=f"the page (default: {NAME} in the folder)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 nothing found or a mistake in what was given (one sentence on stderr); see `door.run`."""
    return door.run(lambda: _report(parser().parse_args(argv)))


def _report(args: argparse.Namespace) -> None:
    log_to_stderr()
    output = args.output or args.folder / NAME
    if args.output or args.folder.is_dir():  # else it is the folder that is wrong
        check_writable(output, "the page (--output)")
    found = found_below(args.folder)
    text = html(page_of(args.folder, found, output.parent))
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    tell(f"wrote {output}")
    tell_lacks(args.folder, found)


if __name__ == "__main__":
    sys.exit(main())
