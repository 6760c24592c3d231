"""What an artefact needs and what of it is not there, in words that a user can act on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ..names import UNPUBLISHED, dataset_order, method_name
from ..reading.run import Run

SEEDS = (1, 2, 3)  # that the paper's numbers are means of
NOT_RANDOM = ("ZeroshotCLIP", "ZeroshotCLIP2")  # one run of them is all there is, whatever its seed
NO_SEED = 0  # stands for it
DIGITS = UNPUBLISHED["digits"]
MOST = 4  # names that are listed where fewer words would do
MOST_METHODS = 10  # likewise
CASCADED = " + CasPL"  # behind the names of methods

Piece = tuple[int, str]  # a seed and a part: what was tested, or how many shots
Present = tuple[str, str, int | None, str]  # a run: method, dataset, seed, part


@dataclass(frozen=True)
class Needs:
    """Runs that an artefact is made of: each method on each dataset, with each seed, in each part.

    Attributes:
        methods: as the tables call them; with the seeds that each needs, (NO_SEED,) of what is not random.
        datasets: the paper's, by their names in the tables.
        parts: such as base and new; (""): there is only one.
        words: says some of the parts, in their order.
        noun: of which the methods are too many to be listed.
    """

    methods: Mapping[str, tuple[int, ...]]
    datasets: Sequence[str]
    parts: tuple[str, ...] = ("",)
    words: Callable[[Sequence[str]], str] = str
    noun: str = "methods"

    def missing(self, there: Iterable[Present]) -> list[str]:
        """What is not among what is `there`, a phrase each; a seed None is any.

        Datasets of which nothing is there are one phrase. What is there on other datasets than the paper's is to be complete
        on them, too.
        """
        known: dict[tuple[str, str], set[Piece]] = defaultdict(set)
        for method, dataset, seed, part in there:
            own = self.methods.get(method, ())
            seeds = own if seed is None or own == (NO_SEED,) else (seed,)
            known[dataset, method] |= {(each, part) for each in seeds}
        present = sorted({dataset for dataset, _ in known}, key=dataset_order)
        if not present:
            return ["no run of it is there"]
        absent = [dataset for dataset in self.datasets if dataset not in present]
        said = self._incomplete(known, present)
        if absent:
            own = [dataset for dataset in self.datasets if dataset in present]
            said.append(f"no run on {self._absent(absent, own)}")
        return said

    def _absent(self, absent: Sequence[str], own: Sequence[str]) -> str:
        if len(absent) <= MOST:
            return listed(absent)
        if not own:
            return f"any of the paper's {len(absent)} datasets"
        return f"{len(absent)} of the paper's {len(self.datasets)} datasets (all but {listed(own)})"

    def _incomplete(self, known: Mapping[tuple[str, str], set[Piece]], present: Sequence[str]) -> list[str]:
        lacks: dict[tuple[str, frozenset[Piece]], list[str]] = defaultdict(list)  # what is lacking -> on which datasets
        for method, dataset in product(self.methods, present):
            lack = frozenset(self._wanted(method) - known.get((dataset, method), set()))
            if lack:
                lacks[method, lack].append(dataset)
        merged: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)  # detail, datasets -> methods
        for (method, lack), datasets in lacks.items():
            merged[self._detail(method, lack), tuple(datasets)].append(method)
        return [
            f"{self._methods(methods)} on {_datasets(datasets, present)}{detail}"
            for (detail, datasets), methods in merged.items()
        ]

    def _wanted(self, method: str) -> set[Piece]:
        return set(product(self.methods[method], self.parts))

    def _detail(self, method: str, lack: frozenset[Piece]) -> str:
        """Which seeds and parts; "" where it is all of them."""
        by_seed: dict[int, frozenset[str]] = {
            seed: frozenset(part for own, part in lack if own == seed) for seed in self.methods[method]
        }
        clauses = []
        for parts in sorted(set(by_seed.values()) - {frozenset()}, key=lambda parts: (-len(parts), sorted(parts))):
            seeds = [seed for seed, own in by_seed.items() if own == parts]
            ordered = [part for part in self.parts if part in parts]
            what = [] if len(ordered) == len(self.parts) else [self.words(ordered)]
            if seeds != list(self.methods[method]):
                what.append(f"seed{'s' * (len(seeds) > 1)} {listed(map(str, seeds))}")
            clauses.append(" of ".join(what))
        said = "; ".join(filter(None, clauses))
        return f", {said}" if said else ""

    def _methods(self, names: Sequence[str]) -> str:
        """Names, or how many; a method that is among them without and with CasPL stands once."""
        if len(names) > MOST_METHODS:
            every = len(names) == len(self.methods)
            return f"all {len(names)} {self.noun}" if every else f"{len(names)} of {len(self.methods)} {self.noun}"
        pairs = [name for name in names if f"{name}{CASCADED}" in names]
        singles = [name for name in names if name not in pairs and name.removesuffix(CASCADED) not in pairs]
        twins = [f"{listed(pairs)}{', each' * (len(pairs) > 1)} without and with CasPL"] if pairs else []
        return ", and ".join([*([listed(singles)] if singles else []), *twins])


def missing_on_digits_too(needs: Needs, on_digits: Iterable[str], there: Sequence[Present]) -> list[str]:
    """As `Needs.missing`, where digits need these of the methods only: that an artefact has there is told for itself."""
    small = [piece for piece in there if piece[1] == DIGITS]
    large = [piece for piece in there if piece[1] != DIGITS]
    if not small:
        return needs.missing(large)
    own = replace(needs, methods={name: needs.methods.get(name, SEEDS) for name in on_digits}, datasets=())
    none = f"no run on any of the paper's {len(needs.datasets)} datasets"
    return [*own.missing(small), *(needs.missing(large) if large else [none])]


def of_trainers(trainers: Iterable[str], seeds: tuple[int, ...] = SEEDS) -> dict[str, tuple[int, ...]]:
    """`Needs.methods` of trainers."""
    return {method_name(each): (NO_SEED,) if each in NOT_RANDOM else seeds for each in trainers}


def there(runs: Iterable[Run], part: str = "") -> list[Present]:
    """What `Needs.missing` compares, of runs; `part` is the name of the run's field that tells parts apart."""
    return [(method_name(run.trainer), run.dataset, run.seed, str(getattr(run, part)) if part else "") for run in runs]


def class_words(parts: Sequence[str]) -> str:
    """`Needs.words` of base and new."""
    return f"{listed(parts)} classes"


def listed(names: Iterable[str]) -> str:
    """For example "DTD", "DTD and EuroSAT", "DTD, EuroSAT and UCF101"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _datasets(names: Sequence[str], of: Sequence[str]) -> str:
    """Names; of many, which ones of all are not among them."""
    others = [name for name in of if name not in names]
    if len(names) > MOST and len(others) <= 2:
        return f"all {len(of)} datasets" if not others else f"all datasets but {listed(others)}"
    return listed(names)
