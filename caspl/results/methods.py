"""Which runs make one row of a table: those of one trainer and configuration."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from .names import backbone_name, method_name, method_order
from .reading.run import Run

# What tells a trainer's rows apart, from nothing to everything. A protocol may prescribe several configurations, such as
# CoOp's 50, 100 and 200 epochs for different numbers of shots: as long as no cell has two, they are one row.
DISTINCTIONS = (
    lambda run: (),
    lambda run: (_without_epochs(run.config),),
    lambda run: (run.config,),
    lambda run: (run.root,),
    lambda run: (run.config, run.root),
)

MARK = " (inductive)"  # behind the name of what knew the names of the base classes only


@dataclass(frozen=True)
class Method:
    """The runs of one row, or of one row for each dataset."""

    trainer: str
    inductive: bool
    variant: tuple[str, ...]  # what tells it from the trainer's other rows
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """As in the tables, for example CoOp + CasPL (vit_b16_ep50, 4 shots) (inductive)."""
        name = method_name(self.trainer)
        name += f" ({', '.join(self.variant)})" if self.variant else ""
        return name + (MARK if self.inductive else "")

    @property
    def configs(self) -> list[str]:
        """The configurations, each once."""
        return sorted({run.config for run in self.runs})


def group_methods(runs: Iterable[Run], *, cell: Callable[[Run], Hashable], split_shots: bool = False) -> list[Method]:
    """Methods in the order of the tables.

    `cell` says where in its row a run stands: runs of one cell never come from two configurations or from below two
    folders, those of one row never from two backbones. With `split_shots` neither do they from different numbers of shots.
    """
    trainers = defaultdict(list)
    for run in runs:
        trainers[run.trainer, run.inductive].append(run)
    methods = []
    for (trainer, inductive), own in trainers.items():
        by_model = _group(own, lambda run: (_backbone(run), f"{run.shots} shots" if split_shots else ""))
        several = [len(set(values)) > 1 for values in zip(*by_model, strict=True)]
        for model, part in by_model.items():
            shown = tuple(value for value, is_shown in zip(model, several, strict=True) if is_shown)
            for variant, members in _distinguish(part, cell).items():
                methods.append(Method(trainer, inductive, variant + shown, tuple(members)))
    return sorted(methods, key=lambda m: (method_order(m.trainer), m.inductive, [_natural(v) for v in m.variant]))


def _backbone(run: Run) -> str:
    """Runs of two backbones never share a row."""
    return "unknown backbone" if run.backbone is None else backbone_name(run.backbone)


def _distinguish(runs: list[Run], cell: Callable[[Run], Hashable]) -> dict[tuple[str, ...], list[Run]]:
    for distinction in DISTINCTIONS:
        groups = _group(runs, distinction)
        if not any(_mixed(group, cell) for group in groups.values()):
            break
    return {_whole_name(variant, group): group for variant, group in groups.items()}


def _whole_name(variant: tuple[str, ...], runs: list[Run]) -> tuple[str, ...]:
    """Without epochs are only the names of configurations that share a row."""
    configs = {_without_epochs(run.config): run.config for run in runs}
    shared = len({run.config for run in runs}) > 1
    return variant if shared else tuple(configs.get(part, part) for part in variant)


def _group(runs: list[Run], key: Callable[[Run], tuple[str, ...]]) -> dict[tuple[str, ...], list[Run]]:
    groups = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _without_epochs(config: str) -> str:
    return re.sub(r"_ep\d+", "", config)


def _mixed(runs: list[Run], cell: Callable[[Run], Hashable]) -> bool:
    origins = defaultdict(set)
    for run in runs:
        origins[cell(run)].add((run.config, run.root))
    return any(len(origin) > 1 for origin in origins.values())


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Sorting key: numbers in a text by their size."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", text)]
