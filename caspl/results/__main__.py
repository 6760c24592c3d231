"""python -m caspl.results FOLDER; docs/results.md says more."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..ground import door
from ..ground.errors import InputError
from ..ground.files import replacing
from ..ground.texts import log_to_stderr, tell
from .certainty.tables import every_table
from .figures import FILES, save
from .lacks import found_below, tell_lacks
from .names import dataset_name
from .reading.run import Found, Run
from .render import latex, markdown, runs_csv
from .tables import Table, build_tables


def parser() -> argparse.ArgumentParser:
    made = door.Parser(
        prog=door.prog("python -m caspl.results"),
        description="Collect the runs below an output folder of the CoOp family into tables, beside the published numbers. "
        "Writes results.md, results.tex, results.csv and figures into the folder.",
    )
    made.add_argument("folder", type=Path, help="for example output, or output/base2new")
    made.add_argument("--format", choices=("markdown", "latex", "csv"), default="markdown", help="what is printed")
    made.add_argument("--no-write", action="store_true", help="print only")
    for name in ("dataset", "trainer"):
        made.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="NAME[,NAME...]",
            help=f"print these {name}s only, and write nothing; may be repeated",
        )
    return made


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    return parser().parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 nothing found or a mistake in what was given (one sentence on stderr); see `door.run`."""
    return door.run(lambda: _collect(parse_args(argv)))


def _collect(args: argparse.Namespace) -> None:
    log_to_stderr()
    found = found_below(args.folder)
    datasets, trainers = {dataset_name(name) for name in _names(args.dataset)}, _names(args.trainer)
    chosen = _choose(found, datasets, trainers)
    if not (chosen.runs or chosen.unfinished or chosen.validation):
        raise InputError(
            f"nothing below {args.folder} is of the given --dataset and --trainer; there are {_present(found)}"
        )
    if chosen.runs:
        every = every_table(chosen.runs)
        formats = {"markdown": markdown, "latex": latex}
        text = runs_csv(chosen.runs) if args.format == "csv" else formats[args.format](every)
        tell(text.removesuffix("\n"))
        if not (args.no_write or datasets or trainers):  # a part must not take the place of the whole
            tell(f"wrote {', '.join(write_all(args.folder, every, chosen.runs))} in {args.folder}", sys.stderr)
    tell_lacks(args.folder, chosen)


def write_all(folder: Path, every: Sequence[Table], runs: Sequence[Run]) -> list[str]:
    """Write every file that there are results for, and return their names: text of `every` table, and figures.

    Raises InputError where that is impossible.
    """
    texts = {
        "results.md": markdown(every),
        "results.tex": latex(every),
        "results.csv": runs_csv(runs),
    }
    tables = build_tables(runs)
    figures = {setting: name for setting, name in FILES.items() if setting in tables}
    try:
        for name, text in texts.items():
            with replacing(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        for setting, name in figures.items():
            save(setting, tables[setting], folder / name)
    except OSError as error:
        raise InputError(f"can't write to {folder} ({error}); --no-write only prints") from error
    return [*texts, *figures.values()]


def _names(options: Sequence[str]) -> set[str]:
    return {name.strip() for option in options for name in option.split(",") if name.strip()}


def _choose(found: Found, datasets: set[str], trainers: set[str]) -> Found:
    """What is of these datasets and trainers; none given means all."""

    def wanted(run: Run) -> bool:
        return (not datasets or run.dataset in datasets) and (not trainers or run.trainer in trainers)

    return Found(
        runs=[run for run in found.runs if wanted(run)],
        unfinished=[(path, run) for path, run in found.unfinished if wanted(run)],
        validation=[(path, run) for path, run in found.validation if wanted(run)],
        left_out=found.left_out,
        elsewhere=found.elsewhere,
    )


def _present(found: Found) -> str:
    runs = [*found.runs, *(run for _, run in [*found.unfinished, *found.validation])]
    datasets, trainers = (", ".join(sorted({getattr(run, key) for run in runs})) for key in ("dataset", "trainer"))
    return f"datasets {datasets} and trainers {trainers}"


if __name__ == "__main__":
    sys.exit(main())
