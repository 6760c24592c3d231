"""How long it takes to find out what lies below an output folder, by the records of runs and by their logs alone, to make a
page of it, and to bundle and to verify it.

    python -m bench results_reading FOLDER                  # made by our sweeps: with its records, and with a copy without
    python -m bench results_reading FOLDER --runs 2000      # its runs under other seeds, until there are so many

Figures are the seconds of one processor, the number of runs, whether both ways give the same tables, and how large page and
bundle are.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure
from caspl.ground.errors import InputError
from caspl.results.bundle.taking import take
from caspl.results.bundle.verifying import verify_bundle
from caspl.results.bundle.writing import write as write_bundle
from caspl.results.certainty.tables import behind
from caspl.results.reading.logs import LOG_NAME
from caspl.results.reading.runs import find_runs
from caspl.results.records import NAME, Record, read, write
from caspl.results.records.predictions import NAME as PREDICTIONS
from caspl.results.render import MEASURED, markdown, runs_csv
from caspl.results.report.contents import page_of
from caspl.results.report.page import html
from caspl.results.tables import build_tables


def grown(folder: Path, top: Path, runs: int) -> None:
    """Copy what is read of `folder` to `top`, until it holds so many runs; each copy has seeds of its own."""
    logs = sorted(path for path in folder.rglob("log.txt*") if LOG_NAME.fullmatch(path.name))
    if not logs:
        raise InputError(f"no log.txt below {folder}; give an output folder")
    for copy in count():
        for number, log in enumerate(logs, 1):
            if copy and copy * len(logs) + number > runs:
                return
            _copy(log, top, folder, 1_000 * copy)


def _copy(log: Path, top: Path, folder: Path, more: int) -> None:
    def seeded(text: str) -> str:
        return re.sub(r"(seed_?|SEED: |seed: )(\d+)", lambda found: f"{found[1]}{int(found[2]) + more}", text)

    target = top / seeded(log.relative_to(folder).as_posix())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(seeded(log.read_text(encoding="utf-8")), encoding="utf-8")
    if (log.parent / NAME).is_file():
        write(target.parent, _of_seed(read(log.parent), more, seeded))
        if (log.parent / PREDICTIONS).is_file():
            shutil.copy(log.parent / PREDICTIONS, target.parent)


def _of_seed(record: Record, more: int, seeded: Callable[[str], str]) -> Record:
    settings = {key: seeded(value) for key, value in record.configuration.settings.items()}
    settings |= {"SEED": str(int(settings["SEED"]) + more)} if "SEED" in settings else {}
    model, data = record.model, record.dataset
    if model is not None:
        training = model.training and replace(model.training, seed=model.training.seed + more)
        model = replace(model, folder=seeded(model.folder), files=[], training=training)
    return replace(
        record,
        configuration=replace(record.configuration, settings=settings),
        dataset=data and replace(data, seed=data.seed + more),
        model=model,
    )


def tables_of(top: Path) -> tuple[float, float, int, str]:
    """Seconds of today's tables and of those on their certainty, the number of runs, and what records and logs both tell."""
    start = time.process_time()
    runs = find_runs(top).runs
    tables = build_tables(runs)
    markdown(tables.values())
    runs_csv(runs)
    seconds = time.process_time() - start
    start = time.process_time()
    markdown(behind(tables))
    certainty = time.process_time() - start
    rows = [line.rsplit(",", len(MEASURED))[0] for line in runs_csv(runs).splitlines()]
    return seconds, certainty, len(runs), "".join([markdown(tables.values()), *rows])


def page(top: Path) -> tuple[float, int]:
    """Seconds and bytes of a page, beside finding the runs."""
    found = find_runs(top)
    start = time.process_time()
    text = html(page_of(top, found, top))
    return time.process_time() - start, len(text.encode("utf-8"))


def evidence(top: Path, path: Path) -> tuple[float, float, int, str]:
    """Seconds to bundle and to verify, beside making the page, bytes of the bundle, and what the check has found."""
    found = find_runs(top)
    start = time.process_time()
    write_bundle(path, top, take(top, found), "")
    bundling, start = time.process_time() - start, time.process_time()
    verified = verify_bundle(path, lambda *_: "")
    return bundling, time.process_time() - start, path.stat().st_size, [*verified.lines()][-1]


def measure(args: argparse.Namespace) -> list[Figure]:
    with tempfile.TemporaryDirectory() as place:
        top = Path(place) / "records"
        grown(args.folder, top, args.runs)
        records = list(top.rglob(NAME))
        by_records, certainty, runs, tables = tables_of(top)
        making, page_size = page(top)
        bundling, verifying, bundle_size, said = evidence(top, Path(place) / "bundle.zip")
        shutil.copytree(top, Path(place) / "logs", ignore=shutil.ignore_patterns(NAME))
        by_logs, _, also, same = tables_of(Path(place) / "logs")
    print(f"the bundle: {said}")
    return [
        Figure(name="tables, by records", value=by_records, unit="s"),
        Figure(name="tables, by logs", value=by_logs, unit="s"),
        Figure(name="how certain they are", value=certainty, unit="s"),
        Figure(name="page", value=making, unit="s"),
        Figure(name="bundling", value=bundling, unit="s"),
        Figure(name="verifying", value=verifying, unit="s"),
        Figure(name="size of the page", value=page_size / 1e6, unit="MB"),
        Figure(name="size of the bundle", value=bundle_size / 1e6, unit="MB"),
        Figure(name="runs", value=runs, unit=""),
        Figure(name="runs, by logs", value=also, unit=""),
        Figure(name="records", value=len(records), unit=""),
        Figure(name="tables that differ between the two", value=int(tables != same), unit="", most=0),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="made by our sweeps, for example output/base2new")
    parser.add_argument("--runs", type=int, default=0, help="that many at least (default: those that there are)")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"2,000 runs": "{sweep} --runs 2000"},
    trial="--runs 0",
    needs={"sweep": "an output folder that sweeps have made, such as output/base2new"},
    repeats=None,
    threads=1,
)
