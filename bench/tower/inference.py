"""Images a second of a deployed classifier: plain ViT-B/16, boosted, boosted and adapted, and the teacher's ViT-L/14.

    python -m bench inference --batch 4 --repeats 25

All have random weights, ViT shape and the same 100 classes, whose features are encoded beforehand, as `caspl.load` does it. The
models take turns, a batch each. Each is compared with the plain one of the same turn, and the median over the turns taken, so
that a machine whose speed varies slows all alike. What does not vary, the operations of matrix products and attention, is
counted beside it.
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, median, ratio
from bench.frame.timing import alternating, timed
from bench.tower import plain
from caspl.clip.preprocessing import Preprocessing
from caspl.prompting.learners import Prompts
from caspl.use.predictor import Predictor

CLASSES = 100


def predictor(architecture: str, lengths: list[int], device: str, precision: str) -> Predictor:
    """A CLIP with a group of prompts for each of `lengths` (tokens in every block of both towers)."""
    backbone = plain.build_backbone(architecture)
    generator = torch.Generator().manual_seed(1)
    learners = []
    for length in lengths:
        text = plain.prompts(generator, length, backbone.text_width, backbone.text_blocks, "cpu")
        vision = plain.prompts(generator, length, backbone.vision_width, backbone.vision_blocks, "cpu")
        learners.append(Prompts(text, vision, trainable=False))
    preprocessing = Preprocessing(backbone.image_size, backbone.mean, backbone.std)
    names = plain.class_names(CLASSES)
    return Predictor(backbone, learners, names, preprocessing, device=device, precision=precision)


def operations(model: Predictor, images: torch.Tensor) -> float:
    """Floating-point operations an image, of matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        model.logits(images)
    return counter.get_total_flops() / len(images)


def measure(args: argparse.Namespace) -> list[Figure]:
    rows = {
        "ViT-B/16": (args.student, []),
        "boosted": (args.student, [args.tokens]),
        "boosted + adapted": (args.student, [args.tokens] * 2),
        "ViT-L/14": (args.teacher, []),
    }
    models = {name: predictor(*row, args.device, args.precision) for name, row in rows.items()}
    images = torch.rand(args.batch, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    paths = {name: timed(lambda model=model: model.logits(images), args.device) for name, model in models.items()}
    times = alternating(paths, args.repeats, warm_up=args.warm_up)
    counts = {name: operations(model, images) for name, model in models.items()}
    plainly, found = "ViT-B/16", []
    for name, model in models.items():
        # Text prompts are folded into the class features; only the image tower's are there when images are classified
        vision = sum(entry.numel() for group in model.prompts() for entry in group.vision)
        prompts = sum(p.numel() for p in model.prompts.parameters())
        weights = sum(p.numel() for p in model.backbone.model.parameters())
        found += [
            median(f"{name}: images a second", [args.batch / spent for spent in times[name]], "images/s"),
            ratio(f"{name}: time", times[name], times[plainly]),
            Figure(name=f"{name}: operations an image", value=counts[name] / 1e9, unit="GFLOP"),
            Figure(name=f"{name}: operations", value=counts[name] / counts[plainly], unit="x"),
            Figure(name=f"{name}: parameters in use", value=vision, unit=""),
            Figure(name=f"{name}: share in use", value=100 * vision / weights, unit="%"),
            Figure(name=f"{name}: parameters with text prompts", value=prompts, unit=""),
            Figure(name=f"{name}: share with text prompts", value=100 * prompts / weights, unit="%"),
        ]
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--student", default=plain.VIT_B16, help="open_clip architecture")
    parser.add_argument("--teacher", default="ViT-L-14-quickgelu", help="open_clip architecture")
    parser.add_argument("--tokens", type=int, default=8, help="boosting tokens, and as many adapting ones")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="fp32")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={"": "--batch 4 --repeats 25"},
    trial="--batch 1 --teacher ViT-B-32-quickgelu",
    repeats=25,
    tables={
        "inference": Table(
            head="",
            of=("ViT-B/16", "boosted", "boosted + adapted", "ViT-L/14"),
            columns={
                "images/s": "images a second",
                "time, plain = 1": "time",
                "operations an image": "operations an image",
                "plain = 1": "operations",
                "parameters in use": "parameters in use",
                "of all": "share in use",
                "with those folded into the class features": "parameters with text prompts",
                "of all ": "share with text prompts",
            },
        )
    },
)
