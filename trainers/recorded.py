"""The comparison of a model file with the command that uses it: what is tested has to be what was trained.

Facts about the network decide (facts.py); a setting that changes nothing of it may be another. Where a fact is not known, the
settings that decide it are compared.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import Enum, auto
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from caspl.checkpoints.family import REMEDY
from caspl.checkpoints.headers import RunHeader
from caspl.clip.backbones import Backbone
from caspl.clip.fingerprint import mismatch
from caspl.clip.precision import EXACTNESS, Precision, computed_in
from caspl.ground.errors import InputError
from caspl.ground.files import replacing
from caspl.ground.keys import MISSING, flat, value_of
from caspl.ground.tensors.shapes import differences, shapes_of
from caspl.ground.tensors.torch_files import read_entries
from caspl.ground.texts import as_read, shown, visible

from .facts import (
    AFTER_NAME,
    BACKBONE,
    BESIDE,
    CLASSES,
    ENTRY,
    IMAGES,
    OWN_CLASSES,
    PRECISION,
    PREPARATION,
    RESUMED,
    TRAINER,
    WORDS,
    Facts,
    Known,
    Named,
    by_name,
    known,
    written,
)

log = logging.getLogger(__name__)


class Use(Enum):
    """What a model file is read for."""

    TEST = auto()  # the network must be the run's; class-independent prompts may meet other classes
    START = auto()  # prompts to train on in a run of one's own: they must mean what they meant
    RESUME = auto()  # the run itself goes on: the classes are its own, too


# ---------------------------------------------------------------------------------------------------------------------
# What is here
# ---------------------------------------------------------------------------------------------------------------------
def preparation(values: Mapping[str, Any]) -> str:
    """How test images are prepared by the settings IMAGES, in words that are the same where it is."""
    size, interpolation, transforms, mean, deviation = (values[key] for key in IMAGES)
    steps = [f"{written(size)} pixels", interpolation]
    if "normalize" in transforms:
        steps.append(f"mean {[*map(float, mean)]}, deviation {[*map(float, deviation)]}")
    if "instance_norm" in transforms:
        steps.append("each by itself")
    return ", ".join(steps)


def unlearned(learner: nn.Module, backbone: Backbone) -> dict[str, str]:
    """What of a learner's prompts is not learned: words, and where the class name stands."""
    parts = list(learner.modules())
    words = [words for part in parts if (words := getattr(part, "words", None)) is not None and len(words)]
    after = sum(getattr(part, "after_name", 0) for part in parts)
    return {WORDS: " ".join(map(backbone.spelled, words)), AFTER_NAME: str(after)}


def model_file(folder: Path, epoch: int | None) -> Path:
    """The file of an epoch in the folder of a model; None: that of the best one."""
    return folder / ("model-best.pth.tar" if epoch is None else f"model.pth.tar-{epoch}")


class Recording:
    """Mixin in front of a trainer of Dassl's: its model files say what they are of, and it compares those that it reads.

    The trainer has `backbone` and `precision`; `node` is where its PREC is.
    """

    node = ""
    backbone: Backbone
    precision: Precision
    known_settings: Mapping[str, str] = {}  # of the run that the model file compared last is of, as far as known

    def learned(self) -> nn.Module:
        """What the model file holds."""
        raise NotImplementedError

    def class_specific(self, state: Mapping[str, Tensor]) -> bool:
        """Whether what was learned belongs to the classes of its run."""
        raise NotImplementedError

    def parts(self, learner: nn.Module) -> dict[str, str]:
        """What is neither learned nor CLIP, by names for messages."""
        return {
            **unlearned(learner, self.backbone),
            **self.decided(flat(self.cfg)),
            PRECISION: self.precision.computes_in,
        }

    @classmethod
    def decided(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Those of the `parts` that follow from the values of settings, by their keys, alone."""
        return {PREPARATION: preparation(values)}

    def deciding(self) -> dict[str, Sequence[str]]:
        """The keys that decide each of the `parts`."""
        prompts = self.recorded(self.cfg)
        return {WORDS: prompts, AFTER_NAME: prompts, PREPARATION: IMAGES, PRECISION: (f"TRAINER.{self.node}.PREC",)}

    def facts(self, learner: nn.Module) -> Facts:
        """What is tested where `learner` is."""
        keys = dict.fromkeys((*CLASSES, *OWN_CLASSES, *(key for keys in self.deciding().values() for key in keys)))
        values = {key: value_of(self.cfg, key) for key in keys}
        values |= {TRAINER: type(self).__name__, BACKBONE: self.backbone.name}
        return Facts(
            fingerprint=self.backbone.fingerprint,
            classnames=list(self.dm.dataset.classnames),
            parts=[Named(name, value) for name, value in self.parts(learner).items()],
            settings=[Named(key, written(value)) for key, value in values.items() if value is not MISSING],
        )

    def run_facts(self) -> dict[str, Any]:
        return asdict(self.facts(self.learned()))

    def save_model(self, epoch: int, directory: str, *args: Any, **kwargs: Any) -> None:
        """As Dassl's."""
        super().save_model(epoch, directory, *args, **kwargs)
        if not hasattr(super(), "run_facts"):  # a host's Dassl, whose model files have no room for them
            for name in self._models:
                with replacing(Path(directory) / name / BESIDE) as temporary:
                    temporary.write_text(json.dumps(self.run_facts()), encoding="utf-8")

    def compare(
        self, entries: Mapping[str, Any], state: Mapping[str, Tensor], path: Path, use: Use, learner: nn.Module
    ) -> None:
        """Raise InputError, with all differences and the settings to write, where the model file `path` is of another network.

        `entries` are the file's, `state` its tensors by the names of `learner`, which is to take them.
        """
        there = known(entries, path, self.decided)
        self.known_settings = there.settings
        if not there.sources:
            log.info(
                "%s does not say what it was trained as (it has no entry %s, and the folder of its run no %s and no %s), so "
                "nothing can be compared: trainer, CLIP, classes and words are taken to be those of this command",
                *(path, ENTRY, RESUMED, RunHeader.file_name),
            )
            return
        found = Comparison(there, self.facts(learner), self.deciding())
        said = [*found.clauses(use, class_specific=self.class_specific(state), fits=_fits(state, learner))]
        if said:
            told = [str(source) for source in there.sources if source != path]
            says = f" (by {' and '.join(told)})" if told else ""
            raise InputError(
                f"{path} is of another network than this command asks for{says}: {'; '.join(said)}; {found.remedy()}"
            )

    def resume_model_if_exist(self, directory: str) -> int:
        """As Dassl's. Raises InputError, as `compare`, where the model files are of another run than this one."""
        epoch = super().resume_model_if_exist(directory)
        for name in self._models if epoch else ():
            folder = Path(directory) / name
            path = folder / (folder / "checkpoint").read_text(encoding="utf-8").strip()
            entries, _ = read_entries(path, REMEDY)
            self.compare(entries, self.learned().state_dict(), path, Use.RESUME, self.learned())
        return epoch


def _fits(state: Mapping[str, Tensor], learner: nn.Module) -> bool:
    """Whether tensors have the learner's shapes. Boosting prompts that it does not have yet it takes from the file."""
    own = shapes_of(learner.state_dict())
    boosted = any(name.startswith("boosting.") for name in own)
    return not differences(
        shapes_of({name: value for name, value in state.items() if boosted or not name.startswith("boosting.")}), own
    )


# ---------------------------------------------------------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------------------------------------------------------
class Comparison:
    """A run and a command, side by side; `deciding` are the keys that decide each part."""

    def __init__(self, there: Known, here: Facts, deciding: Mapping[str, Sequence[str]]):
        self.there, self.here, self.deciding = there, here, deciding
        self.parts, self.settings = by_name(here.parts), by_name(here.settings)
        self.back: dict[str, str] = {}  # what is to be written

    def clauses(self, use: Use, *, class_specific: bool, fits: bool) -> Iterator[str]:
        """What differs and matters for `use`, a clause each; `fits`: the tensors have the shapes that are to be."""
        if use is not Use.START:
            yield from self._changed([TRAINER])
        yield from self._network()
        if class_specific or use is Use.RESUME:
            yield from self._classes(class_specific)
        asked = [WORDS, AFTER_NAME] if use is Use.START else self.parts
        other = [name for name in asked if self._is_other(name)] + ([] if fits else [WORDS])
        yield from self._changed(dict.fromkeys(key for name in other for key in self.deciding[name]))
        yield from self._unexplained(other) if fits else ()  # else the shapes say more

    def remedy(self) -> str:
        """What to do."""
        words = " ".join(f"{key} {_word(value)}" for key, value in self.back.items())
        return f"write {words}" if words else "give the settings, the CLIP and the classes of its run"

    def _changed(self, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            old, new = self.there.settings.get(name), self.settings.get(name)
            if old is not None and new is not None and old != new:
                self.back[name] = old
                yield f"{name} was {_word(old)} and is {_word(new)}"

    def _network(self) -> Iterator[str]:
        old, new = self.there.fingerprint, self.here.fingerprint
        if old is None:
            yield from self._changed([BACKBONE])
            return
        name = self.settings[BACKBONE]
        if other := mismatch(self.there.settings.get(BACKBONE, "another CLIP"), old, name, new):
            if other.name not in ("", name):
                self.back[BACKBONE] = other.name
            way = "" if other.name else f" ({other.remedy})"
            yield f"{BACKBONE} is {_word(name)}, but {other.said}{way}"

    def _classes(self, class_specific: bool) -> Iterator[str]:
        old, new = self.there.classnames, self.here.classnames
        what = "it is class-specific, for" if class_specific else "it is trained on"
        if old is None:
            yield from self._changed(CLASSES)
        elif [as_read(name) for name in old] != [as_read(name) for name in new]:
            settings = "".join(f"; {clause}" for clause in self._changed((*CLASSES, *OWN_CLASSES)))
            yield f"{what} {len(old)} classes, and here are {len(new)}, {_other_names(old, new)}{settings}"

    def _is_other(self, name: str) -> bool:
        """Whether a part is another, or not known."""
        old, new = self.there.parts.get(name), self.parts[name]
        if name == PRECISION:  # a more exact one gives the same scores, up to the rounding of the run's own
            old = old or computed_in(self.there.settings.get(self.deciding[name][0], ""))
            return old not in EXACTNESS or EXACTNESS.index(new) > EXACTNESS.index(old)
        return old != new

    def _unexplained(self, names: Iterable[str]) -> Iterator[str]:
        """Parts that are others, where the settings that decide them are not known."""
        for name in dict.fromkeys(names):
            old, new = self.there.parts.get(name), self.parts[name]
            if old not in (None, new) and not self.there.settings.keys() & set(self.deciding[name]):
                yield f"{name}: {shown(old)} there and {shown(new)} here ({', '.join(self.deciding[name])})"


def _word(value: str) -> str:
    """A value as a shell takes it for one word."""
    return visible(shlex.quote(value))


def _other_names(old: Sequence[str], new: Sequence[str]) -> str:
    """How two lists of classes differ."""
    known, here = {as_read(name) for name in old}, {as_read(name) for name in new}
    gone = [shown(name, 40) for name in old if as_read(name) not in here]
    come = [shown(name, 40) for name in new if as_read(name) not in known]
    parts = [f"{sign} {_some(names)}" for sign, names in (("without", gone), ("with", come)) if names]
    return ", ".join(parts) or "the same in another order"


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
