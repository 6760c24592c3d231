"""CasPL_<Name> for a trainer of a host that CasPL does not know: the same class, given a CLIP with boosting prompts inside.

Trainers of the CoOp family load CLIP through the function load_clip_to_cpu of their module. While a twin builds its model, what
that function gives goes through `caspl.host.graft`.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ..checkpoints.boosting import OtherStudent, read_boosting, same_tensors
from ..checkpoints.headers import BoostingHeader
from ..checkpoints.sources import resolve
from ..ground.errors import InputError, naming
from ..ground.files import replacing
from ..trainers.schedules import reconnect
from .graft import boost, is_grafted

log = logging.getLogger(__name__)

LOADER = "load_clip_to_cpu"  # the family's name of the function in a trainer's module that gives CLIP


class Grafted:
    """Mixin in front of a host's trainer: the CLIP that its build_model loads has boosting prompts inside.

    They come from TRAINER.CASPL.BOOSTING, in training and in evaluation. Every CLIP that is the student gets them, one that the
    trainer takes as a reference, too; others, such as a teacher, are left as they are.
    """

    @naming({"backbone": "MODEL.BACKBONE.NAME"})
    def build_model(self) -> None:
        """As the host's, with boosting prompts.

        Raises InputError for a configuration without them or with what needs CasPL's own trainers, for boosting prompts of
        another student, and for whatever `graft` refuses.
        """
        check_keys(self.cfg, type(self).__name__)
        booster = _Booster(self.cfg, self.dm.dataset.classnames)
        with _loading_through(_modules(type(self)), booster):
            super().build_model()
        booster.check(type(self).__name__)

    def before_train(self) -> None:
        """As the host's; then a copy of the boosting checkpoint lies in OUTPUT_DIR, for `load_model` to compare."""
        super().before_train()
        if self.output_dir:
            with replacing(Path(self.output_dir) / BoostingHeader.file_name) as copy:
                shutil.copyfile(resolve(self.cfg.TRAINER.CASPL.BOOSTING, BoostingHeader), copy)

    def resume_model_if_exist(self, directory: str) -> int:
        """As the host's, with a schedule that goes on."""
        epoch = super().resume_model_if_exist(directory)
        reconnect(self)
        return epoch

    def load_model(self, directory: str, *args: Any, **kwargs: Any) -> Any:
        """As the host's. Raises InputError where `directory` has been trained on other boosting prompts than these."""
        copy, given = Path(directory or "") / BoostingHeader.file_name, self.cfg.TRAINER.CASPL.BOOSTING
        if directory and copy.is_file() and not same_tensors(read_boosting(copy)[0], read_boosting(given)[0]):
            raise InputError(
                f"{directory} was trained on other boosting prompts than {given} (TRAINER.CASPL.BOOSTING); give its own, "
                f"{copy}"
            )
        return super().load_model(directory, *args, **kwargs)


def graftable(trainer_class: Any) -> bool:
    """Whether `grafted_trainer` can be made of it: a class that loads CLIP as the family does, and is no twin itself."""
    return isinstance(trainer_class, type) and not issubclass(trainer_class, Grafted) and bool(_modules(trainer_class))


def grafted_trainer(trainer_class: type) -> type:
    """CasPL_<Name>: a host's trainer class behind boosting prompts. Raises InputError for a class that is not graftable."""
    name = f"CasPL_{trainer_class.__name__}"
    if not graftable(trainer_class):
        raise InputError(
            f"{name} can't be made: no module of {trainer_class.__name__} has the function {LOADER}, through which the "
            f"trainers of the CoOp family load CLIP and boosting prompts are put in; load CLIP by a function of that name"
        )
    members = {
        "__module__": trainer_class.__module__,
        "__doc__": f"{trainer_class.__name__} on a CLIP with boosting prompts inside (TRAINER.CASPL.BOOSTING).",
    }
    return type(name, (Grafted, trainer_class), members)


def check_keys(cfg: Any, trainer: str) -> None:
    """Raise InputError, naming every key at once, unless TRAINER.CASPL asks for what a grafted trainer can do."""
    keys = getattr(cfg.TRAINER, "CASPL", None)
    if keys is None:
        raise InputError(
            f"the configuration has no TRAINER.CASPL, where {trainer} finds its boosting prompts; import caspl.plugin before "
            f"get_cfg_default() is called, and leave out Dassl's clean_cfg, which drops the nodes that are not named like "
            f"the trainer"
        )
    problems = [
        f"TRAINER.CASPL.{name} is {keys[name]}"
        for name, needed in (("FREEZE", True), ("ONE_PHASE", False), ("DEPTH_OF_ADAPTING", False))
        if keys.get(name, needed) != needed
    ]
    if problems:
        raise InputError(
            f"{' and '.join(problems)}, but in {trainer} the boosting prompts are a frozen part of the host's CLIP; leave the "
            f"key out, or use one of CasPL's own trainers"
        )
    if not keys.get("BOOSTING"):
        raise InputError(
            f"TRAINER.CASPL.BOOSTING is empty; {trainer} needs, in training and in evaluation, the boosting.safetensors "
            f"that python train.py --trainer CasPLBoost ... writes"
        )


class _Booster:
    """Wraps a host's load_clip_to_cpu: grafts what it gives, if it is the student, and remembers what happened."""

    def __init__(self, cfg: Any, classnames: Sequence[str]):
        self.path, self.dataset = cfg.TRAINER.CASPL.BOOSTING, cfg.DATASET.NAME
        self.backbone, self.classnames = cfg.MODEL.BACKBONE.NAME, classnames
        self.boosted = False
        self.others: list[OtherStudent] = []

    def __call__(self, load: Callable) -> Callable:
        def load_boosted(*args: Any, **kwargs: Any) -> Any:
            loaded = load(*args, **kwargs)
            self.boost(loaded[0] if isinstance(loaded, tuple) else loaded)
            return loaded

        return load_boosted

    def boost(self, clip_model: nn.Module) -> None:
        if is_grafted(clip_model):  # by a loader that this loader has called
            self.boosted = True
            return
        try:
            header = boost(clip_model, self.path, name=self.backbone, dataset=self.dataset, classnames=self.classnames)
        except OtherStudent as error:
            self.others.append(error)
            log.info("A CLIP that is not the boosting prompts' student is left as it is")
            return
        if not self.boosted:
            log.info("Boosting prompts from %s: %s", self.path, header)
        self.boosted = True

    def check(self, trainer: str) -> None:
        """Raise InputError unless a student has been boosted."""
        if self.boosted:
            return
        if self.others:
            raise self.others[0]
        raise InputError(
            f"{trainer} has built its model without a call of {LOADER}, so no boosting prompts were put in; it has to "
            f"load CLIP through that function"
        )


_loading = threading.RLock()


@contextmanager
def _loading_through(modules: Sequence[ModuleType], wrap: Callable[[Callable], Callable]) -> Iterator[None]:
    """Inside, the load_clip_to_cpu of `modules` is what `wrap` makes of it. One thread at a time."""
    with _loading:
        own = [getattr(module, LOADER) for module in modules]
        try:
            for module, load in zip(modules, own, strict=True):
                setattr(module, LOADER, wrap(load))
            yield
        finally:
            for module, load in zip(modules, own, strict=True):
                setattr(module, LOADER, load)


def _modules(trainer_class: type) -> list[ModuleType]:
    """The modules of a trainer class and its bases that have a load_clip_to_cpu."""
    modules = dict.fromkeys(sys.modules.get(base.__module__) for base in trainer_class.__mro__)
    return [module for module in modules if callable(getattr(module, LOADER, None))]
