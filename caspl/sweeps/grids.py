"""The grids of the ablations: values, what a value may be, and what it changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from . import place
from .plan import CROPS, PLAIN, TEACHER_STORE, Planner
from .protocols.reading import CASCADED, PHASE_1
from .protocols.rows import Pairs
from .requests import Mistakes, Request, Variation, check_dataset, is_cascaded

TOWERS = ("TEXT", "VISION")
SHAPE = ("N_CTX_TEXT", "N_CTX_VISION", "DEPTH_TEXT", "DEPTH_VISION")


@dataclass(frozen=True)
class Change:
    """What a value of a grid changes.

    Attributes:
        own_phase1: what tells its phase 1 from others of the grid; "": it has the ordinary one.
        phase1_keys, phase2_keys: pairs KEY VALUE.
        one_phase, images: as in `Variation`.
    """

    own_phase1: str = ""
    phase1_keys: Pairs = ()
    phase2_keys: Pairs = ()
    one_phase: bool = False
    images: str = ""


Vary = Callable[[Planner, str, str, str], Change | None]  # value, dataset, trainer; None: nothing that the trainer has


@dataclass(frozen=True)
class Grid:
    """One way in which CasPL can be varied.

    Attributes:
        about: what is varied, and how a value is written.
        pattern: of a value.
        values: the usual ones.
        vary: what a value changes for a trainer on a dataset.
        on_digits: the usual values on the embedded digits, whose CLIPs are small; (): the same.
        of_phase1: it changes phase 1, and so is for CasPLBoost, too.
        plain: of a value that is for trainers without CasPL; "": none is.
    """

    about: str
    pattern: str
    values: tuple[str, ...]
    vary: Vary
    on_digits: tuple[str, ...] = ()
    of_phase1: bool = False
    plain: str = ""

    def usual(self, dataset: str) -> tuple[str, ...]:
        return self.on_digits if dataset == "digits" and self.on_digits else self.values


# ---------------------------------------------------------------------------------------------------------------------
# What a value changes
# ---------------------------------------------------------------------------------------------------------------------
def towers(node: str, name: str, tower: str, number: str) -> Pairs:
    """Such as TRAINER.CASPL.DEPTH_TEXT 6; `tower` may be "", which is both."""
    return tuple(word for each in TOWERS if tower in ("", each) for word in (f"TRAINER.{node}.{name}_{each}", number))


def adapting_length(trainer: str, number: str) -> Pairs | None:
    """The keys that give a method so many tokens; None: it has no choice."""
    node = trainer.removeprefix(CASCADED).upper()
    keys = {
        "COOP": ("TRAINER.COOP.N_CTX", number, "TRAINER.COOP.CTX_INIT", ""),  # words would fix the number
        "COCOOP": ("TRAINER.COCOOP.N_CTX", number, "TRAINER.COCOOP.CTX_INIT", ""),
        "PROGRAD": ("TRAINER.COOP.N_CTX", number),
        "MAPLE": ("TRAINER.MAPLE.N_CTX", number),
        "VPT": ("TRAINER.VPT.N_CTX_VISION", number),
        "IVLP": towers("IVLP", "N_CTX", "", number),
        "PROMPTSRC": towers("PROMPTSRC", "N_CTX", "", number),
        "CASPLBOOST": (),
    }
    return keys.get(node)


def adapting_depth(trainer: str, tower: str, number: str) -> Pairs | None:
    """The keys that let a method's tokens enter so many blocks of a tower; None: it has no such choice."""
    match trainer.removeprefix(CASCADED), tower:
        case "MaPLe", "":
            return "TRAINER.MAPLE.PROMPT_DEPTH", number
        case "VPT", "" | "VISION":
            return "TRAINER.VPT.PROMPT_DEPTH_VISION", number
        case "IVLP" | "PromptSRC" as method, _:
            return towers(method.upper(), "PROMPT_DEPTH", tower, number)
    return None


def _length(planner: Planner, value: str, dataset: str, trainer: str) -> Change | None:
    lengths, _, learnable = value.partition("_")
    adapting, _, boosting = lengths.partition("+")
    keys = adapting_length(trainer, adapting)
    if keys is None or bool(boosting) != (is_cascaded(trainer) or trainer == PHASE_1):
        return None
    if not boosting:
        return Change(phase2_keys=keys)
    keys += ("TRAINER.CASPL.FREEZE", "False") if learnable and trainer != PHASE_1 else ()
    # one phase 1 for all adapting lengths
    return Change(boosting, phase2_keys=keys, phase1_keys=towers("CASPL", "N_CTX", "", boosting))


def _depth(planner: Planner, value: str, dataset: str, trainer: str) -> Change | None:
    first, *second = [_depth_of_one(phase, trainer) for phase in value.split("+")]
    if first is None or None in second:
        return None
    return replace(first, phase2_keys=second[0].phase2_keys) if second else first


def _depth_of_one(value: str, trainer: str) -> Change | None:
    phase, *tower, number = value.split("_")
    of_tower = "".join(tower).upper()
    if phase == "boosting":
        return Change(value, phase1_keys=towers("CASPL", "DEPTH", of_tower, number))
    keys = adapting_depth(trainer, of_tower, number)
    return None if keys is None else Change(phase2_keys=keys)


def _key_of_phase1(name: str) -> Vary:
    return lambda planner, value, dataset, trainer: Change(value, phase1_keys=(f"TRAINER.CASPL.{name}", value))


def _frozen(planner: Planner, value: str, dataset: str, trainer: str) -> Change:
    return Change(phase2_keys=("TRAINER.CASPL.FREEZE", value))


def _one_phase(planner: Planner, value: str, dataset: str, trainer: str) -> Change:
    """With the lengths and depths that phase 1 would have had."""
    if value != "True":
        return Change()
    file = planner.choose(PHASE_1, dataset, 0).file
    shape = [(f"TRAINER.CASPL.{key}", _text(place.value(file, f"TRAINER.CASPL.{key}"))) for key in SHAPE]
    keys = ("TRAINER.CASPL.ONE_PHASE", "True", *(word for pair in shape for word in pair))
    return Change(phase2_keys=keys, one_phase=True)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _domain(planner: Planner, value: str, dataset: str, trainer: str) -> Change:
    images = value.replace("self", dataset)
    check_dataset(planner.mistakes, images)
    return Change(images if "+" in value else "", images=images)  # a single dataset has its ordinary phase 1


# ---------------------------------------------------------------------------------------------------------------------
# The grids
# ---------------------------------------------------------------------------------------------------------------------
DEPTHS, DEPTHS_ON_DIGITS = (1, 3, 6, 9, 12), (1, 2, 3)
DEPTH = r"(_text|_vision)?_[1-9][0-9]*"
LOSSES = ("kl", "reverse_kl", "l1", "mse", "feature")


def _depths(numbers: tuple[int, ...]) -> tuple[str, ...]:
    boosting = [f"boosting_{number}" for number in numbers]
    return (*boosting, "boosting_text_1", "boosting_vision_1", *(f"adapting_{number}" for number in numbers))


def crossed_depths(numbers: tuple[int, ...]) -> tuple[str, ...]:
    """Values of the grid `depth`: each of the numbers in phase 1 with each in phase 2."""
    return tuple(f"boosting_{first}+adapting_{second}" for first in numbers for second in numbers)


GRIDS = {
    "length": Grid(
        "tokens, adapting+boosting: 8+16; 8+16_learnable trains both in phase 2; without CasPL: 8",
        r"[1-9][0-9]*(\+[1-9][0-9]*(_learnable)?)?",
        ("4+4", "4+8", "8+4", "8+8", "8+16", "16+8", "16+16"),
        _length,
        of_phase1=True,
        plain=r"[1-9][0-9]*",
    ),
    "depth": Grid(
        "blocks that a phase enters, in both towers or in one: boosting_6, adapting_text_1, boosting_6+adapting_3",
        rf"(boosting|adapting){DEPTH}|boosting{DEPTH}\+adapting{DEPTH}",
        _depths(DEPTHS),
        _depth,
        on_digits=_depths(DEPTHS_ON_DIGITS),
        of_phase1=True,
    ),
    "frozen": Grid(
        "boosting prompts in phase 2: True, or False to train them, too", "True|False", ("True", "False"), _frozen
    ),
    "one_phase": Grid(
        "True: as many tokens without phase 1, all trained with the labels",
        "True|False",
        ("True", "False"),
        _one_phase,
    ),
    "temperature": Grid(
        "of the distillation", r"[0-9]*\.?[0-9]+", ("0.5", "1", "2", "4"), _key_of_phase1("TEMPERATURE"), of_phase1=True
    ),
    "loss": Grid(
        "kl, reverse_kl, l1, mse or feature", "|".join(LOSSES), LOSSES, _key_of_phase1("LOSS"), of_phase1=True
    ),
    "teacher": Grid(
        "a backbone: ViT-L/14",
        ".+",
        ("RN50", "ViT-B/32", "ViT-B/16", "ViT-L/14"),
        _key_of_phase1("TEACHER"),
        on_digits=("demo/student", "demo/teacher"),
        of_phase1=True,
    ),
    "domain": Grid(
        "the images of phase 1: self, another dataset, a union such as self+imagenet",
        ".+",
        ("self", "imagenet", "self+imagenet"),
        _domain,
    ),
    "names": Grid(
        "in the softmax of phase 1: all, or base for those of the base classes only",
        "all|base",
        ("all", "base"),
        _key_of_phase1("CLASSES"),
        of_phase1=True,
    ),
}


def vary(planner: Planner, name: str, value: str, dataset: str, trainer: str) -> bool:
    """Let the planner's next runs have a value of a grid; False if it is not for this trainer."""
    planner.variation = PLAIN
    change = GRIDS[name].vary(planner, value, dataset, trainer)
    if change is None:
        return False
    tag, folder = _tag(name, value), f"{planner.request.output}/ablations/{name}/boost"
    of_phase1 = _tag(name, change.own_phase1) if change.own_phase1 else ""
    planner.variation = Variation(
        tag=of_phase1 if of_phase1 and trainer == PHASE_1 else tag,
        phase1_tag=of_phase1,
        phase1_keys=change.phase1_keys,
        phase2_keys=change.phase2_keys,
        phase1_usual=_one_teacher(planner.request) if of_phase1 else (),
        one_phase=change.one_phase,
        images=change.images,
        phase1_folder=folder if of_phase1 else "",
    )
    return True


def _one_teacher(request: Request) -> Pairs:
    """What lets the phases 1 of grids ask the teacher once: all see the same crops, and its features of them are kept.

    The ordinary phase 1 goes without it, since all experiments share that.
    """
    if request.as_published or CROPS in request.pairs[::2]:
        return ()
    return CROPS, "seeded", TEACHER_STORE, f"{request.output}/stores/teacher"


def _tag(name: str, value: str) -> str:
    """The end of a folder's name."""
    return f"-{name}={re.sub('[/: ]', '_', value)}"


def check(mistakes: Mistakes, request: Request, name: str, values: tuple[str, ...]) -> None:
    """Whether there is such a grid, and these values and trainers are for it."""
    if name not in GRIDS:
        found = f'there is no grid "{name}"' if name else "--grid is missing"
        mistakes.add(f"{found}; --help lists the grids")
        return
    grid = GRIDS[name]
    for value in values:
        if not re.fullmatch(grid.pattern, value):
            mistakes.add(f'--values has "{value}", which the grid {name} does not know; --help shows what it takes')
    for trainer in request.trainers:
        plain = grid.plain and any(re.fullmatch(grid.plain, value) for value in values)
        if not is_cascaded(trainer) and trainer != PHASE_1 and not plain:
            mistakes.add(f"{trainer} has no boosting prompts to vary; the grids are for CasPL_* and {PHASE_1}")
        if trainer == PHASE_1 and not grid.of_phase1:
            mistakes.add(f"the grid {name} leaves {PHASE_1} as it is; it is for CasPL_*")
    if request.boosting and name != "frozen":
        mistakes.add(f"--boosting is of no use here, as the grid {name} decides on the boosting prompts")


def ablation(planner: Planner, name: str, values: tuple[str, ...]) -> Callable[[str, str, str, str], None]:
    """What adds base-to-new, or few-shot if that is the setting, for each value of a grid; `values` (): the usual ones."""
    top = f"{planner.request.output}/ablations/{name}"
    few_shot = planner.request.setting == "few_shot"
    run = partial(planner.few_shot, top) if few_shot else partial(planner.base2new, f"{top}/base2new")

    def add(dataset: str, trainer: str, seed: str, shots: str) -> None:
        for value in values or GRIDS[name].usual(dataset):
            if vary(planner, name, value, dataset, trainer):
                run(dataset, trainer, seed, shots)
            elif values:
                planner.mistakes.add(f"{name} {value} is nothing that {trainer} could vary")

    return add
