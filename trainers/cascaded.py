"""What makes `CasPL_X` of a method X: one more, frozen group of prompts. arXiv 2409.17805, section 3.4."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor
from yacs.config import CfgNode

from caspl.checkpoints.boosting import load_boosting, same_tensors
from caspl.checkpoints.convert import published_file, read_published
from caspl.checkpoints.headers import BoostingHeader, RunHeader, read_header
from caspl.checkpoints.sources import HUB, resolve
from caspl.clip.backbones import Backbone
from caspl.ground import door
from caspl.ground.errors import InputError
from caspl.ground.keys import Key
from caspl.prompting.cascade import Cascade
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import Learner, Prompts

from .caspl_boost import KEYS as PHASE_1
from .caspl_boost import SHAPE, new_boosting

log = logging.getLogger(__name__)

KEYS = [  # lengths and depths come from the checkpoint
    Key(
        "TRAINER.CASPL.BOOSTING",
        "",
        "boosting.safetensors of phase 1, the folder that holds it, hub:ORG/NAME, or CasPL/model.pth.tar-20 of the published "
        "code (phase 2)",
    ),
    Key("TRAINER.CASPL.FREEZE", True, "False: train the boosting prompts, too (phase 2)"),
    Key(
        "TRAINER.CASPL.ONE_PHASE",
        False,
        "True: have no phase 1, but as many random tokens trained with the adapting ones (phase 2)",
    ),
    # The published code's PromptSRC does so.
    Key(
        "TRAINER.CASPL.DEPTH_OF_ADAPTING",
        False,
        "True: boosting prompts enter as many blocks as the adapting ones, whatever their own depth: deeper ones are dropped, "
        "missing ones random and frozen (phase 2)",
        recorded=True,
    ),
]


class Cascaded:
    """Mixin in front of a PromptTrainer: `class CasPL_X(Cascaded, X)` is X with boosting prompts in both towers.

    Lengths and depths come from the checkpoint TRAINER.CASPL.BOOSTING. For evaluation it may be left out: checkpoints of
    phase 2 carry the boosting prompts too.
    """

    @classmethod
    def declared(cls) -> list[Key]:
        return [*super().declared(), *PHASE_1, *KEYS]

    @classmethod
    def reads(cls, cfg: CfgNode) -> list[Key]:
        """With one phase there is no checkpoint that says how long and how deep the boosting prompts are."""
        return [*super().declared(), *KEYS, *(SHAPE if cfg.TRAINER.CASPL.ONE_PHASE else ())]

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Cascade:
        keys = self.cfg.TRAINER.CASPL
        if keys.ONE_PHASE:
            boosting = new_boosting(self.cfg, backbone)
        elif keys.BOOSTING:
            boosting = self.loaded_boosting(backbone, classnames)
        else:
            boosting = Prompts(trainable=not keys.FREEZE)
            self.phase1_names = "unknown"
        adapting = super().build_learner(backbone, classnames)
        if keys.DEPTH_OF_ADAPTING:
            boosting = _with_depth_of(adapting, boosting)
        return Cascade(adapting, boosting)

    def loaded_boosting(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        """The boosting prompts of TRAINER.CASPL.BOOSTING: a record, or a checkpoint of the published code's phase 1."""
        source, dataset = self.cfg.TRAINER.CASPL.BOOSTING, self.cfg.DATASET.NAME
        trainable = not self.cfg.TRAINER.CASPL.FREEZE
        if path := published_file(source):
            boosting, header, classes = read_published(path, backbone, trainable=trainable, dataset=dataset)
            log.info(
                "%s is of the published code and does not say what it was trained on; assumed: for %s, on all classes of %s, "
                "with the published settings",
                *(path, backbone.name, dataset),
            )
            self.compare_classes(path, classes, len(classnames))
        else:
            boosting, header = load_boosting(
                source, backbone, dataset=dataset, classnames=classnames, trainable=trainable
            )
        log.info("Boosting prompts from %s: %s", source, header)
        self.phase1_names, self.boosted_by = header.names, (str(path or source), header)
        return boosting

    def compare_classes(self, path: Path, there: int | None, here: int) -> None:
        """Warn where a phase 1 on `there` classes, None where that is not known, was not on the dataset of the `here` ones."""
        subset = self.cfg.DATASET.SUBSAMPLE_CLASSES
        if there and here != {"all": there, "base": (there + 1) // 2, "new": there // 2}[subset]:
            log.warning(
                "%s was boosted on %d classes, and %s has %d (DATASET.SUBSAMPLE_CLASSES %s): another dataset",
                *(path, there, self.cfg.DATASET.NAME, here, subset),
            )

    def check_cfg(self, cfg: CfgNode) -> None:
        super().check_cfg(cfg)
        keys = cfg.TRAINER.CASPL
        if keys.ONE_PHASE and keys.BOOSTING:
            raise InputError(
                f"TRAINER.CASPL.ONE_PHASE is True and TRAINER.CASPL.BOOSTING is {keys.BOOSTING}; with one phase there are no "
                f"boosting prompts of a phase 1, leave out one of the two"
            )

    @classmethod
    def obstacle(cls, cfg: CfgNode) -> str:
        keys = cfg.TRAINER.CASPL
        if keys.ONE_PHASE:
            return super().obstacle(cfg)
        if keys.BOOSTING:
            return _missing(keys.BOOSTING) or super().obstacle(cfg)
        return (
            f"TRAINER.CASPL.BOOSTING is empty; {cls.__name__} needs the boosting.safetensors that "
            f"{door.training()} --trainer CasPLBoost ... writes"
        )

    def train(self) -> None:
        if obstacle := self.obstacle(self.cfg):
            raise InputError(obstacle)
        super().train()

    def load_learner(self, learner: Cascade, state: dict[str, Tensor], path: Path) -> None:
        keys = self.cfg.TRAINER.CASPL
        stored = {key.removeprefix("boosting."): value for key, value in state.items() if key.startswith("boosting.")}
        frozen, given = keys.FREEZE and not keys.ONE_PHASE, keys.BOOSTING
        if not given:
            learner.boosting = _prompts(stored, trainable=not frozen).to(self.device)
            self.phase1_names = "" if keys.ONE_PHASE else _names_known(path)
        elif frozen and stored and not same_tensors(learner.boosting.state_dict(), stored):
            raise InputError(
                f"{path} was trained on other boosting prompts than {given} (TRAINER.CASPL.BOOSTING); give those that it was "
                f"trained on, or, to test it, leave the key out, since the checkpoint carries its own"
            )
        super().load_learner(learner, state, path)


def _missing(source: str) -> str:
    """What is wrong where no boosting prompts are at `source`, as a sentence; on the Hub they are not looked for."""
    if source.startswith(HUB) or published_file(source):
        return ""
    try:
        resolve(source, BoostingHeader)
    except InputError as error:
        return str(error)
    return ""


def _names_known(path: Path) -> str:
    """Whose names phase 1 knew, as the record of the run says that has left the checkpoint `path`, where there is one."""
    with suppress(InputError):
        return read_header(path.parents[1] / RunHeader.file_name, RunHeader).names
    return "unknown"


def _prompts(stored: dict[str, Tensor], trainable: bool) -> Prompts:
    """Prompts from the tensors `text.<block>` and `vision.<block>` of a checkpoint."""
    towers = {}
    for tower in ("text", "vision"):
        blocks = sum(key.startswith(f"{tower}.") for key in stored)
        missing = [f"{tower}.{block}" for block in range(blocks) if f"{tower}.{block}" not in stored]
        if missing:
            raise InputError(
                f"the checkpoint holds {blocks} {tower} entries of boosting prompts, but no {missing[0]}; take another"
            )
        towers[tower] = [stored[f"{tower}.{block}"] for block in range(blocks)]
    return Prompts(**towers, trainable=trainable)


def _with_depth_of(adapting: Learner, boosting: Prompts) -> Prompts:
    """`boosting` in as many blocks as the adapting group reaches in each tower: cut, or filled up with random prompts."""
    (group,) = adapting()
    towers = {}
    for tower in ("text", "vision"):
        own, depth = list(getattr(boosting, tower)), len(getattr(group, tower))
        length, width = own[0].shape if own else (0, 0)
        towers[tower] = own[:depth] + random_entries(length, depth - len(own), width)
    return Prompts(**towers, trainable=any(p.requires_grad for p in boosting.parameters()))
