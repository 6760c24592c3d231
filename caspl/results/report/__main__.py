"""One HTML page of all that lies below an output folder: tables, figures, and the record of every run; docs/results.md.

With --bundle also a zip file of all that it rests on; with --verify the check that the tables follow from the predictions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ...ground import door
from ...ground.errors import InputError
from ...ground.files import check_writable, replacing
from ...ground.texts import counted, log_to_stderr, tell
from ..bundle.reading import unpacked
from ..bundle.taking import take
from ..bundle.verifying import verify_bundle, verify_folder
from ..bundle.writing import write
from ..lacks import found_below, tell_lacks
from ..reading.run import Found
from .contents import page_of
from .page import html

NAME = "report.html"
DIFFERS = 1  # exit status


def parser() -> argparse.ArgumentParser:
    made = door.Parser(prog=door.prog("python -m caspl.results.report"), description=__doc__)
    made.add_argument("folder", type=Path, help="for example output, or output/base2new; or a bundle of one, FILE.zip")
    made.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"the page (default: {NAME} in the folder, FILE.html beside FILE.zip)",
    )
    made.add_argument(
        "--bundle", type=Path, metavar="FILE.zip", help="also bundle records, predictions, prompts and tables"
    )
    made.add_argument(
        "--verify",
        action="store_true",
        help="compute every number of the tables anew from the predictions; write nothing",
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done; 1 --verify has found what does not follow from the predictions; 2 nothing found or a mistake in what
    was given (one sentence on stderr); see `door.run`.
    """
    return door.run(lambda: _report(parser().parse_args(argv)))


def _report(args: argparse.Namespace) -> int | None:
    log_to_stderr()
    is_bundle = args.folder.exists() and not args.folder.is_dir()
    _check(args, is_bundle)
    if args.verify:
        return _verify(args.folder, is_bundle)
    if is_bundle:
        output = args.output or args.folder.with_suffix(".html")
        check_writable(output, "the page (--output)")
        with unpacked(args.folder) as (top, found):
            _write_page(output, _page(top, found))
        tell_lacks(args.folder, found)
        return None
    output = args.output or args.folder / NAME
    if args.output or args.folder.is_dir():  # else it is the folder that is wrong
        check_writable(output, "the page (--output)")
    if args.bundle:
        check_writable(args.bundle, "the bundle (--bundle)")
    found = found_below(args.folder)
    taken = take(args.folder, found) if args.bundle else None
    found = taken.found if taken is not None else found
    _write_page(output, html(page_of(args.folder, found, output.parent)))
    if taken is not None:
        made = write(args.bundle, args.folder, taken, html(page_of(args.folder, found, args.folder)))
        tell(
            f"wrote {args.bundle}: {counted(len(found.runs), 'run')}, {made.bytes / 1e6:.1f} MB, SHA-256 {made.sha256}"
        )
        for left in made.absent:
            tell(f"not in the bundle: {left.path}: {left.why}", sys.stderr)
    tell_lacks(args.folder, found)
    return None


def _check(args: argparse.Namespace, is_bundle: bool) -> None:
    """Raise InputError for options that contradict each other."""
    if args.verify and (args.bundle or args.output):
        raise InputError(
            f"--verify writes nothing, and {'--bundle' if args.bundle else '--output'} was given, too; give one of the two"
        )
    if is_bundle and args.bundle:
        raise InputError(
            f"{args.folder} is a file, and --bundle makes one of a folder; leave it out, or give the folder"
        )
    if args.bundle and args.bundle.suffix.lower() != ".zip":
        raise InputError(f"--bundle is {args.bundle}, expected a file whose name ends in .zip; rename it")
    if args.bundle and args.output and args.bundle.absolute() == args.output.absolute():
        raise InputError(f"--bundle and --output are both {args.output}; give the page another name")


def _verify(place: Path, is_bundle: bool) -> int:
    verified = (verify_bundle if is_bundle else verify_folder)(place, _page)
    for line in verified.lines():
        tell(line)
    return 0 if verified.sound else DIFFERS


def _page(folder: Path, found: Found) -> str:
    """Without links to records, which are not there."""
    return html(page_of(folder, found))


def _write_page(output: Path, text: str) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    tell(f"wrote {output}")


if __name__ == "__main__":
    sys.exit(main())
