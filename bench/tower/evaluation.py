"""An evaluation of CoOp or CoCoOp: the family's way against ours, in one run.

    python -m bench evaluation --method CoOp --images 1000 --classes 100
    python -m bench evaluation --method CoCoOp --images 1000 --classes 100 --plain-images 20 --ours-images 200

The family encodes all classes anew for each batch of 100 images (CoOp) or for each image (CoCoOp). Ours encodes them once,
or for all images of a batch together. Three paths, each in a process of its own, in turns: plain; ours, with the image tower;
and ours with the image features out of a store, as in every evaluation after the first one on the same images. Reading and
decoding images is left out everywhere. Where a path is too slow to run on all images, `--plain-images` and `--ours-images`
measure so many and scale the time up, which the report says; logits are compared on the images that all paths have seen.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, faster, median
from bench.frame.sides import Step, difference, sides
from bench.frame.timing import alternating
from bench.tower import plain
from caspl.clip.feature_store import FeatureStore
from caspl.prompting.learners import ConditionalContext, Context
from caspl.prompting.model import CachedClassFeatures, PromptedCLIP
from caspl.trainers.cocoop import ConditionalPromptModel
from caspl.trainers.prompt_trainer import PromptModel

PATHS = ("plain", "ours", "stored")


def build(args: argparse.Namespace) -> PromptModel:
    backbone = plain.build_backbone(args.backbone, args.device)
    prompted = PromptedCLIP(backbone, plain.class_names(args.classes))
    torch.manual_seed(1)
    context = torch.randn(args.ctx, backbone.text_width) * 0.02
    if args.method == "CoOp":
        return PromptModel(prompted, Context(context)).to(args.device)
    learner = ConditionalContext.new(context, None, backbone.embedding_width)
    return ConditionalPromptModel(prompted, learner, args.memory * 1e9).to(args.device)


def plain_logits(model: PromptModel, images: Tensor) -> Tensor:
    clip, tokens, learner = model.prompted.clip, model.prompted.tower.tokens, model.learner
    features = F.normalize(plain.image_features(clip.visual, images), dim=-1)
    if isinstance(learner, Context):
        text = F.normalize(plain.text_features(clip, tokens, learner()), dim=-1)
        return model.prompted.scale * features @ text.T
    rows = []
    for feature in features:
        (group,) = learner(feature[None])
        text = F.normalize(plain.text_features(clip, tokens, [type(group)(text=(group.text[0][0, 0],))]), dim=-1)
        rows.append(model.prompted.scale * feature @ text.T)
    return torch.stack(rows)


def images_of(args: argparse.Namespace, path: str) -> int:
    if path == "stored" and args.method == "CoOp":
        return args.images  # a matter of a second
    return min(args.images, (args.plain_images if path == "plain" else args.ours_images) or args.images)


def prepare(args: argparse.Namespace, path: str) -> Step:
    model, count = build(args).eval(), images_of(args, path)
    # Few different images, used over and over: what they show does not matter, and 1,000 would take memory
    generator = torch.Generator().manual_seed(2)
    pool = torch.randn(args.batch, 3, *model.prompted.clip.visual.image_size, generator=generator).to(args.device)
    batches = [pool[: min(args.batch, count - first)] for first in range(0, count, args.batch)]
    folder = tempfile.TemporaryDirectory()
    store, files = FeatureStore(Path(folder.name) / "store"), _files(Path(folder.name), count)
    if path == "stored":  # what the first evaluation has left behind
        with torch.no_grad():
            once = model.encode_images(pool)
        store.get({}, files, lambda: torch.cat([once[: len(batch)] for batch in batches]))

    @torch.no_grad()
    def step() -> dict[str, Tensor]:
        model.class_features = CachedClassFeatures(model.prompted)  # encoded anew, as in another evaluation
        if path == "plain":
            logits = [plain_logits(model, batch) for batch in batches]
        elif path == "ours":
            logits = [model(batch) for batch in batches]
        else:
            features = store.get({}, files, folder.cleanup).to(args.device)  # computes nothing
            logits = [model.classify(part) for part in features.split(args.batch)]
        return {"logits": torch.cat(logits).cpu()}

    return step


def _files(folder: Path, count: int) -> list[str]:
    """Images whose features are stored are known by their files."""
    for number in range(count):
        (folder / f"{number}.jpg").touch()
    return [str(folder / f"{number}.jpg") for number in range(count)]


def measure(args: argparse.Namespace) -> list[Figure]:
    with sides(args, PATHS, lambda path: prepare(args, path)) as found:
        times = alternating(found, args.repeats, warm_up=args.warm_up)
        logits = {path: side.shown()["logits"] for path, side in found.items()}
    scale = {path: args.images / images_of(args, path) for path in PATHS}
    times = {path: [seconds * scale[path] for seconds in taken] for path, taken in times.items()}
    common = min(map(len, logits.values()))
    return [
        faster(times, "plain", "ours"),
        faster(times, "plain", "stored", "faster with features stored"),
        *(median(path, times[path]) for path in PATHS),
        *(Figure(name=f"images measured, {path}", value=images_of(args, path), unit="images") for path in PATHS),
        *(
            Figure(
                name=f"values differ, {path}",
                value=difference([logits["plain"][:common]], [logits[path][:common]]),
                unit="relative",
                most=1e-4,
            )
            for path in PATHS[1:]
        ),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    plain.backbone_argument(parser)
    parser.add_argument("--method", choices=("CoOp", "CoCoOp"), default="CoOp")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=100, help="classes, spread over ImageNet's list")
    parser.add_argument("--batch", type=int, default=100, help="images at a time, as DATALOADER.TEST.BATCH_SIZE")
    parser.add_argument("--ctx", type=int, default=4, help="context tokens")
    parser.add_argument("--memory", type=float, default=4.0, help="GB, as TRAINER.COCOOP.MEMORY")
    parser.add_argument("--plain-images", type=int, default=0, help="measure the plain path on so many and scale up")
    parser.add_argument("--ours-images", type=int, default=0, help="the same for our two paths")


SETTING = "--images 1000 --classes 100"
BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={
        "CoOp": f"--method CoOp {SETTING} --plain-images 200 --ours-images 200",
        "CoCoOp": f"--method CoCoOp {SETTING} --plain-images 10 --ours-images 100",
    },
    trial="--images 4 --classes 3 --batch 2 --plain-images 2 --ours-images 4",
    repeats=1,
    warm_up=0,
    tables={
        "evaluation": Table(
            head="method",
            columns={
                "plain": "plain",
                "ours, first": "ours",
                "faster": "faster",
                "ours, features stored": "stored",
                "faster ": "faster with features stored",
            },
        )
    },
)
