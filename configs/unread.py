"""Keys that are set and that the trainer at hand does not read: mistakes, since the run would not be the one that was meant.

Judged are the keys of the methods and of the datasets, those that nothing here reads (upstream has them), and what stands on
the command line and another key makes void. The sections that all share, such as OPTIM, are for every trainer, and what a
method learns with is no mistake in a file for one that learns nothing: the family runs zero-shot CLIP with CoOp's files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from ..ground.errors import InputError
from ..ground.keys import Key, flat, value_of
from ..ground.texts import shown
from ..ground.yaml_files import lineage
from . import find_base, published
from . import shown as shown_path

ALIKE = 0.7  # of two names, by difflib, for one to be taken for the other


class Origins:
    """Where the values of a configuration come from.

    Args:
        files: configuration files, in the order in which they were merged.
        flags: flags that were given, by the keys that they set: {"SEED": "--seed"}.
        options: the names of the keys behind the flags.
    """

    def __init__(self, files: Sequence[str], flags: Mapping[str, str], options: Iterable[str]):
        self.files, self.flags, self.options = files, flags, set(options)

    def of(self, name: str) -> str:
        """What has set the key last, in words; "" where nothing has."""
        if name in self.options:
            return "command line"
        return self.flags.get(name) or self._in_files.get(name, "")

    @cached_property
    def _in_files(self) -> dict[str, str]:
        found = {}
        for file in self.files:
            try:
                read = lineage(file, find_base)
            except InputError:  # has been said when it was merged
                continue
            for path, values in read:
                found |= dict.fromkeys(flat(values), shown_path(path))
        return found


def problems(cfg: Any, trainer: Any, keys: Sequence[Key], of_methods: Sequence[Key], origins: Origins) -> list[str]:
    """A clause for each key that is set and not read.

    Args:
        cfg: the configuration.
        trainer: the class of the trainer, which tells what it reads (`trainers.keys.Declaring`).
        keys: all keys that the configuration may have.
        of_methods: those of them that trainers declare.
    """
    read = {key.name: key for key in trainer.reads(cfg)}
    methods, declared = {key.name for key in of_methods}, {key.name for key in trainer.declared()}
    found = []
    for key in keys:
        value, where = value_of(cfg, key.name), origins.of(key.name)
        if not where:
            continue
        set_away, name = not _equal(value, key.default), trainer.__name__
        said = f"{key.name} is {shown(value)} ({where}), but"
        if key.name in methods and key.name not in read:
            ours = "" if key.name in declared else _meant(name, key.name, read)
            # A token or a depth at its default there is not ours; the number format is, and says nothing about the method
            meaning = set_away or not key.name.endswith(".PREC")
            if ours and meaning and not _equal(value, value_of(cfg, ours)):
                found.append(f"{said} {name} does not read it; it reads {ours}")
            elif set_away and not ours and (trainer.learns or key.name in origins.options):
                twin = _cascaded(trainer) if key.name == published.BOOSTING else ""
                twin = f"take --trainer {twin}, or " if twin else ""
                found.append(f"{said} {name} does not read it ({key.about}); {twin}leave it out")
        elif set_away and key.unread:
            found.append(f"{said} nothing here reads it; leave it out")
        elif set_away and key.name in trainer.passes_over:
            found.append(f"{said} {name} does not read it; leave it out")
        elif set_away and not key.is_read(cfg) and (key.name in origins.options or key.section == "DATASET"):
            other, values = key.read_with
            found.append(
                f"{said} it is read only with {other} {' or '.join(map(str, values))}; set that, too, or leave it out"
            )
    return found


def _meant(trainer: str, name: str, read: Iterable[str]) -> str:
    """The key that a trainer has for what another trainer's key is; "" where it has none."""
    if ours := published.meant(trainer, name):
        return ours
    words = {key.rpartition(".")[2]: key for key in read if key.startswith("TRAINER.")}
    close = get_close_matches(name.rpartition(".")[2], words, 1, ALIKE)
    return words[close[0]] if close else ""


def _cascaded(trainer: Any) -> str:
    """The trainer that is this one with boosting prompts; "" where there is none."""
    twins = (
        each for each in trainer.__subclasses__() if any(key.name == published.BOOSTING for key in each.declared())
    )
    return next((each.__name__ for each in twins), "")


def _equal(value: Any, other: Any) -> bool:
    plain = [list(v) if isinstance(v, (list, tuple)) else v for v in (value, other)]
    return plain[0] == plain[1]
