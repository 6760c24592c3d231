"""The command line of `caspl sweep EXPERIMENT`: words become a request, and the request a plan.

The words are read here and not by argparse, as all mistakes are to be told at once, and values may begin with a dash.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ...ground.texts import tell, visible
from .. import grids, requests
from ..engines import gpus
from ..engines.options import EngineOptions
from ..jobs import THREADS, Plan, Resources, threads_of
from ..place import Place
from ..plan import PLANS, Planner, each
from ..requests import Mistakes, Request, check_dataset, check_numbers
from .options import ENGINE_OPTIONS, ENGINES, EXPERIMENTS, Experiment, options_of

PATHS = ("--root", "--output", "--boosting")
LISTS = ("--datasets", "--trainers", "--seeds", "--shots", "--values", "--gpus")
NUMBERS = ("--jobs", "--jobs-per-gpu", "--retries")
NO_GPUS = ("none",)
NO_TABLE, DRY_RUN = "--no-table", "--dry-run"


@dataclass(frozen=True)
class Caller:
    """Where a sweep was called, and by what.

    Attributes:
        start: the folder in which relative paths begin.
        script: it was scripts/<experiment>.sh.
    """

    start: Path
    script: bool = False

    def name(self, experiment: str) -> str:
        return f"{experiment}.sh" if self.script else f"caspl sweep {experiment}"


@dataclass
class Words:
    """The command line, taken apart.

    Attributes:
        flags: options without a value that were given.
        values: {option: its last value}.
        configs: all values of --config.
        pairs: what stands behind --.
        target: the word that is no option, of an experiment that has targets.
        help: whether --help was met; what follows it was not read.
    """

    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    configs: list[str] = field(default_factory=list)
    pairs: list[str] = field(default_factory=list)
    target: str = ""
    help: bool = False


class Table(NamedTuple):
    """The results below a folder, of some datasets and trainers."""

    folder: str
    datasets: tuple[str, ...]
    trainers: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """A sweep that was asked for rightly."""

    experiment: str
    request: Request
    engine: EngineOptions
    plan: Plan
    tables: tuple[Table, ...]  # shown in the end
    dry_run: bool
    mistakes: Mistakes
    deviations: Mapping[str, str]  # by trainer, from what is published
    bundle: str = ""  # the file that gets the bundle of the output folder, beside a page; "": there is neither


# ---------------------------------------------------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------------------------------------------------
def take_apart(experiment: str, words: Sequence[str], caller: Caller, mistakes: Mistakes) -> Words:
    """The words behind the experiment, by its options."""
    takes = {option.name: option for option in options_of(experiment)}
    found, rest = Words(), list(words)
    while rest and not found.help:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word in ("--help", "-h"):
            found.help = True
        elif word == "--":
            found.pairs, rest = rest, []
        elif EXPERIMENTS[experiment].targets and not found.target and word[:1] != "-":
            found.target = word
        elif EXPERIMENTS[experiment].targets and word in EXPERIMENTS[experiment].targets:
            mistakes.add(
                f"{caller.name(experiment)} takes one target, and {found.target} and {word} were given; run it for each"
            )
        elif option not in takes or (equals and not takes[option].value):
            mistakes.add(f"{caller.name(experiment)} has no option {word}; --help lists those that it has")
            while rest and not rest[0].startswith("-"):  # what would be its value
                rest.pop(0)
        elif not takes[option].value:
            found.flags.add(option)
        elif equals or rest:
            _take(found, mistakes, option, value if equals else rest.pop(0))
        else:
            mistakes.add(f"{word} is the last word, its value is missing")
    return found


def _take(found: Words, mistakes: Mistakes, option: str, value: str) -> None:
    if not value.strip(", "):
        mistakes.add(f"the value of {option} is empty")
    elif option == "--config":
        found.configs.append(value)
    else:
        found.values[option] = value


def split(words: str) -> tuple[str, ...]:
    """A list whose entries are separated by blanks or commas; two commas have an empty entry between them."""
    found = re.split(r" *, *| +", words.replace("\n", " ").strip(" "))
    return tuple(found[:-1] if found[-1] == "" else found)


def _check_words(words: Words, mistakes: Mistakes) -> None:
    """No word has a character that is not seen, which a terminal may obey: they are printed in commands."""
    given = {**words.values, "--config": " ".join(words.configs), "--": " ".join(words.pairs)}
    for option, value in given.items():
        if visible(value, keep="\n" if option in LISTS else "") != value:
            mistakes.add(f"the value of {option} has characters that are not seen ({value}); leave them out")


# ---------------------------------------------------------------------------------------------------------------------
# The request
# ---------------------------------------------------------------------------------------------------------------------
def read(experiment: str, words: Words, place: Place, caller: Caller, mistakes: Mistakes) -> Sweep:
    """The sweep that the words ask for. Raises MistakesError."""
    what = EXPERIMENTS[experiment]
    grid, values = words.values.get("--grid", ""), split(words.values.get("--values", ""))
    request, engine = read_common(what, words, place, caller, mistakes)
    request = _settled(experiment, what, request, mistakes)
    if experiment == "ablations":
        grids.check(mistakes, request, grid, values)
        mistakes.stop()
    planner = Planner(request, mistakes, resources(engine))
    each(planner, grids.ablation(planner, grid, values) if experiment == "ablations" else PLANS[experiment](planner))
    if not planner.jobs:
        mistakes.add(f"the grid {grid} has nothing that {' '.join(request.trainers)} could vary")
    mistakes.stop()
    tables = ()
    if what.table is not None and NO_TABLE not in words.flags:
        tables = (Table(below(request.output, what.table.format(grid=grid)), request.datasets, request.trainers),)
    dry_run = DRY_RUN in words.flags
    return Sweep(experiment, request, engine, planner.plan(), tables, dry_run, mistakes, planner.deviations)


def read_common(
    what: Experiment, words: Words, place: Place, caller: Caller, mistakes: Mistakes
) -> tuple[Request, EngineOptions]:
    """What any experiment reads first. Raises MistakesError."""
    lists = {option: split(value) for option, value in words.values.items()}
    request = _request(what, words, lists, place, caller)
    _check_words(words, mistakes)
    requests.check(mistakes, request)
    engine = _engine(words, lists, mistakes)
    if engine.setup:
        engine = replace(engine, setup=place.from_start(engine.setup, caller.start))
    mistakes.stop()
    return request, engine


def below(output: str, folder: str) -> str:
    """A folder of the output folder; "": that one."""
    return f"{output}/{folder}".rstrip("/") or "/"


def resources(engine: EngineOptions) -> Resources:
    """What each job takes."""
    return Resources(threads=_threads(engine.jobs))


def _request(
    what: Experiment, words: Words, lists: dict[str, tuple[str, ...]], place: Place, caller: Caller
) -> Request:
    paths = {
        option[2:]: place.from_start(words.values[option], caller.start) for option in PATHS if option in words.values
    }
    trainers = lists.get("--trainers", what.trainers)
    return Request(
        setting=what.setting,
        datasets=lists.get("--datasets", ()),
        trainers=trainers,
        seeds=lists.get("--seeds", ()),
        shots=lists.get("--shots", ()),
        usual_seeds=what.seeds,
        usual_shots=what.shots,
        configs=_configs(words.configs, trainers),
        name=words.values.get("--name", ""),
        source=words.values.get("--source", Request.source),
        all_classes="--all" in words.flags,
        pairs=tuple(words.pairs),
        as_published="--as-published" in words.flags,
        **paths,
    )


def _configs(values: Sequence[str], trainers: Sequence[str]) -> dict[str, str]:
    """{trainer: configuration} of --config; what is said of one trainer counts before what is said of all."""
    found = {value.partition("=")[0]: value.partition("=")[2] for value in values if "=" in value}
    for_all = [value for value in values if "=" not in value]
    return {**(dict.fromkeys(trainers, for_all[-1]) if for_all else {}), **found}


def _settled(experiment: str, what: Experiment, request: Request, mistakes: Mistakes) -> Request:
    """With the datasets of the experiment, where none were given."""
    if what.setting == "transfer":
        check_dataset(mistakes, request.source)
    if not request.datasets:
        request = replace(request, datasets=requests.usual_datasets(mistakes, what.datasets))
    mistakes.stop()
    if experiment in ("base2new", "cross_dataset", "domain_generalization"):
        requests.refuse_linear_probe(mistakes, request)
    return replace(request, datasets=(request.source, *request.datasets)) if what.setting == "transfer" else request


def _engine(words: Words, lists: dict[str, tuple[str, ...]], mistakes: Mistakes) -> EngineOptions:
    values = words.values
    for option in NUMBERS:
        none = option == "--retries" and values.get(option) == "0"
        check_numbers(mistakes, option, [values[option]] if option in values and not none else [])
    engine = values.get("--engine", "local")
    if engine not in ENGINES:
        mistakes.add(f'there is no engine "{engine}" (--engine); there are {", ".join(ENGINES)}')
        return EngineOptions()
    for option in ENGINE_OPTIONS:
        if option.name in words.flags | values.keys() and engine not in option.engines:
            engines = " and ".join(option.engines)
            mistakes.add(f"{option.name} is for --engine {engines}; leave it out, or choose that engine")
    asked = _gpus(lists["--gpus"], mistakes) if "--gpus" in lists else None
    if mistakes.told:
        return EngineOptions()
    numbers = {option: int(values[option]) for option in NUMBERS if option in values}
    return EngineOptions(
        engine,
        jobs=numbers.get("--jobs"),
        gpus=asked,
        jobs_per_gpu=numbers.get("--jobs-per-gpu", 1),
        address=values.get("--address", ""),
        retries=numbers.get("--retries", EngineOptions.retries),
        submit="--submit" in words.flags,
        sbatch=values.get("--sbatch", ""),
        setup=values.get("--setup", ""),
    )


def _gpus(words: tuple[str, ...], mistakes: Mistakes) -> tuple[str, ...]:
    if set(words) == set(NO_GPUS):
        return ()
    if set(words) & set(NO_GPUS):
        mistakes.add(f"--gpus has none beside others ({','.join(words)}); give it alone, or leave it out")
    for problem in gpus.problems([word for word in words if word not in NO_GPUS]):
        mistakes.add(problem)
    return words


def _threads(jobs: int | None) -> int | None:
    """OMP_NUM_THREADS of each run, so that runs at a time don't wait for each other's."""
    if jobs is None or jobs < 2:
        return None
    given = os.environ.get(THREADS)
    if given is not None:
        return int(given) if given.isdecimal() else None  # which each of them inherits
    return threads_of(jobs)


def tell_mistake(sentence: str) -> None:
    tell(sentence, sys.stderr)
