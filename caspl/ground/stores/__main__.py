"""What is kept on disk so that it is not computed again, of every kind: list it, make room, check it.

caspl store list output/stores
caspl store prune output/stores --to 50
caspl store prune --kind features --older 30 --dry-run
caspl store check output/stores

FOLDER is searched with all folders in it; without it, it is $CASPL_CACHE, else ~/.cache/caspl. Only what stores have written is
listed, removed or checked. All of it can be removed at any time, beside runs, too: what is missing is computed again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from tabulate import tabulate

from .. import door
from ..errors import InputError
from ..texts import counted, log_to_stderr, shown, tell, visible
from . import usual_place
from .kinds import KINDS
from .tree import Kept, damage, in_excess, kept, remove

GB = 1e9


def show_list(args: argparse.Namespace) -> int:
    """Print a table with a line for each store."""
    stores: dict[tuple[str, str, str], list[Kept]] = {}
    for each in _kept(args):
        stores.setdefault((each.kind.name, str(each.path.parent), _said(each)), []).append(each)
    rows = [
        [
            kind,
            visible(str(Path(folder).relative_to(args.folder))),
            said,
            f"{len(files):,}",
            f"{sum(each.content.rows for each in files):,}",
            _size(files),
            f"{datetime.fromtimestamp(max(each.used for each in files)):%Y-%m-%d %H:%M}",
        ]
        for (kind, folder, said), files in sorted(stores.items())
    ]
    if rows:
        headers = ["kind", "folder", "of", "files", "rows", "size", "last use"]
        print(tabulate(rows, headers, colalign=["left"] * 3 + ["right"] * 3 + ["left"], disable_numparse=True))
    everything = [each for files in stores.values() for each in files]
    tell(f"{args.folder}: {counted(len(stores), 'store')}, {counted(len(everything), 'file')}, {_size(everything)}")
    return 0


def _said(each: Kept) -> str:
    """The facts of a store in a few words, those that are no lists of others first."""
    words = [f"{name} {shown(value, 40)}" for name, value in each.content.facts.items() if not isinstance(value, dict)]
    return shown(", ".join(words).replace('"', ""), 90).strip('"')


def _size(files: Iterable[Kept]) -> str:
    size = sum(each.bytes for each in files)
    return f"{size / GB:.2f} GB" if size >= GB / 100 else f"{size / 1e6:.2f} MB"


def prune(args: argparse.Namespace) -> int:
    """Remove what is asked for, and print a line for each file."""
    if args.to is None and args.older is None and not args.kind:
        raise InputError("prune does not know what is to go; give --to GB, --older DAYS or --kind KIND")
    found = list(_kept(args))
    going = in_excess(found, most=None if args.to is None else args.to * GB, days=args.older)
    for each in going if args.dry_run else remove(going):
        tell(f"{'would remove' if args.dry_run else 'removed'} {each.path} ({each.kind.name}, {_size([each])})")
    gone = {each.path for each in going}
    staying = [each for each in found if each.path not in gone]
    goes, stays = ("would go", "would stay") if args.dry_run else ("gone", "left")
    tell(f"{args.folder}: {_size(going)} {goes}, {_size(staying)} in {counted(len(staying), 'file')} {stays}")
    return 0


def check(args: argparse.Namespace) -> int:
    """Read every file, and print what is wrong, a line each; exit status 1 if something is."""
    problems = files = 0
    for each, problem in damage(_kept(args)):
        files += 1
        if problem:
            problems += 1
            tell(f"{each.path} is damaged: {problem}; the next run that needs it computes it again")
    tell(f"{args.folder}: {counted(files, 'file')} read, {problems} damaged")
    return 1 if problems else 0


def _kept(args: argparse.Namespace) -> Iterable[Kept]:
    if not args.folder.is_dir() and args.folder != usual_place():
        raise InputError(f"{args.folder} is no folder; name one that holds stores, or none for {usual_place()}")
    return kept(args.folder, args.kind or "")


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0")
    return value


def parser() -> argparse.ArgumentParser:
    made = door.Parser(
        prog=door.prog("caspl store"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(word: str, run, about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(word, help=about, description=about)
        sub.set_defaults(run=run)
        sub.add_argument(
            "folder",
            metavar="FOLDER",
            nargs="?",
            type=lambda text: Path(text).expanduser(),
            default=usual_place(),
            help="where to look, with all folders in it; default: $CASPL_CACHE, else ~/.cache/caspl",
        )
        kinds = "; ".join(f"{kind.name}: {kind.about}" for kind in KINDS.values())
        sub.add_argument("--kind", choices=[*KINDS], help=f"only one kind of store; {kinds}")
        return sub

    command("list", show_list, "what is kept, and when it was of use last")
    sub = command("prune", prune, "make room; what was of use longest ago goes first")
    sub.add_argument("--to", type=_amount, metavar="GB", help="until so much is left")
    sub.add_argument("--older", type=_amount, metavar="DAYS", help="what was of no use for so many days")
    sub.add_argument("--dry-run", action="store_true", help="only say what would go")
    command("check", check, "read everything and say what is damaged; exit status 1 if something is")
    return made


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the check found something, 2 a mistake (one sentence on stderr); see `door.run`."""
    return door.run(lambda: _carry_out(parser().parse_args(argv)))


def _carry_out(args: argparse.Namespace) -> int:
    log_to_stderr()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
