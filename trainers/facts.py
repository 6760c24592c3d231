"""What is known of the run that a model file is of: from the file itself, else from what lies beside it.

A model file holds what was learned, which is half of a network: the other half (CLIP, fixed words, the place of the class name,
how images are prepared ...) is built from a command. So each file has an entry `run` with `Facts` about the network, and the
settings that explain them. Files of before there was the entry have less beside them, and those of other programs nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from caspl.checkpoints.family import REMEDY
from caspl.checkpoints.fields import parse, several, text
from caspl.checkpoints.headers import MOST_CLASSES, RunHeader, read_header
from caspl.ground.errors import InputError
from caspl.ground.files import load_json, regular
from caspl.ground.keys import flat
from caspl.ground.tensors.torch_files import read_entries
from caspl.ground.texts import LONGEST_NAME
from caspl.ground.yaml_files import load_yaml

log = logging.getLogger(__name__)

ENTRY = "run"  # of a model file
BESIDE = "run.json"  # the same, in the folder of model files that a host's Dassl writes, which have no such entry
LARGEST = 2**27  # bytes of the latter
RESUMED = "resume.pth.tar"  # as dassl/engine/resume.py writes it, with the whole configuration
TRAINER, BACKBONE = "TRAINER.NAME", "MODEL.BACKBONE.NAME"
CLASSES = ("DATASET.NAME", "DATASET.SUBSAMPLE_CLASSES")
OWN_CLASSES = ("DATASET.PATHS", "DATASET.CLASSNAMES")  # of own images: they may lie elsewhere and be the same
IMAGES = ("INPUT.SIZE", "INPUT.INTERPOLATION", "INPUT.TRANSFORMS", "INPUT.PIXEL_MEAN", "INPUT.PIXEL_STD")
WORDS, AFTER_NAME = "fixed words", "tokens behind the class name"
PRECISION, PREPARATION = "number format", "preparation of images"


@dataclass(frozen=True)
class Named:
    name: str
    value: str  # of a setting: as it is written behind its key on the command line


@dataclass(frozen=True)
class Facts:
    """What decides, beside the tensors of a model file, what network is tested."""

    fingerprint: str  # that of `Backbone.fingerprint`
    classnames: list[str] = several(MOST_CLASSES, text(LONGEST_NAME))
    parts: list[Named] = several(100)  # the rest of the network, by what messages call it
    settings: list[Named] = several(1_000)  # by their keys


@dataclass
class Known:
    """What is known of a run; None, and names that are missing: not known."""

    sources: tuple[Path, ...] = ()  # the files that say so
    fingerprint: str | None = None
    classnames: Sequence[str] | None = None
    parts: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


Decided = Callable[[Mapping[str, Any]], dict[str, str]]  # from settings: the parts that they alone decide


def known(entries: Mapping[str, Any], path: Path, decided: Decided) -> Known:
    """What the entries of the model file `path` say of its run, else the files beside its folder.

    Raises InputError where what they say is not as `Facts` declares it.
    """
    beside = path.with_name(BESIDE)
    source = path if ENTRY in entries else beside
    if source is beside and not beside.is_file():
        return _known_beside(path.absolute().parent.parent, decided)
    try:
        told = json.dumps(entries[ENTRY]) if source is path else regular(beside, LARGEST).read_text(encoding="utf-8")
        facts = parse(Facts, load_json(told))
    except (ValueError, TypeError, RecursionError) as error:  # also of what JSON has no words for
        raise InputError(f"what {source} says of its run: {error}; {REMEDY}") from None
    return Known((source,), facts.fingerprint, facts.classnames, by_name(facts.parts), by_name(facts.settings))


def _known_beside(folder: Path, decided: Decided) -> Known:
    """What a run of before there was the entry has left in its folder; a file that is damaged is passed over with a warning."""
    found = Known()
    for name, add in ((RunHeader.file_name, _add_prompts), (RESUMED, partial(_add_configuration, decided))):
        path = folder / name
        try:
            if path.is_file():
                add(found, path)
                found.sources += (path,)
        except (
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
            ArithmeticError,
        ) as error:  # an InputError is a ValueError
            log.warning("%s is of no use to compare the run with: %s", path, error)
    return found


def _add_prompts(found: Known, path: Path) -> None:
    header = read_header(path, RunHeader)
    keys = (TRAINER, BACKBONE, CLASSES[0], *IMAGES[:2], *IMAGES[-2:])
    images = (header.size, header.interpolation, header.mean, header.std)
    values = (header.trainer, header.backbone, header.dataset, *images)
    found.fingerprint, found.classnames = header.backbone_fingerprint, header.classnames
    found.parts[AFTER_NAME] = str(header.groups[0].after_name)
    found.settings.update(zip(keys, map(written, values), strict=True))


def _add_configuration(decided: Decided, found: Known, path: Path) -> None:
    entries, _ = read_entries(path, REMEDY)
    values = flat(load_yaml(entries["config"]))
    found.parts.update(decided(values))
    found.settings.update({key: written(value) for key, value in values.items()})


def by_name(entries: Sequence[Named]) -> dict[str, str]:
    return {each.name: each.value for each in entries}


def written(value: Any) -> str:
    """A value as it is written on the command line, before a shell's quotation marks."""
    return json.dumps(list(value)) if isinstance(value, (list, tuple)) else str(value)
