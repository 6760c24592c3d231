"""An evaluation of CoOp or CoCoOp: the family's way against ours, in one run.

    python bench/evaluation.py --method CoOp --images 1000 --classes 100
    python bench/evaluation.py --method CoCoOp --images 1000 --classes 100 --plain-images 20 --ours-images 200

The family encodes all classes anew for each batch of 100 images (CoOp) or for each image (CoCoOp). Ours encodes them once,
or for all images of a batch together. Three paths, each in a process of its own: plain; ours, with the image tower; and ours
with the image features out of a store, as in every evaluation after the first one on the same images. Reading and decoding
images is left out everywhere. Where a path is too slow to run on all images, `--plain-images` and `--ours-images` measure so
many and scale the time up, which the report says; logits are compared on the images that all paths have seen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

import plain
from caspl.clip.backbones import Backbone
from caspl.clip.feature_store import FeatureStore
from caspl.ground import door
from caspl.prompting.learners import ConditionalContext, Context
from caspl.prompting.model import PromptedCLIP
from caspl.trainers.cocoop import ConditionalPromptModel
from caspl.trainers.prompt_trainer import PromptModel


def build(args: argparse.Namespace) -> PromptModel:
    model = plain.build_clip(args.backbone, args.device)
    backbone = Backbone(
        args.backbone, model, open_clip.SimpleTokenizer(), model.visual.image_size, (0.5,) * 3, (0.5,) * 3
    )
    prompted = PromptedCLIP(backbone, plain.class_names(args.classes))
    torch.manual_seed(1)
    context = torch.randn(args.ctx, backbone.text_width) * 0.02
    if args.method == "CoOp":
        return PromptModel(prompted, Context(context)).to(args.device)
    learner = ConditionalContext.new(context, None, model.text_projection.shape[1])
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


@torch.no_grad()
def measure(args: argparse.Namespace) -> dict:
    model = build(args).eval()
    count = min(args.images, (args.plain_images if args.path == "plain" else args.ours_images) or args.images)
    # Few different images, used over and over: what they show does not matter, and 1,000 would take memory
    generator = torch.Generator().manual_seed(2)
    pool = torch.randn(args.batch, 3, *model.prompted.clip.visual.image_size, generator=generator).to(args.device)
    batches = [pool[: min(args.batch, count - first)] for first in range(0, count, args.batch)]
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(folder)
        if args.path == "stored":  # what the first evaluation has left behind
            once = model.encode_images(pool)
            features = torch.cat([once[: len(batch)] for batch in batches])
            store.get({}, [], lambda: features)
        begin = time.perf_counter()
        if args.path == "plain":
            logits = [plain_logits(model, batch) for batch in batches]
        elif args.path == "ours":
            logits = [model(batch) for batch in batches]
        else:
            features = store.get({}, [], lambda: None).to(args.device)
            logits = [model.classify(part) for part in features.split(args.batch)]
        if args.device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin
    return {"seconds": seconds * args.images / count, "measured": count, "logits": torch.cat(logits).cpu()}


def main() -> None:
    parser = plain.common_arguments(__doc__)
    parser.add_argument("--method", choices=("CoOp", "CoCoOp"), default="CoOp")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=100, help="classes, spread over ImageNet's list")
    parser.add_argument("--batch", type=int, default=100, help="images at a time, as DATALOADER.TEST.BATCH_SIZE")
    parser.add_argument("--ctx", type=int, default=4, help="context tokens")
    parser.add_argument("--memory", type=float, default=4.0, help="GB, as TRAINER.COCOOP.MEMORY")
    parser.add_argument("--plain-images", type=int, default=0, help="measure the plain path on so many and scale up")
    parser.add_argument("--ours-images", type=int, default=0, help="the same for our two paths")
    args = parser.parse_args()
    found = plain.each_path(args, ("plain", "ours", "stored"), measure)
    common = min(len(result["logits"]) for result in found.values())
    report = {f"{path}_seconds": result["seconds"] for path, result in found.items()}
    report |= {f"{path}_images_measured": result["measured"] for path, result in found.items()}
    report["time_ratio"] = found["plain"]["seconds"] / found["ours"]["seconds"]
    report["time_ratio_with_stored_image_features"] = found["plain"]["seconds"] / found["stored"]["seconds"]
    for path in ("ours", "stored"):
        pair = [found["plain"]["logits"][:common]], [found[path]["logits"][:common]]
        report[f"{path}_value_difference"] = plain.difference(*pair)
    plain.publish(args, report)


if __name__ == "__main__":
    sys.exit(door.run(main))
