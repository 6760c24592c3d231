"""One training step of CoCoOp: the family's loop over images against all images of a batch together, in one run.

    python -m bench cocoop --classes 50 --batch 1
    python -m bench cocoop --classes 50 --batch 8

A step is the image features of a batch, the meta-net, the class features of every image, cross-entropy, and the gradients of
context and meta-net; with `--boosting` tokens it is CasPL_CoCoOp. Both paths get the same random weights, images and names;
each has a process of its own, and they take turns. The family's code keeps the activations of all images until it goes
back; here the plain path goes back after each image and adds the gradients up: the same work, in the memory of one image.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure
from bench.frame.sides import Step, sides
from bench.tower import plain
from caspl.prompting.cascade import Cascade
from caspl.prompting.groups import random_entries
from caspl.prompting.learners import ConditionalContext, Learner, Prompts
from caspl.prompting.model import PromptedCLIP
from caspl.trainers.cocoop import ConditionalPromptModel


def build(args: argparse.Namespace) -> tuple[PromptedCLIP, nn.Module]:
    """A prompted CLIP and its learner."""
    backbone = plain.build_backbone(args.backbone, args.device)
    torch.manual_seed(1)
    learner: Learner = ConditionalContext.new(
        torch.randn(args.ctx, backbone.text_width) * 0.02, None, backbone.embedding_width
    )
    text = random_entries(args.boosting, args.depth, backbone.text_width)
    vision = random_entries(args.boosting, args.depth, backbone.vision_width)
    learner = Cascade(learner, Prompts(text, vision, trainable=False)).to(args.device)
    return PromptedCLIP(backbone, plain.class_names(args.classes)), learner


def prepare(args: argparse.Namespace, path: str) -> Step:
    prompted, learner = build(args)
    clip, tokens = prompted.clip, prompted.tower.tokens
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(args.batch, 3, *clip.visual.image_size, generator=generator).to(args.device)
    labels = torch.randint(0, args.classes, (args.batch,), generator=generator).to(args.device)
    trained = [p for p in learner.parameters() if p.requires_grad]
    ours_model = ConditionalPromptModel(prompted, learner, args.memory * 1e9)

    def ours() -> dict[str, list[Tensor]]:
        logits = ours_model(images)
        grads = torch.autograd.grad(F.cross_entropy(logits, labels), trained)
        return {"values": [logits.detach()], "grads": list(grads)}

    def plainly() -> dict[str, list[Tensor]]:
        with torch.no_grad():
            features = F.normalize(plain.image_features(clip.visual, images, learner()), dim=-1)
        rows, sums = [], [torch.zeros_like(p) for p in trained]
        for feature, label in zip(features, labels, strict=True):
            adapting, *others = learner(feature[None])
            groups = [type(adapting)(text=tuple(entry[0, 0] for entry in adapting.text)), *others]
            text = F.normalize(plain.text_features(clip, tokens, groups), dim=-1)
            logits = prompted.scale * feature @ text.T
            grads = torch.autograd.grad(F.cross_entropy(logits, label) / len(images), trained)
            sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
            rows.append(logits.detach())
            del text, logits, grads
        return {"values": [torch.stack(rows)], "grads": sums}

    return ours if path == "ours" else plainly


def measure(args: argparse.Namespace) -> list[Figure]:
    with sides(args, ("plain", "ours"), lambda path: prepare(args, path)) as found:
        return plain.steps_compared(found, args)


def arguments(parser: argparse.ArgumentParser) -> None:
    plain.backbone_argument(parser)
    parser.add_argument("--classes", type=int, default=50, help="classes, spread over ImageNet's list")
    parser.add_argument("--batch", type=int, default=1, help="images")
    parser.add_argument("--ctx", type=int, default=4, help="context tokens")
    parser.add_argument("--boosting", type=int, default=0, help="boosting tokens in each tower")
    parser.add_argument("--depth", type=int, default=12, help="blocks that the boosting tokens enter")
    parser.add_argument("--memory", type=float, default=4.0, help="GB, as TRAINER.COCOOP.MEMORY")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"1": "--classes 50 --batch 1 --repeats 3", "8": "--classes 50 --batch 8 --repeats 1 --warm-up 0"},
    trial="--classes 4 --batch 2",
    tables={
        "cocoop": Table(
            head="batch",
            columns={
                "plain": "plain",
                "ours": "ours",
                "faster": "faster",
                "largest relative difference, values": "values differ",
                "gradients": "gradients differ",
            },
        )
    },
)
