"""The teacher's image features in phase 1, out of a store where they are: they never change, whatever the student is.

A row is named by the pixels that the teacher is to see, so it serves every seed, length, depth, loss, temperature, template and
list of classes, and can't be that of another image or crop. With seeded crops (crops.py) all of these see the same ones.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from caspl.clip.compiling.compiled import at_most
from caspl.ground.devices.transfers import onto
from caspl.ground.keys import Key
from caspl.ground.stores import check_place
from caspl.ground.stores.facts import NAME as FACTS_FILE
from caspl.ground.stores.facts import Facts
from caspl.ground.stores.rows import Rows
from caspl.prompting.distillation import Teacher

from .crops import SEEDED

log = logging.getLogger(__name__)

FORMATS = {"fp32": torch.float32, "fp16": torch.float16}
STORE = "TRAINER.CASPL.TEACHER_STORE"
KEYS = [
    Key(
        STORE,
        "",
        "Folder where the teacher's image features are kept and found again, by runs with other seeds, prompts or losses too; "
        "empty: nowhere (phase 1)",
    ),
    Key(
        "TRAINER.CASPL.TEACHER_STORE_GB",
        50.0,
        "Size of that folder in GB from which on nothing is added (phase 1)",
        least=0,
        most=1_000_000,
    ),
    Key(
        "TRAINER.CASPL.TEACHER_FORMAT",
        "fp32",
        "Number format that the teacher's image features are rounded to, with or without a store: fp32, or fp16 in half the "
        "space (phase 1)",
        choices=tuple(FORMATS),
    ),
]
NAMES = "pixels"  # of a batch: the names of its images' rows


def row_name(image: Tensor) -> bytes:
    """16 bytes that say what the pixels of an image [3, H, W] are: SHA-256, which processors compute by instructions."""
    image = image.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{image.dtype} {tuple(image.shape)} ".encode())
    digest.update(image.view(torch.uint8).numpy())
    return digest.digest()[:16]


class Naming:
    """What a loader's workers make a batch with: as before, and the names of its images."""

    def __init__(self, collate: Callable[[list], Any]):
        self.collate = collate

    def __call__(self, items: list) -> Any:
        batch = self.collate(items)
        if isinstance(batch, dict) and isinstance(batch.get("img"), Tensor):
            batch[NAMES] = [row_name(image) for image in batch["img"]]
        return batch


class StoredTeacher:
    """Mixin in front of a trainer of Dassl's with a `teacher`; its batches are named where there is a store.

    Attributes:
        rows: of the store, from `open_store` on; None: there is none.
    """

    teacher: Teacher
    rows: Rows | None = None
    _named: tuple[Tensor | None, Sequence[bytes] | None] = None, None  # the images of a batch and their names

    def build_data_loader(self) -> None:
        super().build_data_loader()
        if self.keys.TEACHER_STORE:
            check_place(self.keys.TEACHER_STORE, STORE, f"*/{FACTS_FILE}")
            loader: DataLoader = self.train_loader_x
            loader.collate_fn = Naming(loader.collate_fn)

    def open_store(self) -> None:
        """Called when there is a `teacher`."""
        keys, precision = self.keys, self.precision
        if not keys.TEACHER_STORE:
            return
        facts = {
            **self.teacher.image_facts(),
            "precision": f"{precision.name} {precision.device_type}",
            "rows": keys.TEACHER_FORMAT,
        }
        self.rows = Rows(
            keys.TEACHER_STORE,
            Facts("teacher", facts, {"teacher": keys.TEACHER}),
            width=self.teacher.classes.shape[-1],
            format=str(FORMATS[keys.TEACHER_FORMAT]).removeprefix("torch."),
            most=keys.TEACHER_STORE_GB,
        )
        log.info("The teacher's image features are kept in %s", self.rows.folder)
        if keys.CROPS != SEEDED:
            log.warning(
                "They serve only this run, should it be repeated: set TRAINER.CASPL.CROPS %s for crops that others see, too",
                SEEDED,
            )

    def train(self) -> None:
        try:
            super().train()
        finally:
            if self.rows is not None:
                self.rows.publish()
                log.info(
                    "Of the teacher's features of %s images %s were in the store",
                    f"{self.rows.asked:,}",
                    f"{self.rows.found:,}",
                )

    def after_epoch(self) -> None:
        if self.rows is not None:
            self.rows.publish()
        super().after_epoch()

    def parse_batch_train(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        images, labels = super().parse_batch_train(batch)
        self._named = images, batch.get(NAMES)
        return images, labels

    def teacher_features(self, images: Tensor) -> Tensor:
        """The teacher's normalised features [B, E] of the student's images [B, 3, H, W], rounded to TEACHER_FORMAT."""
        dtype = FORMATS[self.keys.TEACHER_FORMAT]
        if self.rows is None:
            features = self.teacher.image_features(images)
            return features if dtype == torch.float32 else features.to(dtype).to(features.dtype)
        names = self._names(images)
        rows, known = self.rows.get(names)
        features, missing = torch.from_numpy(rows), torch.from_numpy(~known)
        if not known.all():
            self.teacher.backbone.place_image_tower(images.device)  # left where it is until somebody needs it
            seen = images[missing.to(images.device)] if known.any() else images
            with at_most("off"):
                features[missing] = self.teacher.image_features(seen).to("cpu", dtype)
            self.rows.add(
                [name for name, there in zip(names, known, strict=True) if not there], features[missing].numpy()
            )
        return onto(images.device, features.to(self.precision.weights))[0]

    def _names(self, images: Tensor) -> Sequence[bytes]:
        batch, names = self._named
        return names if names is not None and batch is images else [row_name(image) for image in images.cpu()]
