"""The experiments and the options of `caspl sweep`, as data, of which the command line, its help and completion are made."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..grids import GRIDS
from ..protocols.table import BENCHMARK, IMAGENET_VARIANTS
from ..targets import TARGETS

ENGINES = ("local", "ray", "slurm")
WIDTH = 118  # of a paragraph of the help


@dataclass(frozen=True)
class Option:
    """A word of the command line.

    Attributes:
        name: with its dashes.
        value: what stands behind it, as the help calls it; "": nothing.
        about: what it does.
        of: the experiments that have it; (): all.
        engines: those that take it, of an option about engines.
    """

    name: str
    value: str
    about: str
    of: tuple[str, ...] = ()
    engines: tuple[str, ...] = ENGINES


@dataclass(frozen=True)
class Experiment:
    """What can be swept.

    Attributes:
        summary: what it runs, in a line.
        about: what it does; the lines of the help.
        example: its options, in one.
        own: about options that it has alone.
        setting: which protocols hold (`protocols.rows.Fits`).
        datasets: the usual ones; those that have no configuration are left out.
        trainers, seeds, shots: the usual ones.
        table: the folder below --output whose results are shown in the end; None: nothing is shown.
        targets: words of which one is given, with the options.
        notes: what its help lists, name and explanation.
    """

    summary: str
    about: str
    example: str
    own: str = ""
    setting: str = ""
    datasets: tuple[str, ...] = BENCHMARK
    trainers: tuple[str, ...] = ("CoOp", "CasPL_CoOp")
    seeds: tuple[str, ...] = ("1", "2", "3")
    shots: tuple[str, ...] = ("16",)
    table: str | None = ""
    targets: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


EXPERIMENTS = {
    "phase1": Experiment(
        "boosting prompts alone, for each dataset or union of datasets",
        "Phase 1 of CasPL: boosting prompts for each dataset, from its training images without their labels. The other sweeps "
        "call for what they need; this one is for boosting prompts alone, and for more seeds.",
        '--root DATA --datasets "oxford_pets dtd"',
        "A union of datasets is written with a plus: --datasets oxford_pets+dtd. Seed 1 only, unless --seeds says more.",
        setting="phase1",
        trainers=("CasPLBoost",),
        seeds=("1",),
        table=None,  # the base-to-new tables show boosting prompts: base2new --trainers CasPLBoost
    ),
    "base2new": Experiment(
        "train on base classes, test on base and on new ones, print the harmonic means",
        "Base-to-new: train on the first half of the classes, test on it and on the other half, and print the harmonic means.",
        '--root DATA --trainers "CoOp CasPL_CoOp" --datasets "oxford_pets dtd"',
        "Its own option: --all also tests over all classes. ZeroshotCLIP, ZeroshotCLIP2 and CasPLBoost (what phase 1 alone "
        "gives) are tested only, as they see no labels.",
        setting="base2new",
        table="base2new",
    ),
    "few_shot": Experiment(
        "train and test on all classes, with 1 to 16 labelled images of each",
        "Few-shot: train and test on all classes, with 1, 2, 4, 8 and 16 labelled images of each.",
        '--root DATA --trainers "PromptSRC CasPL_PromptSRC" --datasets dtd --shots "1 4 16"',
        setting="few_shot",
        shots=("1", "2", "4", "8", "16"),
    ),
    "cross_dataset": Experiment(
        "train on ImageNet, test on the other datasets",
        "Cross-dataset: train on all classes of ImageNet, test the same prompts on the other datasets.",
        '--root DATA --trainers "MaPLe CasPL_MaPLe" --datasets "oxford_pets dtd"',
        "Its own option: --source NAME trains on another dataset than imagenet.",
        setting="transfer",
    ),
    "domain_generalization": Experiment(
        "train on ImageNet, test on ImageNetV2, -Sketch, -A and -R",
        "Domain generalisation: train on all classes of ImageNet, test the same prompts on ImageNetV2, -Sketch, -A and -R. The "
        "models are those of cross_dataset.",
        '--root DATA --trainers "CoOp CasPL_CoOp"',
        "Its own option: --source NAME trains on another dataset than imagenet.",
        setting="transfer",
        datasets=IMAGENET_VARIANTS,
    ),
    "ablations": Experiment(
        "base-to-new for each value of one way to vary CasPL",
        "Ablations of CasPL: base-to-new for each value of one grid, below OUTPUT/ablations/GRID.",
        '--root DATA --grid temperature --datasets dtd --trainers "CasPL_CoOp CasPLBoost" --seeds 1',
        'Its own options: --grid NAME, and --values "..." in place of the grid\'s usual ones. The grids:',
        setting="base2new",
        trainers=("CasPL_CoOp",),
        table="ablations/{grid}/base2new",
        notes={name: grid.about for name, grid in GRIDS.items()},
    ),
    "reproduce": Experiment(
        "everything for a table or figure of the paper, as one plan",
        "Everything for one of the paper's tables or figures, as one plan. Runs lie where the other sweeps have theirs, and "
        "what several targets need is run once. It ends with the tables and with caspl report: the page OUTPUT/report.html and "
        "the bundle OUTPUT/TARGET.zip, both of all that lies in OUTPUT.",
        "table1 --root DATA",
        "--datasets takes a part of the target's datasets; digits, which are embedded, stand in for them. The targets:",
        setting="base2new",
        targets=tuple(TARGETS),
        notes={name: target.about for name, target in TARGETS.items()},
    ),
    "demo": Experiment(
        "the whole method on real images, with no download",
        "The whole method on real images, with no download: handwritten digits, base classes zero to four, new five to nine. "
        "Prints a table and writes it, as results.* into output/demo, with report.html, one page of all of it. Run again, it "
        "skips what is finished and resumes the rest. It takes the options of base2new but --trainers and --config.",
        "",
        setting="base2new",
    ),
}
FOR_TRAINERS = ("base2new", "few_shot", "cross_dataset", "domain_generalization", "ablations", "demo")
FOR_CHOICE = (*FOR_TRAINERS, "phase1")  # all that have no target, which decides
FOR_SPLITS = ("base2new", "ablations", "demo")
FOR_TRANSFER = ("cross_dataset", "domain_generalization")

OPTIONS = (
    Option("--root", "DATA", "folder of the datasets (default data)"),
    Option("--output", "DIR", "where all runs go (default output)"),
    Option("--datasets", "NAMES", "of files in configs/datasets; lists are separated by spaces or commas"),
    Option("--trainers", "NAMES", "of folders in configs/trainers (default {trainers})", FOR_TRAINERS),
    Option("--seeds", "NUMBERS", "of the runs (default {seeds})"),
    Option("--shots", "NUMBERS", "labelled images per class (default {shots})", FOR_TRAINERS),
    Option("--all", "", "test over all classes, too", FOR_SPLITS),
    Option("--source", "NAME", "the dataset that is trained on (default imagenet)", FOR_TRANSFER),
    Option("--grid", "NAME", "what is varied", ("ablations",)),
    Option("--values", "VALUES", "of the grid, in place of the usual ones", ("ablations",)),
    Option(
        "--config",
        "NAME",
        "in place of the trainers' usual configuration; TRAINER=NAME is for one of them",
        FOR_CHOICE,
    ),
    Option(
        "--name",
        "NAME",
        "of the runs' folders, in place of the configuration's: keeps runs with other settings apart",
        FOR_CHOICE,
    ),
    Option(
        "--boosting",
        "PATH",
        "boosting prompts for all CasPL_* (default: those of phase 1, seed 1, which are trained if missing)",
        FOR_TRAINERS,
    ),
    Option("--as-published", "", "follow the published runs, too, where the protocols deviate from them on purpose"),
    Option("--no-table", "", "no table at the end, and no page and bundle"),
    Option("--dry-run", "", "print the commands that would run, and run nothing"),
)
RAY, SLURM = ("ray",), ("slurm",)
ENGINE_OPTIONS = (
    Option("--engine", "NAME", "local (default), on this machine; ray, on a cluster; slurm, as scripts for sbatch"),
    Option("--jobs", "N", "runs at a time (default 1; with GPUs as many as they have room for; slurm: of each array)"),
    Option(
        "--gpus",
        "NUMBERS",
        "local, and ray without --address: the GPUs to use (default: all that are seen), or none",
        engines=("local", "ray"),
    ),
    Option("--jobs-per-gpu", "N", "runs that share a GPU (default 1)"),
    Option(
        "--address",
        "ADDRESS",
        "ray: of the cluster's head, host:port (default: a cluster that is started here)",
        engines=RAY,
    ),
    Option("--retries", "N", "ray: how often a run is begun again whose node was lost (default 3)", engines=RAY),
    Option("--submit", "", "slurm: give the scripts to sbatch instead of printing them", engines=SLURM),
    Option(
        "--sbatch",
        "OPTIONS",
        'slurm: options for every script, such as "--partition=gpu --time=8:00:00"',
        engines=SLURM,
    ),
    Option("--setup", "FILE", "slurm: lines that every script runs first, such as module load cuda", engines=SLURM),
)


def options_of(experiment: str) -> tuple[Option, ...]:
    """All that an experiment takes."""
    return tuple(option for option in OPTIONS + ENGINE_OPTIONS if not option.of or experiment in option.of)


def usage(experiment: str, called: str) -> str:
    """What --help prints; `called` is how the command was called, without its options."""
    what = EXPERIMENTS[experiment]
    parts = [_filled(what.about), f"    {called} {what.example}".rstrip()]
    parts += [_filled(what.own)] if what.own else []
    text = "\n\n".join(parts)
    text += "".join(f"\n  {name:<12} {about}" for name, about in what.notes.items())
    own = [option for option in options_of(experiment) if option not in ENGINE_OPTIONS]
    lines = [*_lines(own, what), f"  {'-- KEY VALUE ...':<18} {PAIRS}"]
    return (
        f"{text}\n\nOptions:\n{chr(10).join(lines)}\n\nEngines:\n{chr(10).join(_lines(ENGINE_OPTIONS, what))}\n\n"
        "docs/sweeps.md says more.\n"
    )


PAIRS = "for every run of train.py whose trainer reads the key, for example -- OPTIM.LR 0.001"


def overview(called: str) -> str:
    """What --help prints without an experiment."""
    lines = [f"  {name:<22} {what.summary}" for name, what in EXPERIMENTS.items()]
    lines += [
        f"  {'protocols':<22} no runs: print which configurations and keys all these take, and where they are published"
    ]
    return (
        f"usage: {called} EXPERIMENT [OPTIONS] [-- KEY VALUE ...]\n\n"
        "All runs of an experiment, over datasets, trainers and seeds. Skips what is finished, resumes what was begun.\n\n"
        f"{chr(10).join(lines)}\n\n{called} EXPERIMENT --help shows its options; docs/sweeps.md says more.\n"
    )


def _lines(options: tuple[Option, ...] | list[Option], what: Experiment) -> Iterator[str]:
    for option in options:
        yield f"  {f'{option.name} {option.value}':<18} {about(option, what)}"


def about(option: Option, what: Experiment) -> str:
    """What an option of an experiment does."""
    return option.about.format(**{name: " ".join(getattr(what, name)) for name in ("trainers", "seeds", "shots")})


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH)
