"""Every measurement of this project: python -m bench list | all | tables | NAME [its options].

python -m bench list                                   # what there is, what it needs, how long it took
python -m bench all --given originals=../originals     # all of it, into bench/results.json and the documents
python -m bench all --only text_tower,cocoop           # some, the others keep their figures
python -m bench all --trial                            # each in seconds, nothing is kept: does it run?
python -m bench tables --update                        # the documents' tables out of bench/results.json
python -m bench text_tower --classes 50 --repeats 5    # one, with its own options (--help names them)
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from difflib import get_close_matches
from pathlib import Path

import bench
from bench.frame import results, tables
from bench.frame.benchmark import Benchmark
from bench.frame.running import Run, run_all
from caspl.ground import door
from caspl.ground.errors import InputError

FRAME = "bench.frame."


def find() -> dict[str, str]:
    """The modules that may be benchmarks, those in folders, by their last names. Nothing is imported but folders."""
    names = [m.name for m in pkgutil.walk_packages(bench.__path__, "bench.") if not m.ispkg]
    return {name.rpartition(".")[2]: name for name in names if name.count(".") > 1 and not name.startswith(FRAME)}


def load(name: str) -> Benchmark | None:
    """The benchmark that a module declares; None: it is a part of others."""
    return getattr(importlib.import_module(find()[name]), "BENCH", None)


def every() -> dict[str, Benchmark]:
    found = {name: load(name) for name in sorted(find())}
    return {name: benchmark for name, benchmark in found.items() if benchmark}


def chosen(words: str | None, known: dict[str, Benchmark]) -> list[str]:
    """The names in a list with commas. Raises InputError for one that there is not."""
    names = [name for name in (words or "").split(",") if name]
    for name in names:
        if name not in known:
            raise unknown(name, list(known))
    return names


def unknown(name: str, known: list[str]) -> InputError:
    near = get_close_matches(name, known, 1)
    return InputError(
        f"no benchmark {name}; {f'do you mean {near[0]}?' if near else 'python -m bench list names them'}"
    )


def pairs(words: list[str], known: dict[str, Benchmark]) -> dict[str, str]:
    """--given NAME=PLACE, as absolute paths. Raises InputError where no run asks for the name, or nothing is there."""
    asked = {name for benchmark in known.values() for name in benchmark.needs}
    given = {}
    for word in words:
        name, equals, place = word.partition("=")
        if name not in asked or not equals:
            raise InputError(f"--given {word}: expected NAME=PLACE with one of the names {', '.join(sorted(asked))}")
        if not Path(place).exists():
            raise InputError(f"--given {name}: {place} is not there; give {benchmark_need(name, known)}")
        given[name] = str(Path(place).resolve())
    return given


def benchmark_need(name: str, known: dict[str, Benchmark]) -> str:
    return next(benchmark.needs[name] for benchmark in known.values() if name in benchmark.needs)


def show_list(argv: list[str]) -> int:
    door.Parser(prog="python -m bench list", description="What there is.").parse_args(argv)
    records = results.read()
    for name, benchmark in every().items():
        print(f"{name}: {benchmark.about}")
        print("".join(f"    needs {need}\n" for need in _needs(benchmark)), end="")
        for label in benchmark.runs:
            record = records.get(benchmark.command(label))
            took = f"{record.seconds:.0f} s on {record.date}" if record else "not measured yet"
            print(f"    {label or 'all of it'}: {took}")
    whole = sum(record.seconds for record in records.values())
    print(f"\n{len(records)} runs measured, which took {whole / 60:.0f} minutes")
    return 0


def _needs(benchmark: Benchmark) -> list[str]:
    said = [f"{about} (--given {name}=...)" for name, about in benchmark.needs.items()]
    return [*said, *["a GPU"] * benchmark.gpu, *([f"the package {benchmark.extra}"] if benchmark.extra else [])]


def do_all(argv: list[str]) -> int:
    parser = door.Parser(prog="python -m bench all", description="Every run of every benchmark, one after the other.")
    parser.add_argument("--only", metavar="NAMES", help="these, with commas between")
    parser.add_argument("--skip", metavar="NAMES", help="all but these")
    parser.add_argument(
        "--given", nargs="+", default=[], metavar="NAME=PLACE", help="what only you have; list says what"
    )
    parser.add_argument(
        "--trial", action="store_true", help="each with its smallest settings, in seconds; nothing is kept"
    )
    parser.add_argument("--results", type=Path, default=results.RESULTS, help="default: bench/results.json")
    args = parser.parse_args(argv)
    known = every()
    only, skip, given = chosen(args.only, known) or list(known), chosen(args.skip, known), pairs(args.given, known)
    runs = [Run(known[name], label) for name in only if name not in skip for label in known[name].runs]
    before = results.read(args.results)
    outcome = run_all(runs, given, None if args.trial else args.results, before, trial=args.trial)
    said = {
        "done": outcome.done,
        "missed a target": outcome.missed,
        "failed": outcome.failed,
        "skipped": outcome.skipped,
    }
    print(", ".join(f"{number} {word}" for word, number in said.items() if number) or "nothing to do")
    if not args.trial and args.results == results.RESULTS:
        update_tables(known)
    return 1 if outcome.failed or outcome.missed else 0


def update_tables(known: dict[str, Benchmark]) -> None:
    new = tables.outdated(tables.tables_of(known), results.read())
    tables.update(new)
    print("".join(f"{path.relative_to(tables.ROOT)} has the new figures\n" for path in new), end="")


def do_tables(argv: list[str]) -> int:
    parser = door.Parser(prog="python -m bench tables", description="The documents' tables and bench/results.json.")
    parser.add_argument("--update", action="store_true", help="write the tables anew")
    args, known = parser.parse_args(argv), every()
    if args.update:
        update_tables(known)
        return 0
    declared, records = tables.tables_of(known), results.read()
    for name, (benchmark, table) in declared.items():
        if tables.text(benchmark, table, records) is None:
            print(f"{name}: not measured yet, the document stands as it is")
    new = tables.outdated(declared, records)
    print("".join(f"{path.relative_to(tables.ROOT)}: not what results.json says\n" for path in new), end="")
    return 1 if new else 0


COMMANDS = {"list": show_list, "all": do_all, "tables": do_tables}


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if words else 2
    name, *rest = words
    if name in COMMANDS:
        return COMMANDS[name](rest)
    if name not in find() or (benchmark := load(name)) is None:
        raise unknown(name, [*COMMANDS, *find()])
    return benchmark.main(rest)


if __name__ == "__main__":
    sys.exit(door.run(main))
