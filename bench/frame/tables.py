"""Tables of the documents that hold measured figures, written out of results.json between markers.

    <!-- bench: text_tower -->
    ...
    <!-- end of text_tower -->

A table whose runs have not all been measured stays as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure
from bench.frame.results import Record
from bench.frame.sides import ROOT
from caspl.ground.errors import InputError
from caspl.ground.files import replacing

MARKED = re.compile(r"^<!-- bench: (\S+) -->\n(.*?)^<!-- end of \1 -->\n", re.MULTILINE | re.DOTALL)
EMPTY = "-"


def documents(root: Path = ROOT) -> list[Path]:
    return [root / "README.md", root / "CHANGELOG.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]


def tables_of(benchmarks: Mapping[str, Benchmark]) -> dict[str, tuple[Benchmark, Table]]:
    """Every table by the name of its markers. Raises InputError where two have one name."""
    found: dict[str, tuple[Benchmark, Table]] = {}
    for benchmark in benchmarks.values():
        for name, table in benchmark.tables.items():
            if name in found:
                raise InputError(
                    f"{found[name][0].module} and {benchmark.module} both declare a table {name}; rename one"
                )
            found[name] = benchmark, table
    return found


def text(benchmark: Benchmark, table: Table, records: Mapping[str, Record]) -> str | None:
    """The table with its commands and where it was measured; None where one of its runs has not been measured."""
    labels = table.runs or tuple(benchmark.runs)
    runs = {label: records.get(benchmark.command(label)) for label in labels}
    if None in runs.values():
        return None
    rows = [
        [_label(label, part, len(labels)), *cells]
        for label, record in runs.items()
        for part in table.of or ("",)
        if {*(cells := [_cell(record, part, name) for name in table.columns.values()])} != {EMPTY}
    ]
    body = tabulate(rows, [table.head, *table.columns], tablefmt="github", disable_numparse=True)
    body = re.sub(r" +\|", " |", re.sub(r"\| +", "| ", re.sub(r"-{4,}", "---", body)))
    commands = "".join(f"    {_shown(benchmark.command(label))}\n" for label in labels)
    facts = ". ".join(dict.fromkeys(record.facts for record in runs.values()))
    return f"{body}\n\n{commands}\n{facts}.\n"


def filled(
    document: str, place: str, known: Mapping[str, tuple[Benchmark, Table]], records: Mapping[str, Record]
) -> str:
    """A document with the tables that its markers ask for. Raises InputError for a name that no benchmark declares."""

    def one(found: re.Match[str]) -> str:
        name = found[1]
        if name not in known:
            raise InputError(
                f"{place} has a table {name}, which no benchmark declares; declared are {', '.join(sorted(known))}"
            )
        new = text(*known[name], records)
        return found[0] if new is None else f"<!-- bench: {name} -->\n{new}<!-- end of {name} -->\n"

    return MARKED.sub(one, document)


def outdated(
    known: Mapping[str, tuple[Benchmark, Table]], records: Mapping[str, Record], root: Path = ROOT
) -> dict[Path, str]:
    """The documents that do not say what results.json says, with what they should be."""
    found = {}
    for path in documents(root):
        said = path.read_text(encoding="utf-8")
        if (new := filled(said, path.name, known, records)) != said:
            found[path] = new
    return found


def update(new: Mapping[Path, str]) -> None:
    for path, whole in new.items():
        with replacing(path) as temporary:
            temporary.write_text(whole, encoding="utf-8")


def _label(run: str, part: str, runs: int) -> str:
    return ", ".join(filter(None, [part, run if runs > 1 or not part else ""]))


def _cell(record: Record, part: str, name: str) -> str:
    figure: Figure | None = record.figure(f"{part}: {name}" if part else name)
    if figure is None:
        return EMPTY
    spread = figure.unit == "x" and figure.n > 2
    return str(figure) if spread else str(figure).partition(" (")[0]


def _shown(command: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: found[1].upper(), command)
