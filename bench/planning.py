"""How long it takes to plan a whole table: the benchmark x three seeds x all methods, with all tests, and no GPU in sight.

python bench/planning.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import plain  # noqa: F401, makes the repository's modules importable
from caspl.ground import door
from caspl.sweeps import place
from caspl.sweeps.command import line, reproduce
from caspl.sweeps.command.options import EXPERIMENTS
from caspl.sweeps.jobs import Plan
from caspl.sweeps.place import Place
from caspl.sweeps.plan import PLANS, Planner, each
from caspl.sweeps.protocols.table import BENCHMARK
from caspl.sweeps.requests import Mistakes, Request

UNTESTED = ("LinearProbe",)  # knows no new classes
TARGETS = ("table1", "all")  # of the paper
ALL = ("base2new", "few_shot", "cross_dataset", "domain_generalization")


def planned(experiment: str, trainers: tuple[str, ...], datasets: tuple[str, ...] = ()) -> Plan:
    """All jobs of an experiment; `datasets` (): its usual ones."""
    what = EXPERIMENTS[experiment]
    request = Request(
        what.setting,
        datasets=datasets or what.datasets,
        trainers=trainers,
        usual_seeds=what.seeds,
        usual_shots=what.shots,
        all_classes=True,
    )
    planner = Planner(request, Mistakes(print))
    each(planner, PLANS[experiment](planner))
    planner.mistakes.stop()
    return planner.plan()


def table() -> Plan:
    """Base-to-new of the whole benchmark, every method that can be tested on new classes, with the test over all classes."""
    return planned("base2new", tuple(name for name in place.trainers() if name not in UNTESTED), BENCHMARK)


def target(name: str) -> Plan:
    """All jobs of a table or figure of the paper."""
    caller, mistakes = line.Caller(Path.cwd()), Mistakes(print)
    words = line.take_apart(reproduce.NAME, [name], caller, mistakes)
    return reproduce.read(words, Place.of_package(caller.start), caller, mistakes).plan


def main() -> None:
    door.Parser(description=__doc__.splitlines()[0]).parse_args()
    for name in ("the first time, reading configurations", "again"):
        start = time.perf_counter()
        jobs = len(table())
        print(f"base2new: {jobs} jobs in {time.perf_counter() - start:.2f} s, {name}")
    for experiment in ALL[1:]:
        start = time.perf_counter()
        jobs = len(planned(experiment, tuple(name for name in place.trainers() if name not in UNTESTED)))
        print(f"{experiment}: {jobs} jobs in {time.perf_counter() - start:.2f} s")
    for name in TARGETS:
        start = time.perf_counter()
        jobs = len(target(name))
        print(f"reproduce {name}: {jobs} jobs in {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    sys.exit(door.run(main))
