"""Image features in place of images, where nothing in the image tower learns: those of a fixed set of images never change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import PIL
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from caspl.clip.compiling.compiled import at_most
from caspl.clip.feature_store import FILES, FeatureStore
from caspl.ground.devices.transfers import onto
from caspl.ground.keys import Key
from caspl.ground.processes import together
from caspl.ground.stores import check_place
from caspl.ground.tensors.checksum import checksum
from caspl.prompting.groups import PromptGroup, vision_digest

if TYPE_CHECKING:
    from .prompt_trainer import PromptTrainer

log = logging.getLogger(__name__)

KEYS = [
    Key("TEST.FEATURE_STORE", "", "Folder where image features of test sets are kept and found again; empty: nowhere"),
]


def facts(trainer: PromptTrainer, groups: Sequence[PromptGroup], transform: Any) -> dict[str, Any]:
    """What decides the features of an image behind the vision prompts of `groups`, but for the image itself."""
    backbone, precision, inputs = trainer.backbone, trainer.precision, trainer.cfg.INPUT
    return {
        "network": backbone.fingerprint,
        "vision prompts": vision_digest(groups),
        "precision": [precision.name, precision.device_type],
        "input": {key: str(inputs[key]) for key in ("SIZE", "INTERPOLATION", "PIXEL_MEAN", "PIXEL_STD")},
        "transform": str(transform),
        "weights": checksum(backbone.model.visual.state_dict()),  # every bit: fingerprints are of half precision
        "Pillow": PIL.__version__,  # which decodes and resizes
    }


@at_most("off")
@torch.no_grad()
def encoded(trainer: PromptTrainer, batches: Iterable[dict[str, Any]], groups: Sequence[PromptGroup]) -> Tensor:
    """Normalised features [N, E] behind the vision prompts of `groups`, in the order of the loader's list of images.

    `batches` are those of this process (`own_batches`); the features are those of all images.
    """
    prompted, features, places = trainer.model.prompted, [], []
    with trainer.precision.autocast():
        for batch in batches:
            features.append(prompted.image_features(*onto(trainer.device, batch["img"]), groups))
            places.append(batch["index"])
    features = [torch.cat(features).cpu()] if features else []
    shared = together.gathered(lambda: (features, places))
    features, places = ([part for parts in each for part in parts] for each in zip(*shared, strict=True))
    return torch.cat(features)[torch.cat(places).argsort()]


def own_batches(loader: DataLoader) -> Iterable[dict[str, Any]]:
    """The batches of a loader that this process of a job encodes: every so-maniest."""
    return loader.every(together.count(), together.number()) if together.count() > 1 else loader


def kept(store: FeatureStore, known: dict[str, Any], paths: Sequence[str], compute: Callable[[], Tensor]) -> Tensor:
    """The features of images out of `store`, else what `compute` gives, which all processes of a job do together."""
    if not together.is_first():
        asked = together.once(lambda: None)
        return compute() if asked else together.once(lambda: None)
    asked = []

    def begin() -> Tensor:
        asked.append(together.once(lambda: True))
        return compute()

    features = store.get(known, paths, begin)
    if not asked:
        together.once(lambda: False)
        together.once(lambda: features)
    return features


class StoredFeatures:
    """The batches of a loader, with image features out of a store in place of images."""

    def __init__(self, loader: DataLoader, trainer: PromptTrainer):
        self.loader, self.trainer = loader, trainer
        self.store = FeatureStore(trainer.cfg.TEST.FEATURE_STORE)

    def __len__(self) -> int:
        return len(self.loader)

    @property
    def dataset(self):
        return self.loader.dataset

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        items, size = self.loader.dataset.data_source, self.loader.batch_size
        groups = self.trainer.model.learner()
        known = facts(self.trainer, groups, self.loader.dataset.transform)
        paths = [item.impath for item in items]
        features = kept(self.store, known, paths, partial(encoded, self.trainer, own_batches(self.loader), groups))
        features, labels = onto(self.trainer.device, features, torch.tensor([item.label for item in items]))
        for first in range(0, len(items), size):
            yield {"img": features[first : first + size], "label": labels[first : first + size]}


class FromStore:
    """Mixin in front of a trainer of Dassl's that has a `model` with a learner of prompts, a `backbone` and a `precision`."""

    def vision_learns(self) -> bool:
        """Whether something in the image tower is trained, so that no features can be kept."""
        return any(entry.requires_grad for group in self.model.learner() for entry in group.vision)

    def use_feature_store(self) -> None:
        """Let TEST.FEATURE_STORE replace the images of evaluations, where nothing in the image tower learns."""
        if not self.cfg.TEST.FEATURE_STORE or self.test_loader is None:
            return
        if self.vision_learns():
            log.info("Image features are not kept (TEST.FEATURE_STORE): something in the image tower learns")
            return
        check_place(self.cfg.TEST.FEATURE_STORE, "TEST.FEATURE_STORE", FILES)
        self.test_loader = StoredFeatures(self.test_loader, self)
        self.val_loader = StoredFeatures(self.val_loader, self) if self.val_loader is not None else None
