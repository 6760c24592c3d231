"""How long it takes to plan a whole table: the benchmark x three seeds x all methods, with all tests, and no GPU in sight.

python -m bench planning
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure
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


def measure(args: argparse.Namespace) -> list[Figure]:
    tested = tuple(name for name in place.trainers() if name not in UNTESTED)
    plans: dict[str, Callable[[], Plan]] = {
        "base2new, the first time, reading configurations": table,
        "base2new": table,
    }
    plans |= {experiment: lambda experiment=experiment: planned(experiment, tested) for experiment in ALL[1:]}
    plans |= {f"reproduce {name}": lambda name=name: target(name) for name in TARGETS}
    found = []
    for name, plan in plans.items():
        start = time.perf_counter()
        jobs = len(plan())
        found.append(Figure(name=name, value=time.perf_counter() - start, unit="s"))
        found.append(Figure(name=f"{name}: jobs", value=jobs, unit="jobs"))
    return found


BENCH = Benchmark(__name__, __doc__, measure, repeats=None)
