"""What the record of a run says, in words: groups of names and values. An unknown value has no line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...ground.texts import as_typed, counted
from ..reading.run import Run
from ..records import Record
from ..records.schema import Boosting, Cost, Dataset, Model, Part, Predictions, Protocol, Result

SHORT = 12  # digits of a checksum that are shown
NAMES = 12  # class names that are listed
LABELS = {"none": "none", "shots": "of some images of each class", "all": "of all training images"}
WHOSE = {"all": "all classes", "base": "the base classes only", "new": "the new classes only"}
EPOCHS = {
    "last_step": "the last one of training",
    "val": "the best one on validation images",
    "test": "the best one on test images",
    "given": "given by --load-epoch",
}


@dataclass(frozen=True)
class Facts:
    """Facts of one kind, by their names."""

    title: str
    values: dict[str, str]


def command(record: Record) -> str:
    """As a shell takes it."""
    return as_typed(["caspl", "train", *record.command])


def of_record(record: Record) -> list[Facts]:
    """All that is known, kind by kind."""
    kinds = {
        "Result": _result(record.result),
        "Protocol": _protocol(record.protocol, record.dataset, record.model),
        "Model": _model(record.model),
        "Boosting prompts": _boosting(record.boosting),
        "Images": _images(record.dataset),
        "Cost": _cost(record.cost),
        "How it was run": _how(record),
        "Predictions": _predictions(record.predictions),
    }
    facts = [Facts(title, {name: value for name, value in values if value}) for title, values in kinds.items()]
    return [kind for kind in facts if kind.values]


def of_log(run: Run) -> list[Facts]:
    """What there is of a run that left no record."""
    values = [
        ("images tested", f"{run.images:,}" if run.images is not None else ""),
        ("configuration", run.config),
        ("CLIP", run.backbone or ""),
        ("epoch", run.epoch or ""),
    ]
    return [Facts("As its log says", {name: value for name, value in values if value})]


Values = Iterator[tuple[str, str]]


def _result(result: Result | None) -> Values:
    if result is None:
        return
    yield "correct", f"{result.correct:,} of {result.total:,} {result.split} images"
    yield "accuracy", f"{result.accuracy:.2f} %"
    yield "macro F1", f"{result.macro_f1:.2f} %"
    yield "calibration error (ECE)", "" if result.ece is None else f"{result.ece:.2f} %"
    yield "of all classes", "not tested" if result.all_classes is None else f"{result.all_classes:.2f} %"


def _protocol(protocol: Protocol | None, dataset: Dataset | None, model: Model | None) -> Values:
    if protocol is None:
        return
    training = model.training if model is not None else None
    if protocol.labels == "shots" and training is not None and training.shots:
        yield "labels read", f"of {counted(training.shots, 'image')} of each class"
    else:
        yield "labels read", LABELS.get(protocol.labels, "unknown")
    yield "unlabelled images", protocol.unlabelled or "none"
    if protocol.names_phase1:
        yield "names known to phase 1", WHOSE.get(protocol.names_phase1, "unknown")
    if protocol.names_phase2:
        yield "names known to training", WHOSE.get(protocol.names_phase2, "unknown")
    told = WHOSE.get(protocol.told, "all classes")
    count = f", {len(dataset.classes):,}" if dataset is not None else ""
    yield "the tested model chose among", f"{told}{count}"
    epoch = f"{model.epoch}, " if model is not None and model.epoch is not None else ""
    if protocol.chosen_by:
        yield "epoch", f"{epoch}{EPOCHS.get(protocol.chosen_by, 'nobody says why')}"


def _model(model: Model | None) -> Values:
    if model is None:
        return
    yield "trainer", model.trainer
    yield "CLIP", model.backbone
    yield "its fingerprint", model.fingerprint[:SHORT]
    yield "numbers learned", f"{model.parameters:,}" if model.parameters else "none"
    if (training := model.training) is not None:
        yield "trained on", f"{training.dataset}{f', {WHOSE[training.subset]}' if training.subset else ''}"
        yield "seed", "" if training.seed is None else str(training.seed)
        yield "epochs", "" if training.epochs is None else str(training.epochs)
    yield "model of", model.folder
    yield "files", ", ".join(f"{file.name} ({file.sha256[:SHORT]})" for file in model.files)


def _boosting(boosting: Boosting | None) -> Values:
    if boosting is None:
        return
    yield "file", f"{boosting.source} ({boosting.sha256[:SHORT]})"
    yield "student and teacher", f"{boosting.student}, {boosting.teacher}"
    yield "learned on", f"{boosting.dataset}, {WHOSE[boosting.names]}"
    yield (
        "tokens",
        ", ".join(
            f"{length} {tower} in {depth} blocks"
            for tower, length, depth in (
                ("text", boosting.text_length, boosting.text_depth),
                ("image", boosting.vision_length, boosting.vision_depth),
            )
            if depth
        ),
    )
    yield "loss", f"{boosting.loss}, temperature {boosting.temperature:g}"
    yield "template", boosting.template
    yield "epochs, seed", f"{boosting.epochs}, {boosting.seed}"


def _images(dataset: Dataset | None) -> Values:
    if dataset is None:
        return
    yield "dataset", dataset.name
    names = [*dataset.classes[:NAMES], *["..."] * (len(dataset.classes) > NAMES)]
    yield "classes", f"{len(dataset.classes):,}: {', '.join(names)}"
    for name, part in (("training", dataset.train), ("validation", dataset.val), ("test", dataset.test)):
        yield name, _part(part)


def _part(part: Part) -> str:
    return f"{part.images:,}{f' ({part.sha256[:SHORT]})' if part.sha256 else ''}" if part.images else "none"


def _cost(cost: Cost) -> Values:
    yield "began", cost.started
    yield "ended", cost.ended
    yield "training", duration(cost.training_seconds) if cost.training_seconds else ""
    yield "final test", duration(cost.evaluation_seconds) if cost.evaluation_seconds else ""
    yield "memory", _size(cost.memory)
    yield "GPU memory", _size(cost.gpu_memory)


def duration(seconds: float) -> str:
    """For example 0.5 s, 4 min 10 s, 3 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count else ""


def _how(record: Record) -> Values:
    configuration, code, machine = record.configuration, record.code, record.machine
    yield "configuration", configuration.config_file
    yield "dataset's configuration", configuration.dataset_config_file
    yield "settings", f"{len(configuration.settings)} not at their default ({configuration.sha256[:SHORT]})"
    changed = {None: "", True: ", with changes", False: ""}[code.modified]
    yield "program", f"caspl {code.version}{f', {code.revision[:SHORT]}{changed}' if code.revision else ''}"
    yield "device", ", ".join(filter(None, (machine.device, machine.device_name)))
    yield "precision", ", ".join(filter(None, (machine.precision, machine.computes_in and f"in {machine.computes_in}")))
    yield "versions", f"Python {machine.python}, PyTorch {machine.torch}"


def _predictions(predictions: Predictions | None) -> Values:
    if predictions is not None:
        yield "file", f"{predictions.file} ({predictions.sha256[:SHORT]})"
        yield "images", f"{predictions.images:,}"
