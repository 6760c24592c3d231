"""What helps on a CPU, each against what is done without it: bfloat16, more threads, inference mode, channels last.

    python -m bench cpu --only bf16 threads

`bf16` and `amp` are training steps at the shape of ViT-B/16 (`steps.py`) against those in fp32; `threads` is a step by one
thread against one by --threads; `inference_mode` (against no_grad) and `channels_last` (against NCHW, of a ViT and of a
ResNet) are image features of a batch in an evaluation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch

from bench.frame.benchmark import Benchmark, Table
from bench.frame.figures import Figure, faster
from bench.frame.timing import alternating, timed
from bench.tower import plain
from bench.training import steps
from caspl.clip.backbones import Backbone

Paths = tuple[Callable[[], object], Callable[[], object]]  # without it, with it


def halves(name: str, args: argparse.Namespace) -> Iterator[tuple[str, Paths]]:
    for trainer in args.trainers:
        node = steps.TRAINER_REGISTRY.get(trainer).node
        yield f"{trainer}: {name}", tuple(_step(trainer, args, f"TRAINER.{node}.PREC", prec) for prec in ("fp32", name))


def threads(args: argparse.Namespace) -> Iterator[tuple[str, Paths]]:
    for trainer in args.trainers:
        step = _step(trainer, args)

        def by(count: int, step: Callable[[], object] = step) -> None:
            torch.set_num_threads(count)
            step()
            torch.set_num_threads(args.threads)

        yield f"{trainer}: threads", (lambda by=by: by(1), lambda by=by: by(args.threads))


def inference_mode(args: argparse.Namespace) -> Iterator[tuple[str, Paths]]:
    backbone, images = _evaluated(plain.VIT_B16, args)
    ways = torch.no_grad(), torch.inference_mode()
    yield "features: inference_mode", tuple(way(lambda: backbone.encode_images(images)) for way in ways)


def channels_last(args: argparse.Namespace) -> Iterator[tuple[str, Paths]]:
    for name in (plain.VIT_B16, "RN50-quickgelu"):
        (usual, images), (other, _) = _evaluated(name, args), _evaluated(name, args)
        other.model.visual.to(memory_format=torch.channels_last)
        there = images.to(memory_format=torch.channels_last)
        yield (
            f"{name.removesuffix('-quickgelu')}: channels_last",
            (
                torch.no_grad()(lambda b=usual, x=images: b.encode_images(x)),
                torch.no_grad()(lambda b=other, x=there: b.encode_images(x)),
            ),
        )


def _step(trainer: str, args: argparse.Namespace, *options: str) -> Callable[[], object]:
    built = steps.timed(trainer, classes=args.classes, options=options)
    batch = steps.random_batch(built, args.batch)
    return lambda: steps.step(built, batch)


def _evaluated(name: str, args: argparse.Namespace) -> tuple[Backbone, torch.Tensor]:
    backbone = plain.build_backbone(name, name=name)
    size = backbone.image_size if isinstance(backbone.image_size, tuple) else (backbone.image_size,) * 2
    return backbone, torch.randn(args.images, 3, *size, generator=torch.Generator().manual_seed(1))


WAYS = {
    "bf16": lambda args: halves("bf16", args),
    "amp": lambda args: halves("amp", args),
    "threads": threads,
    "inference_mode": inference_mode,
    "channels_last": channels_last,
}


def measure(args: argparse.Namespace) -> list[Figure]:
    figures = []
    for way in args.only:
        for name, (without, with_it) in WAYS[way](args):
            times = alternating({"without": timed(without), "with": timed(with_it)}, args.repeats, warm_up=args.warm_up)
            figures.append(faster(times, "without", "with", name))
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", default=tuple(WAYS), choices=tuple(WAYS), metavar="WAY")
    parser.add_argument(
        "--trainers", nargs="+", default=("MaPLe", "PromptSRC"), choices=tuple(steps.FILES), metavar="TRAINER"
    )
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--images", type=int, default=16, help="of an evaluation's batch")


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    trial="--trainers CoOp --classes 3 --batch 1 --images 1",
    repeats=4,
    tables={
        "cpu": Table(
            head="a step of",
            of=("MaPLe", "PromptSRC"),
            columns={"bf16 against fp32": "bf16", "amp against fp32": "amp", "two threads against one": "threads"},
        )
    },
)
