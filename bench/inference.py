"""Images a second of a deployed classifier: plain ViT-B/16, boosted, boosted and adapted, and the teacher's ViT-L/14.

    python bench/inference.py --batch 4 --repeats 25

All have random weights, ViT shape and the same 100 classes, whose features are encoded beforehand, as `caspl.load` does it. The
models take turns, a batch each. Each is compared with the plain one of the same turn, and the median over the turns taken, so
that a machine whose speed varies slows all alike. What does not vary, the operations of matrix products and attention, is
counted beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

import open_clip
import torch
from tabulate import tabulate
from torch.utils.flop_counter import FlopCounterMode

import plain
from caspl.clip.backbones import Backbone
from caspl.clip.preprocessing import Preprocessing
from caspl.ground import door
from caspl.prompting.learners import Prompts
from caspl.use.predictor import Predictor

CLASSES = 100


def predictor(architecture: str, lengths: list[int], device: str, precision: str) -> Predictor:
    """A CLIP with a group of prompts for each of `lengths` (tokens in every block of both towers)."""
    model = plain.build_clip(architecture, "cpu")
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    backbone = Backbone(architecture, model, open_clip.SimpleTokenizer(), model.visual.image_size, mean, std)
    generator = torch.Generator().manual_seed(1)
    learners = []
    for length in lengths:
        text = plain.prompts(generator, length, backbone.text_width, backbone.text_blocks, "cpu")
        vision = plain.prompts(generator, length, backbone.vision_width, backbone.vision_blocks, "cpu")
        learners.append(Prompts(text, vision, trainable=False))
    preprocessing = Preprocessing(backbone.image_size, mean, std)
    names = plain.class_names(CLASSES)
    return Predictor(backbone, learners, names, preprocessing, device=device, precision=precision)


def seconds(model: Predictor, images: torch.Tensor) -> float:
    begin = time.perf_counter()
    model.logits(images)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def operations(model: Predictor, images: torch.Tensor) -> float:
    """Floating-point operations an image, of matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        model.logits(images)
    return counter.get_total_flops() / len(images)


def main() -> None:
    parser = door.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="ViT-B-16-quickgelu", help="open_clip architecture")
    parser.add_argument("--teacher", default="ViT-L-14-quickgelu", help="open_clip architecture")
    parser.add_argument("--tokens", type=int, default=8, help="boosting tokens, and as many adapting ones")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = {
        "plain": (args.student, []),
        "boosted": (args.student, [args.tokens]),
        "boosted + adapted": (args.student, [args.tokens] * 2),
        "teacher": (args.teacher, []),
    }
    models = {name: predictor(*row, args.device, args.precision) for name, row in rows.items()}
    images = torch.rand(args.batch, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    for model in models.values():
        seconds(model, images)
    times = {name: [] for name in models}
    for _ in range(args.repeats):
        for name, model in models.items():
            times[name].append(seconds(model, images))
    counts = {name: operations(model, images) for name, model in models.items()}
    table, report = [], {}
    for name, model in models.items():
        ratio = statistics.median(own / plain for own, plain in zip(times[name], times["plain"], strict=True))
        speed = args.batch / statistics.median(times[name])
        # Text prompts are folded into the class features; only the image tower's are there when images are classified
        vision = sum(entry.numel() for group in model.prompts() for entry in group.vision)
        prompts = sum(p.numel() for p in model.prompts.parameters())
        weights = sum(p.numel() for p in model.backbone.model.parameters())
        report[name] = {
            "architecture": rows[name][0],
            "images_per_second": speed,
            "time_over_plain": ratio,
            "gflop_per_image": counts[name] / 1e9,
            "operations_over_plain": counts[name] / counts["plain"],
            "parameters_added": vision,
            "share_of_parameters": vision / weights,
            "parameters_with_text_prompts": prompts,
            "share_with_text_prompts": prompts / weights,
        }
        shares = [f"{number:,} ({number / weights:.3%})" for number in (vision, prompts)]
        table.append([name, speed, ratio, counts[name] / 1e9, counts[name] / counts["plain"], *shares])
    headers = [
        "",
        "images/s",
        "time / plain",
        "GFLOP",
        "GFLOP / plain",
        "parameters in use",
        "with folded text prompts",
    ]
    print(tabulate(table, headers, floatfmt=".3f", intfmt=","))
    print(json.dumps({"arguments": vars(args), "torch": torch.__version__, **report}))


if __name__ == "__main__":
    sys.exit(door.run(main))
