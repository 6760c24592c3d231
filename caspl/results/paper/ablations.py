"""How long and how deep the prompts of both phases are: Tables 5 and 6, Figure 4.

The runs are those of the grids `length` and `depth` of `caspl sweep ablation`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ..figures import heat
from ..figures.style import mean
from ..names import BENCHMARK, PUBLISHED_BACKBONES, dataset_order, method_name
from ..published import Value, value
from ..reading.run import BASE_TO_NEW, Run
from ..tables import Cell, Row, Table, base_to_new
from .artefact import Artefact, Picture
from .needs import SEEDS, Needs, class_words, missing_on_digits_too
from .selection import CASCADED, CLASSES, HM, SHOTS, complete, over, reproduce, seeds_of

DATASETS = BENCHMARK[1:]  # without ImageNet
PAPER = "CasPL_PromptSRC"
DEPTHS, LENGTHS = (1, 3, 6, 9, 12), (4, 8, 16)
DEPTHS_ON_DIGITS = (1, 2, 3)  # its CLIPs have no more blocks for text


class Pair(NamedTuple):
    """How many tokens, or blocks that they enter, each phase has; and whether phase 2 trains boosting prompts, too."""

    boosting: int
    adapting: int
    learnable: bool = False


def depths(written: str) -> Pair | None:
    """Of a value of the grid `depth` such as boosting_6+adapting_3; None for those that vary one phase, or one tower."""
    found = re.fullmatch(r"boosting_(\d+)\+adapting_(\d+)", written)
    return Pair(int(found[1]), int(found[2])) if found else None


def lengths(written: str) -> Pair | None:
    """Of a value of the grid `length` such as 8+16 or 8+16_learnable, adapting first; without CasPL 8."""
    found = re.fullmatch(r"(\d+)(?:\+(\d+)(_learnable)?)?", written)
    return Pair(int(found[2] or 0), int(found[1]), bool(found[3])) if found else None


Values = dict[Hashable, list[Run]]  # the runs of each value of a grid


def table5(runs: Sequence[Run]) -> Artefact:
    own = _of_grid(runs, "depth")
    tables, pictures = [], []
    for trainer, values in _by_trainer(own, depths).items():
        name = method_name(trainer)
        table, heats = _map(values, f"Harmonic means of {name} by depth", partial(_published_depth, trainer))
        tables.append(table)
        numbers = _numbers(values)
        drawn = partial(heat.maps, [replace(heats, title=_over(values))], *numbers, *_axes("depth of {} prompts"))
        pictures.append(Picture(f"table5-{trainer}", _said(table), drawn))
    tables += _one_sided(own)
    return Artefact(
        name="table5",
        title="Table 5: depth of the prompts",
        about="Into how many blocks boosting and adapting prompts enter, in both towers; the best has a frame.",
        tables=tables,
        pictures=pictures,
        missing=_missing(own, depths, _crossed(DEPTHS), _crossed(DEPTHS_ON_DIGITS), "pairs of depths"),
        command=reproduce("table5", runs),
    )


def fig4(runs: Sequence[Run]) -> Artefact:
    own = [run for run in _of_grid(runs, "length") if run.trainer.startswith(CASCADED)]
    tables, pictures = [], []
    for trainer, values in _by_trainer(own, lengths).items():
        name = method_name(trainer)
        heats = []
        for learnable in (False, True):
            part = {pair: each for pair, each in values.items() if pair.learnable == learnable}
            kind = "learnable" if learnable else "frozen"
            if part:
                title = f"Harmonic means of {name} by number of tokens, boosting prompts {kind}"
                table, drawn = _map(part, title, partial(_published_length, trainer), values)
                tables.append(table)
                heats.append(replace(drawn, title=f"boosting prompts {kind}, {_over(values)}"))
        drawing = partial(heat.maps, heats, *_numbers(values), *_axes("number of {} tokens"))
        pictures.append(Picture(f"fig4-{trainer}", "; ".join(map(_said, tables[-len(heats) :])), drawing))
    wanted = [pair._replace(learnable=learnable) for learnable in (False, True) for pair in _crossed(LENGTHS)]
    return Artefact(
        name="fig4",
        title="Figure 4: number of tokens",
        about="How many boosting and adapting tokens there are, and whether phase 2 trains the boosting ones, too.",
        tables=tables,
        pictures=pictures,
        missing=_missing(own, lengths, wanted, wanted, "pairs of lengths"),
        command=reproduce("fig4", runs),
    )


def table6(runs: Sequence[Run]) -> Artefact:
    own = _of_grid(runs, "length")
    tables = []
    for trainer, boosted in _by_trainer([run for run in own if run.trainer.startswith(CASCADED)], lengths).items():
        plain = trainer.removeprefix(CASCADED)
        alone = _by_trainer([run for run in own if run.trainer == plain], lengths).get(plain, {})
        totals = sorted({8, 16} | {pair.adapting for pair in alone})
        values = {
            (total, pair): each
            for total in totals
            for part in (alone, boosted)
            for pair, each in sorted(part.items())
            if pair.boosting + pair.adapting == total and not pair.learnable
        }
        if values:
            tables.append(_equal_tokens(plain, values))
    methods = {
        **{f"PromptSRC with {n} adapting": SEEDS for n in (8, 16)},
        **{f"PromptSRC + CasPL with {n} boosting + {n} adapting": SEEDS for n in (4, 8)},
    }
    present = [
        (f"{method_name(run.trainer)} with {_tokens(pair)}", run.dataset, run.seed, run.classes)
        for run in own
        if run.trainer in (PAPER, PAPER.removeprefix(CASCADED)) and not (pair := lengths(run.varied[1])).learnable
    ]
    needs = Needs(methods, DATASETS, parts=CLASSES, words=class_words)
    return Artefact(
        name="table6",
        title="Table 6: the same number of tokens",
        about="Whether two phases are better than one that has as many tokens.",
        tables=tables,
        pictures=[],
        missing=needs.missing(present),
        command=reproduce("table6", runs),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------
def _of_grid(runs: Iterable[Run], grid: str) -> list[Run]:
    """The base-to-new runs of a grid."""
    return [
        run
        for run in runs
        if run.setting == BASE_TO_NEW
        and run.classes in CLASSES
        and run.shots == SHOTS
        and not run.inductive
        and (varied := run.varied) is not None
        and varied[0] == grid
        and (grid != "length" or lengths(varied[1]) is not None)
    ]


def _by_trainer(runs: Iterable[Run], read: Callable[[str], Pair | None]) -> dict[str, Values]:
    """The runs of each pair of values, by trainer, of the datasets that its pairs have in common."""
    found: dict[str, Values] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        pair = read(run.varied[1])
        if pair is not None:
            found[run.trainer][pair].append(run)
    return {trainer: common for trainer, values in found.items() if (common := _comparable(values))}


def _comparable(values: Values) -> Values:
    """The values that have base and new classes, on the datasets that all of them have; else on the one that most have."""
    having = {key: complete(runs) for key, runs in values.items()}
    having = {key: datasets for key, datasets in having.items() if datasets}
    if not having:
        return {}
    common = set.intersection(*having.values())
    if not common:
        counts = sorted({name for datasets in having.values() for name in datasets}, key=dataset_order)
        common = {max(counts, key=lambda name: sum(name in datasets for datasets in having.values()))}
    return {
        key: [run for run in values[key] if run.dataset in common]
        for key, datasets in having.items()
        if datasets >= common
    }


def _results(runs: Sequence[Run]) -> tuple[Row, Table]:
    """The row of base, new and HM over the datasets of runs of one trainer and value, and its table for the notes."""
    table = base_to_new(runs)
    averages = [row for row in table.rows if row.average]
    return (averages or table.rows)[0], table


def _datasets(values: Mapping[Hashable, Sequence[Run]]) -> list[str]:
    return sorted({run.dataset for runs in values.values() for run in runs}, key=dataset_order)


def _over(values: Values) -> str:
    return over(_datasets(values))


# ---------------------------------------------------------------------------------------------------------------------
# Tables and maps
# ---------------------------------------------------------------------------------------------------------------------
def _numbers(values: Iterable[Pair]) -> tuple[list[str], list[str]]:
    """Of boosting and of adapting, as they stand at the axes."""
    pairs = [*values]
    return (
        [str(number) for number in sorted({pair.boosting for pair in pairs})],
        [str(number) for number in sorted({pair.adapting for pair in pairs})],
    )


def _axes(text: str) -> tuple[str, str, str]:
    return text.format("boosting"), text.format("adapting"), "harmonic mean (%)"


def _map(
    values: Values, title: str, published: Callable[[Pair, list[str]], Value | None], axes: Values | None = None
) -> tuple[Table, heat.Heat]:
    """A table with a row for each number of boosting and a column for each of adapting, and the same as a map."""
    rows, columns = _numbers(axes or values)
    of = {pair[:2]: runs for pair, runs in values.items()}
    table = Table(f"{title}, {_over(values)}", [f"{number} adapting" for number in columns])
    datasets = _datasets(values)
    for boosting in rows:
        cells: list[Cell | str | None] = []
        for adapting in columns:
            runs = of.get((int(boosting), int(adapting)))
            if runs is None:
                cells.append(None)
                continue
            row, _ = _results(runs)
            pair = Pair(int(boosting), int(adapting), next(iter(values)).learnable)
            cells.append(replace(row.cells[HM], published=published(pair, datasets)))
        table.rows.append(Row(f"{boosting} boosting", seeds_of(cells), cells))
    return table, heat.Heat(table.title, [[mean(cell) for cell in row.cells] for row in table.rows])


def _one_sided(runs: Iterable[Run]) -> list[Table]:
    """A table for each trainer of the values that vary the depth of one phase, or of one tower of it."""
    found: dict[str, Values] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        written = run.varied[1]
        if depths(written) is None:
            found[run.trainer][written].append(run)
    tables = []
    for trainer, values in found.items():
        common = _comparable(values)
        if common:
            title = f"{method_name(trainer)} with one depth varied, {_over(common)}"
            ordered = sorted(common, key=lambda key: (key.rpartition("_")[0], int(key.rpartition("_")[2])))
            tables.append(_listing(title, {key.replace("_", " "): common[key] for key in ordered}))
    return tables


def _listing(
    title: str, values: Mapping[str, Sequence[Run]], published: Mapping[str, list[Value | None]] | None = None
) -> Table:
    """A row of base, new and HM for each value."""
    table = Table(title, ["base", "new", "HM"], beside=True)
    for name, runs in values.items():
        row, whole = _results(runs)
        cells = [
            replace(cell, published=beside)
            for cell, beside in zip(row.cells[:3], (published or {}).get(name, [None] * 3), strict=True)
        ]
        table.rows.append(Row(name, row.seeds or seeds_of(cells), cells))
        table.notes += [note for note in whole.notes if note not in table.notes]
    return table


def _equal_tokens(plain: str, values: Values) -> Table:
    values = _comparable(values)
    datasets = _datasets(values)
    names, published = {}, {}
    for (_, pair), runs in values.items():
        method = plain if not pair.boosting else f"{plain} + CasPL"
        name = f"{method} ({_tokens(pair)})"
        names[name] = runs
        called = f"{plain}{'+CasPL' * bool(pair.boosting)} ({_tokens(pair)})"
        published[name] = [
            value("ablation_tokens/avg10", called, metric) if _compares(runs, datasets) else None
            for metric in ("base", "new", "hm")
        ]
    return _listing(f"{plain} with the same number of tokens, {over(datasets)}", names, published)


def _tokens(pair: Pair) -> str:
    return f"{pair.boosting} boosting + {pair.adapting} adapting" if pair.boosting else f"{pair.adapting} adapting"


def _said(table: Table) -> str:
    best = max(
        (
            (cell.mean, row.method, column)
            for row in table.rows
            for column, cell in zip(table.columns, row.cells, strict=True)
            if cell
        ),
    )
    return f"{table.title}: best {best[0]:.2f} at {best[1]}, {best[2]}"


# ---------------------------------------------------------------------------------------------------------------------
# Published numbers, and what is missing
# ---------------------------------------------------------------------------------------------------------------------
def _compares(runs: Iterable[Run], datasets: Sequence[str]) -> bool:
    """Whether the paper's numbers are of the same datasets and CLIP."""
    return set(datasets) == set(DATASETS) and all(run.backbone in (None, *PUBLISHED_BACKBONES) for run in runs)


def _published_depth(trainer: str, pair: Pair, datasets: Sequence[str]) -> Value | None:
    if trainer != PAPER or set(datasets) != set(DATASETS):
        return None
    called = f"PromptSRC+CasPL (boosting depth {pair.boosting}, adapting depth {pair.adapting})"
    return value("ablation_depth/avg10", called, "hm")


def _published_length(trainer: str, pair: Pair, datasets: Sequence[str]) -> Value | None:
    if trainer != PAPER or pair.learnable or set(datasets) != set(DATASETS):
        return None
    return value("ablation_tokens/avg10", f"PromptSRC+CasPL ({_tokens(pair)})", "hm")


def _crossed(numbers: Sequence[int]) -> list[Pair]:
    return [Pair(boosting, adapting) for boosting in numbers for adapting in numbers]


def _missing(
    runs: Iterable[Run],
    read: Callable[[str], Pair | None],
    wanted: Sequence[Pair],
    on_digits: Sequence[Pair],
    noun: str,
) -> list[str]:
    """Of the paper's method."""
    there = [
        (_called(pair), run.dataset, run.seed, run.classes)
        for run in runs
        if run.trainer == PAPER and (pair := read(run.varied[1])) is not None
    ]
    needs = Needs({_called(pair): SEEDS for pair in wanted}, DATASETS, CLASSES, class_words, noun)
    return missing_on_digits_too(needs, map(_called, on_digits), there)


def _called(pair: Pair) -> str:
    return f"boosting {pair.boosting} with adapting {pair.adapting}{' (learnable)' * pair.learnable}"
