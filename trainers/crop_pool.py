"""A few crops of each training image, encoded once: from then on a step needs no image and no image tower.

In the family an image is decoded, cropped at random and encoded again in each epoch, although nothing in the image tower of
CoOp and its relatives learns. CROP_POOL K has K crops of each image instead, those of the first K epochs of seeded crops;
epoch e takes the features of crop e mod K. With K at least the number of epochs these are the very crops of a run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from caspl.clip.feature_store import FeatureStore
from caspl.ground.errors import InputError
from caspl.ground.keys import Key, Rule
from caspl.prompting.groups import PromptGroup, vision_digest

from .crops import SEEDED, drawing_from
from .stored_features import encoded, facts, kept, own_batches

MOST_CROPS, MOST_BYTES = 1_000, 4e9  # of an image; of all features in float32
NEEDED = "seeded crops and frozen boosting prompts where crops are kept (TRAINER.CASPL.CROPS seeded), or a pool of 0"


def pool_key(node: str) -> Key:
    """CROP_POOL of a method, in its node of the configuration."""
    return Key(
        f"{node}.CROP_POOL",
        0,
        "How many crops of each training image there are, whose features are computed once; 0: a new one in each epoch",
        least=0,
        most=MOST_CROPS,
    )


def pool_rule(node: str) -> Rule:
    """Features can be kept of crops that are known beforehand, behind an image tower in which nothing learns."""
    return Rule(
        (f"{node}.CROP_POOL", "TRAINER.CASPL.CROPS", "TRAINER.CASPL.FREEZE", "TRAINER.CASPL.ONE_PHASE"),
        lambda crops, source, frozen, one_phase: not crops or source == SEEDED and frozen and not one_phase,
        NEEDED,
    )


class Pool(Dataset):
    """The features of some crops of each training image, in the place of the images.

    Attributes:
        features: by their names in a batch, for each crop: [N, E].
        epoch: which crop the next pass has: that of the epoch modulo their number.
    """

    def __init__(self, items: Sequence[Any], features: dict[str, list[Tensor]]):
        self.data_source, self.features, self.epoch = items, features, 0

    def __len__(self) -> int:
        return len(self.data_source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.data_source[index]
        crops = {name: kept[self.epoch % len(kept)][index] for name, kept in self.features.items()}
        return crops | {"label": item.label, "domain": item.domain, "impath": item.impath, "index": index}


class CropPool:
    """Mixin in front of a PromptTrainer: with CROP_POOL its batches hold image features [B, E] where others hold images."""

    def encoders(self) -> dict[str, Sequence[PromptGroup]]:
        """By the name in a batch, the prompt groups behind whose vision prompts the crops are encoded."""
        return {"img": self.model.learner()}

    def before_train(self) -> None:
        super().before_train()
        if self.keys.CROP_POOL and self.start_epoch < self.max_epoch:
            if not self.crops or self.vision_learns():  # a host's train.py knows no rules
                raise InputError(f"TRAINER.{self.node}.CROP_POOL is {self.keys.CROP_POOL}, expected {NEEDED}")
            self.pool_crops()

    def keep_images(self) -> None:
        if not self.keys.CROP_POOL:  # else nobody may need one: see `_features`
            super().keep_images()

    def pool_crops(self) -> None:
        """Put the features of all crops in the place of the training images. The random streams don't move."""
        loader = self.train_loader_x
        if isinstance(loader.dataset, Pool):  # it has been trained before
            return
        items, encoders = loader.dataset.data_source, self.encoders()
        self._refuse_many(len(items))
        distinct = {vision_digest(groups): groups for groups in encoders.values()}
        with drawing_from(bytes(16)):
            features = self._features(loader, distinct)
        pool = Pool(items, {name: features[vision_digest(groups)] for name, groups in encoders.items()})
        self.crops = [pool]
        self.train_loader_x = self.dm.train_loader_x = DataLoader(
            pool,
            batch_size=loader.batch_size,
            sampler=loader.sampler,
            drop_last=loader.drop_last,
            pin_memory=loader.pin_memory,
        )

    def _refuse_many(self, images: int) -> None:
        crops, encoders = self.keys.CROP_POOL, len(self.encoders())
        needed = 4 * images * crops * encoders * self.backbone.embedding_width
        most = int(crops * MOST_BYTES / needed)
        if needed > MOST_BYTES:
            raise InputError(
                f"TRAINER.{self.node}.CROP_POOL is {crops}, and the features of so many crops of {images:,} images take "
                f"{needed / 1e9:.1f} GB, expected at most {MOST_BYTES / 1e9:g}; set it to "
                f"{f'{most} or less' if most else 0}"
            )

    def _features(self, loader: DataLoader, distinct: dict[str, Sequence[PromptGroup]]) -> dict[str, list[Tensor]]:
        """For each of the `distinct` prompts and each crop [N, E], by the digest of the prompts."""
        dataset, nodes = loader.dataset, self.cfg.DATALOADER
        paths, transform = [item.impath for item in dataset.data_source], dataset.transform
        store = FeatureStore(self.cfg.TEST.FEATURE_STORE) if self.cfg.TEST.FEATURE_STORE else None
        whole = type(loader)(dataset, batch_size=nodes.TEST.BATCH_SIZE, num_workers=nodes.NUM_WORKERS)
        batches, several = own_batches(whole), self.keys.CROP_POOL > 1
        decode = cache(dataset.keep_images)  # once, in front of the first crop that is not found
        features: dict[str, list[Tensor]] = {digest: [] for digest in distinct}
        tasks = [(epoch, digest) for epoch in range(self.keys.CROP_POOL) for digest in distinct]
        bar = tqdm(total=len(tasks) * len(batches), desc="crops", unit="batch", leave=False, disable=None)
        with bar:
            for done, (epoch, digest) in enumerate(tasks, 1):
                self.crop_for(epoch)
                reading = _ticking(batches, bar, decode if several else None)
                compute = partial(encoded, self, reading, distinct[digest])
                known = facts(self, distinct[digest], transform) | {"epoch": epoch}
                features[digest].append(kept(store, known, paths, compute) if store else compute())
                bar.update(done * len(batches) - bar.n)  # where they were found
        return features


def _ticking(batches: Iterable[Any], bar: tqdm, begin: Callable[[], object] | None) -> Iterator[Any]:
    if begin:
        begin()
    for batch in batches:
        yield batch
        bar.update()
