"""One training step of the text tower: the plain path of the family's code against ours, in one run.

    python -m bench text_tower --classes 50
    python -m bench text_tower --classes 1000 --plain-chunk 125

Both paths get the same random weights, the same ImageNet class names and the same prompts: `--ctx` adapting tokens at the
input and `--boosting` tokens in `--depth` blocks. A step is the class features, a scalar of them, and its gradients for all
prompts. Each path has a process of its own, and they take turns; time is the median of `--repeats` steps behind some that are
not counted, memory the peak above what the process held with the weights loaded. Values and gradients of the two are compared.
Where the plain path does not fit the memory, `--plain-chunk` runs it over so many classes at a time and adds the gradients up:
the same work, but its peak is then that of one chunk.
"""

from __future__ import annotations

import argparse

import open_clip
import torch
from torch import Tensor

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure
from bench.frame.sides import Step, sides
from bench.tower import plain
from caspl.prompting.groups import PromptGroup
from caspl.prompting.layout import ClassTokens
from caspl.prompting.text_tower import TextTower


def prepare(args: argparse.Namespace, path: str) -> Step:
    model = plain.build_clip(args.backbone, args.device)
    tokens = ClassTokens(plain.class_names(args.classes), open_clip.SimpleTokenizer())
    generator, width = torch.Generator().manual_seed(1), model.positional_embedding.shape[1]
    depth = min(args.depth, len(model.transformer.resblocks))
    entries = [plain.prompts(generator, args.ctx, width, 1, args.device)]
    entries.append(plain.prompts(generator, args.boosting, width, depth, args.device))
    groups = [PromptGroup(text=text) for text in entries if text]
    prompts = [entry for text in entries for entry in text]
    weights = torch.randn(args.classes, model.text_projection.shape[1], generator=generator).to(args.device)
    tower, chunk = TextTower(model, tokens), args.plain_chunk or args.classes

    def ours() -> dict[str, list[Tensor]]:
        features = tower(groups)[0]
        grads = torch.autograd.grad((features * weights).sum(), prompts)
        return {"values": [features.detach()], "grads": list(grads)}

    def plainly() -> dict[str, list[Tensor]]:
        parts, sums = [], [torch.zeros_like(p) for p in prompts]
        for first in range(0, args.classes, chunk):
            part = slice(first, first + chunk)
            features = plain.text_features(model, tokens, groups, part)
            grads = torch.autograd.grad((features * weights[part]).sum(), prompts)
            parts.append(features.detach())
            sums = [total + grad for total, grad in zip(sums, grads, strict=True)]
            del features, grads
        return {"values": [torch.cat(parts)], "grads": sums}

    return ours if path == "ours" else plainly


def measure(args: argparse.Namespace) -> list[Figure]:
    with sides(args, ("plain", "ours"), lambda path: prepare(args, path)) as found:
        return plain.steps_compared(found, args)


def arguments(parser: argparse.ArgumentParser) -> None:
    plain.backbone_argument(parser)
    parser.add_argument("--classes", type=int, default=50, help="classes, spread over ImageNet's list")
    parser.add_argument("--ctx", type=int, default=8, help="adapting tokens (shallow)")
    parser.add_argument("--boosting", type=int, default=8, help="boosting tokens")
    parser.add_argument("--depth", type=int, default=12, help="blocks that the boosting tokens enter")
    parser.add_argument("--plain-chunk", type=int, default=0, help="classes at a time in the plain path, 0 for all")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={
        "50": "--classes 50 --repeats 5",
        "400": "--classes 400 --repeats 1 --warm-up 0",
        "1000": "--classes 1000 --repeats 1 --warm-up 0 --plain-chunk 125",
    },
    trial="--classes 4 --plain-chunk 2",
    tables={
        "text_tower": Table(
            head="classes",
            columns={
                "plain": "plain",
                "ours": "ours",
                "faster": "faster",
                "peak memory above the weights, plain": "memory of plain",
                "ours ": "memory of ours",
                "largest relative difference, values": "values differ",
                "gradients": "gradients differ",
            },
        )
    },
)
