"""`caspl sweep reproduce TARGET`: all runs of a table or figure of the paper as one plan, which ends in a page and a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath

from .. import grids
from ..jobs import Job, Plan
from ..place import Place
from ..plan import PLANS, Planner, each
from ..requests import Mistakes, Request, check_dataset
from ..targets import DIGITS, TARGETS, Part
from .line import DRY_RUN, NO_TABLE, Caller, Sweep, Table, Words, below, read_common, resources
from .options import EXPERIMENTS

NAME = "reproduce"


def read(words: Words, place: Place, caller: Caller, mistakes: Mistakes) -> Sweep:
    """The sweep that takes all runs of a target. Raises MistakesError."""
    target = words.target
    if target not in TARGETS:
        found = f'no target is called "{target}"' if target else f"a target is missing: {caller.name(NAME)} TARGET"
        mistakes.add(f"{found}; there are {', '.join(TARGETS)}")
        mistakes.stop()
    parts = TARGETS[target].parts
    trainers = _united(part.trainers for part in parts)
    request, engine = read_common(replace(EXPERIMENTS[NAME], trainers=trainers), words, place, caller, mistakes)
    asked = [
        (part, _request(part, request, datasets)) for part, datasets in _chosen(target, request.datasets, mistakes)
    ]
    mistakes.stop()
    jobs: dict[str, Job] = {}
    deviations: dict[str, str] = {}
    for part, own in asked:
        planner = Planner(own, mistakes, resources(engine), jobs=jobs, deviations=deviations)
        each(planner, _adding(part, planner))
    mistakes.stop()
    whole = replace(
        request,
        datasets=_united(own.datasets for _, own in asked),
        trainers=_united(own.trainers for _, own in asked),
    )
    wanted = NO_TABLE not in words.flags
    return Sweep(
        NAME,
        whole,
        engine,
        Plan(tuple(jobs.values())),
        tables=tuple(_tables(asked)) if wanted else (),
        dry_run=DRY_RUN in words.flags,
        mistakes=mistakes,
        deviations=deviations,
        bundle=below(whole.output, f"{target}.zip") if wanted else "",
    )


# ---------------------------------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------------------------------
def _chosen(target: str, asked: Sequence[str], mistakes: Mistakes) -> list[tuple[Part, tuple[str, ...]]]:
    """The parts of a target that there is something of, each with its datasets; `asked`: of these only, if there are some.

    What is left out is told.
    """
    parts = TARGETS[target].parts
    usual = _united(part.datasets for part in parts)
    reasons = [part.not_on_digits for part in parts]
    takes = f"--datasets takes {', '.join(usual)}{'' if all(reasons) else f' and {DIGITS}'}"
    for name in asked:
        if name == DIGITS and all(reasons):
            mistakes.add(f"{target} can't be had on {DIGITS}, as {reasons[0]}; {takes}")
        elif name not in (*usual, DIGITS):
            mistakes.add(f"{target} is not about {name}; {takes}")
    chosen = []
    for part in parts:
        datasets = tuple(name for name in dict.fromkeys(asked) if _is_for(part, name)) if asked else part.datasets
        if datasets:
            chosen.append((part, datasets))
        elif not mistakes.told:
            why = part.not_on_digits if set(asked) == {DIGITS} else f"which is about {' '.join(part.datasets)}"
            mistakes.tell(f"left out: {part.about}, {'as ' * (why is part.not_on_digits)}{why}")
    for name in _united(datasets for _, datasets in chosen):
        check_dataset(mistakes, name)
    return chosen


def _is_for(part: Part, dataset: str) -> bool:
    return dataset in part.datasets or (dataset == DIGITS and not part.not_on_digits)


def _request(part: Part, request: Request, datasets: tuple[str, ...]) -> Request:
    """What a part asks for."""
    what = EXPERIMENTS[part.experiment]
    source = part.datasets[0]
    transfer = what.setting == "transfer"
    return replace(
        request,
        setting=what.setting,
        datasets=tuple(dict.fromkeys((source, *datasets))) if transfer else datasets,
        trainers=part.trainers,
        usual_seeds=what.seeds,
        usual_shots=part.shots,
        source=source,
        all_classes=part.all_classes,
        pairs=(*part.keys, *request.pairs),
    )


def _adding(part: Part, planner: Planner) -> Callable[[str, str, str, str], object]:
    """What adds the runs of a part."""
    if not part.grid:
        return PLANS[part.experiment](planner)
    usual = grids.ablation(planner, part.grid, part.values)
    on_digits = grids.ablation(planner, part.grid, part.on_digits or part.values)
    return lambda dataset, *rest: (on_digits if dataset == DIGITS else usual)(dataset, *rest)


def _tables(asked: Iterable[tuple[Part, Request]]) -> Iterable[Table]:
    """One for each folder of results that lies in no other of them."""
    found = [(_folder(part, own), own) for part, own in asked]
    folders = dict.fromkeys(folder for folder, _ in found)
    for folder in folders:
        if not any(PurePath(other) in PurePath(folder).parents for other in folders):
            held = [own for name, own in found if PurePath(name).is_relative_to(folder)]
            yield Table(folder, _united(own.datasets for own in held), _united(own.trainers for own in held))


def _folder(part: Part, own: Request) -> str:
    top = f"ablations/{part.grid}/" * bool(part.grid)
    return below(own.output, f"{top}base2new" if own.setting == "base2new" else top)


def _united(lists: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """All entries, each once, in the order in which they come."""
    return tuple(dict.fromkeys(entry for entries in lists for entry in entries))
