"""Several datasets as one, for boosting prompts of a union of domains."""

from __future__ import annotations

from typing import Any

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum

from caspl.border.dataset_facts import DatasetFacts
from caspl.ground.errors import InputError

from .files.keys import setting
from .files.registry import register


@register
class Union(DatasetBase):
    """The datasets that DATASET.MEMBERS names, all under one root; the classes of all of them, in that order.

    Few-shot sampling and SUBSAMPLE_CLASSES apply to each member. A class name that two members have stays two classes.
    """

    def __init__(self, cfg: Any) -> None:
        """Raises InputError without members, and for a member that is named twice, is not registered or is a union itself."""
        names = tuple(setting(cfg, "MEMBERS"))
        known = [name for name in DATASET_REGISTRY.registered_names() if name not in ("Union", "UnlabeledImages")]
        wrong = [name for name in names if name not in known]
        if twice := [name for number, name in enumerate(names) if name in names[:number]]:
            raise InputError(
                f"DATASET.MEMBERS names {twice[0]} more than once, expected each dataset once; take it out"
            )
        if not names or wrong:
            raise InputError(
                f"DATASET.MEMBERS is {names}, expected the names of datasets to join, out of {', '.join(sorted(known))}"
                + (f"; {wrong[0]} is none of them" if wrong else "")
            )
        members: list[str] = []  # for each class, the dataset that it is from
        lists: dict[str, list[Datum]] = {"train_x": [], "val": [], "test": []}
        for domain, name in enumerate(names):
            member = DATASET_REGISTRY.get(name)(cfg)
            offset = len(members)
            for split, items in lists.items():
                items += [_moved(datum, offset, domain) for datum in getattr(member, split) or ()]
            members += [name] * member.num_classes
        self.facts = DatasetFacts(class_datasets=tuple(members))
        super().__init__(**lists)


def _moved(datum: Datum, offset: int, domain: int) -> Datum:
    return Datum(impath=datum.impath, label=datum.label + offset, domain=domain, classname=datum.classname)
