"""What trainers may ask of a dataset beside its images and class names, which every Dassl's datasets have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset says by its attribute `facts` what is not as usual; a host's own datasets have none.

    Attributes:
        labelled: whether its training images have labels.
        origin: what a checkpoint calls it; empty: by its name.
        class_datasets: for each class the name of the dataset that it is from; empty: all are from this one.
    """

    labelled: bool = True
    origin: str = ""
    class_datasets: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Any) -> DatasetFacts:
        """The facts of `dataset`, the usual ones where it gives none."""
        facts = getattr(dataset, "facts", None)
        return facts if isinstance(facts, cls) else cls()


def takes_training_only(data_manager: type) -> bool:
    """Whether a Dassl's DataManager loads streams, and datasets without test images; upstream's does not."""
    return getattr(data_manager, "takes_training_only", False)
