"""Folders of runs with predictions from which their records follow, and bundles of them that somebody has altered."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from caspl.results.bundle.writing import put
from caspl.results.records import ModelFile, Part, Record, predictions, read, sha256_of_images, write
from caspl.results.records.measures import measured
from records_made import BASE, NEW, boosting, of_a_test, record

RUN = "base2new/{}/digits/shots_16/{}/digits/seed{}"
MODEL = "prompt_learner/model.pth.tar-30"
PHASE_1 = "boost/digits/digits/seed1"
IMAGES = 40


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def run(top: Path, place: str, made: Record, *, draw: int, right: float = 0.7) -> Record:
    """Write a run with predictions of IMAGES images, about so many of them right; its record follows from them."""
    folder = top / place
    folder.mkdir(parents=True, exist_ok=True)
    random, classes = np.random.default_rng(draw), len(made.dataset.classes)
    labels = np.arange(IMAGES) % classes
    top_labels = (labels[:, None] + np.arange(min(5, classes))) % classes
    top_labels[random.random(IMAGES) > right] += 1
    top_labels %= classes
    shares = np.sort(random.dirichlet(np.ones(top_labels.shape[1]), IMAGES), axis=1)[:, ::-1].astype(np.float32)
    table = predictions.Table([f"{label}/{n:04}.png" for n, label in enumerate(labels)], labels, top_labels, shares)
    told = made.dataset.subset != "all"
    return settle(folder, made, table, told)


def settle(folder: Path, made: Record, table: predictions.Table, told: bool) -> Record:
    """The record of a run whose predictions are those of `table`, written with them."""
    said = predictions.write(folder, table)
    found = measured(
        table.labels, table.top, table.probabilities, classes=len(made.dataset.classes), split="test", told=told
    )
    part = Part(len(table.images), sha256_of_images(table.images, table.labels.tolist()))
    made = replace(made, result=found, predictions=said, dataset=replace(made.dataset, test=part))
    write(folder, made)
    return made


def method(top: Path, trainer: str, seed: int, **changes: object) -> None:
    """A training on the base classes and its test on the new ones."""
    training, test = (RUN.format(part, trainer, seed) for part in ("train_base", "test_new"))
    model = f"prompts of {trainer}, seed {seed}".encode() * 20
    (top / training / MODEL).parent.mkdir(parents=True)
    (top / training / MODEL).write_bytes(model)
    for place, make, draw in ((training, record, seed), (test, of_a_test, seed + 100)):
        draw += 1_000 * len(trainer)
        made = make(**changes)
        made = replace(
            made,
            dataset=replace(made.dataset, seed=seed, classes=list(BASE if place == training else NEW)),
            model=replace(
                made.model,
                trainer=trainer,
                folder="" if place == training else f"/home/somebody/output/{training}",
                files=[ModelFile(MODEL, sha256(model))],
                training=replace(made.model.training, seed=seed),
            ),
            configuration=replace(
                made.configuration,
                settings=made.configuration.settings
                | {"TRAINER.NAME": trainer, "SEED": str(seed), "DATASET.SUBSAMPLE_CLASSES": made.dataset.subset},
            ),
        )
        run(top, place, made, draw=draw)


def sweep(top: Path) -> Path:
    """CoOp with two seeds, CasPL_CoOp with one, and the phase 1 that it rests on: six runs in tables, one beside them."""
    prompts = b"boosting prompts" * 50
    (top / PHASE_1).mkdir(parents=True)
    (top / PHASE_1 / "boosting.safetensors").write_bytes(prompts)
    known = boosting(sha256=sha256(prompts))
    first = record(**{"boosting": replace(known, source="boosting.safetensors"), "dataset.subset": "all"})
    first = replace(
        first,
        dataset=replace(first.dataset, shots=-1, classes=BASE + NEW),
        model=replace(first.model, trainer="CasPLBoost", files=[]),
        configuration=replace(first.configuration, settings={"TRAINER.NAME": "CasPLBoost"}),
    )
    run(top, PHASE_1, first, draw=7)
    method(top, "CoOp", 1)
    method(top, "CoOp", 2)
    method(top, "CasPL_CoOp", 1, boosting=replace(known, source=f"/home/somebody/output/{PHASE_1}"))
    return top


# ---------------------------------------------------------------------------------------------------------------------
# Altering
# ---------------------------------------------------------------------------------------------------------------------
Change = bytes | None | Callable[[bytes], bytes]  # None: the member goes


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(path: Path, changes: Mapping[str, Change], *, consistent: bool = True) -> None:
    """Alter members of a bundle; `consistent`: and what its manifest says of them."""
    held = members(path)
    for name, change in changes.items():
        held[name] = change(held[name]) if callable(change) else change
    held = {name: content for name, content in held.items() if content is not None}
    if consistent:
        said = json.loads(held["bundle.json"])
        said["members"] = [
            {"name": name, "bytes": len(content), "sha256": sha256(content)}
            for name, content in held.items()
            if name != "bundle.json"
        ]
        held["bundle.json"] = json.dumps(said).encode()
    zipped(path, held)


def zipped(path: Path, held: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            put(archive, name, content)


def of_record(content: bytes, change: Callable[[Record], Record], place: Path) -> bytes:
    """A record with a change and its own checksum, as its forger would write it."""
    place.mkdir(exist_ok=True)
    (place / "run.json").write_bytes(content)
    write(place, change(read(place)))
    changed = (place / "run.json").read_bytes()
    shutil.rmtree(place)
    return changed
