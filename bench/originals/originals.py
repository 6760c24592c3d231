"""A training step and an evaluation of the original repositories against ours, in one run: CoOp, CoCoOp, MaPLe, PromptSRC.

    python -m bench originals --method PromptSRC --classes 50 --batch 4 --checkouts FOLDER
    python -m bench originals --method CoOp --coop ../CoOp --dassl ../Dassl.pytorch

`--checkouts` holds checkouts under their names on GitHub. Each side has a process of its own, which waits until it is told to
go, and they take turns. The original's code runs as it is, on the CPU in fp32 (bench/originals/shims.py says what it needs for
that); it begins with its own prompts, from which ours go on. Both have the same random weights of ViT-B/16's shape, the same
names out of ImageNet's list, the same images and the same configuration file of the method. First numbers are compared: loss
and gradients of a step, logits of an evaluation; then times are taken. Images are not read or decoded on either side.

A step is the trainer's `forward_backward`, the optimiser's step included. An evaluation encodes the classes once on our side,
and once for each batch (CoCoOp: image) in the original. CoOp is also measured with `TRAINER.COOP.CROP_POOL`, as of its second
epoch: features of the batch's crops are there. That is another recipe, with a few crops of each image instead of a new one in
each epoch. PromptSRC's references come from `--templates` of its 60 templates on both sides, which no step's time depends on.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from bench.frame.benchmark import Benchmark, Table, count
from bench.frame.figures import Figure, faster, median
from bench.frame.sides import ROOT, Side, Step, again, difference, serve, start
from bench.frame.timing import alternating
from bench.originals.checkouts import DASSL, FOLDERS, ORIGINALS, checked
from bench.tower import plain
from bench.training import steps
from caspl.checkpoints.family import released_prompts
from caspl.ground.errors import InputError
from caspl.prompting.model import CachedClassFeatures

METHODS = ("CoOp", "CoCoOp", "MaPLe", "PromptSRC")
FLAGS = {"CoOp": "coop", "multimodal-prompt-learning": "maple", "PromptSRC": "promptsrc", DASSL: "dassl"}
CLOSE = 2e-5  # of loss, gradients and logits, relative to the largest entry


# ---------------------------------------------------------------------------------------------------------------------
# Our side
# ---------------------------------------------------------------------------------------------------------------------
def prepare(args: argparse.Namespace) -> dict[str, Step]:
    made, theirs = torch.load(args.made), torch.load(args.state)
    trainer = steps.timed(args.method, classes=args.classes)
    state = released_prompts(theirs["state"], method=trainer.method)
    trainer.load_learner(trainer.learned(), state, Path(args.state))
    if theirs["references"] is not None:
        trainer.plain_classes = F.normalize(theirs["references"].float(), dim=-1)
    batch = {"img": made["images"], "label": made["labels"]}
    trained = {name: p for name, p in trainer.learned().named_parameters() if p.requires_grad}

    def step(batch: dict) -> dict:
        trainer.set_model_mode("train")
        loss = float(trainer.forward_backward(batch)["loss"])
        return {"loss": loss, "grads": {name: p.grad.clone() for name, p in trained.items()}}

    @torch.no_grad()
    def evaluate() -> dict:
        trainer.set_model_mode("eval")
        trainer.model.class_features = CachedClassFeatures(trainer.model.prompted)  # as at the beginning of a test
        return {"logits": torch.cat([trainer.model_inference(part) for part in made["tests"].split(args.test_batch)])}

    found = {"step": lambda: step(batch), "evaluate": evaluate}
    if args.method == "CoOp":
        pool = batch | steps.pooled(trainer, batch)
        found["pooled"] = lambda: step(pool)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Both
# ---------------------------------------------------------------------------------------------------------------------
def checkout(args: argparse.Namespace, name: str) -> Path:
    flag = FLAGS[name]
    if given := getattr(args, flag):
        return checked(given, name, f"--{flag}")
    if args.checkouts:
        return checked(args.checkouts / name, name, "--checkouts")
    raise InputError(f"{args.method} needs a checkout of {name}: --{flag} PATH, or --checkouts FOLDER with it in there")


def words(args: argparse.Namespace, folder: Path) -> list[str]:
    """For their train.py; nothing is written to the folder."""
    found = ["--root", str(folder), "--output-dir", str(folder), "--seed", "1", "--trainer", args.method]
    found += ["--dataset-config-file", "configs/datasets/imagenet.yaml"]
    found += ["--config-file", f"configs/trainers/{args.method}/{steps.FILES[args.method]}.yaml"]
    return [*found, "USE_CUDA", "False", "DATASET.NUM_SHOTS", "16", f"TRAINER.{args.method.upper()}.PREC", "fp32"]


def write_inputs(args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Weights in OpenAI's names; names, images and labels."""
    weights, made, generator = folder / "weights.pt", folder / "made.pt", torch.Generator().manual_seed(2)
    model = plain.build_clip(plain.VIT_B16)
    torch.save(model.state_dict(), weights)
    shape = (3, *model.visual.image_size)
    inputs = {
        "words": words(args, folder),
        "names": plain.class_names(args.classes),
        "images": torch.randn(args.batch, *shape, generator=generator),
        "labels": torch.randint(args.classes, (args.batch,), generator=generator),
        "tests": torch.randn(args.tests, *shape, generator=generator),
    }
    torch.save(inputs, made)
    return weights, made


def commands(args: argparse.Namespace, folder: Path) -> dict[str, tuple[list[str], Path, dict[str, str]]]:
    """Theirs is made ready first, since ours begins with its prompts."""
    there, dassl = checkout(args, FOLDERS[args.method]), checkout(args, DASSL)
    weights, made = write_inputs(args, folder)
    common = ["--made", str(made), "--state", str(folder / "state.pt")]
    theirs = [sys.executable, "-m", "bench.originals.theirs", *common, "--weights", str(weights)]
    theirs += ["--threads", str(args.threads), "--batch", str(args.test_batch), "--templates", str(args.templates)]
    path = os.pathsep.join(map(str, (there, dassl, ROOT)))
    return {"theirs": (theirs, there, {"PYTHONPATH": path}), "ours": ([*again("ours"), *common], ROOT, {})}


def compared(theirs: dict, ours: dict, method: str) -> list[Figure]:
    """The differences of a step."""
    grads = released_prompts(theirs["grads"], method=method)
    if grads.keys() != ours["grads"].keys():
        odd = ", ".join(sorted(grads.keys() ^ ours["grads"].keys()))
        raise InputError(f"{method} and ours do not learn the same: {odd}; take the checkout as it is on GitHub")
    pairs = [(grads[name], ours["grads"][name]) for name in grads]
    loss = abs(theirs["loss"] - ours["loss"]) / abs(theirs["loss"])
    return [
        Figure(name="loss differs", value=loss, unit="relative", most=CLOSE),
        Figure(name="gradients differ", value=difference(*zip(*pairs, strict=True)), unit="relative", most=CLOSE),
    ]


def turns(found: dict[str, Side], what: str, repeats: int, *, ours: str = "") -> dict[str, list[float]]:
    paths = {"theirs": found["theirs"].doing(what), "ours": found["ours"].doing(ours or what)}
    return alternating(paths, repeats, warm_up=0)


def measure(args: argparse.Namespace) -> list[Figure]:
    if args.side:
        serve(lambda: prepare(args), args.result)
        sys.exit()
    target = {"least": args.least} if args.least else {}
    with tempfile.TemporaryDirectory() as folder, start(commands(args, Path(folder))) as found:
        for side in found.values():  # which warms it up, too
            side("step")
        first = {name: side.shown() for name, side in found.items()}
        differences = compared(first["theirs"], first["ours"], args.method)
        times = turns(found, "step", args.repeats)
        pooled = []
        if args.method == "CoOp":
            found["theirs"]("step")  # both have taken as many when logits are compared
            found["ours"]("pooled")
            spent = turns(found, "step", args.repeats, ours="pooled")
            pooled = [
                faster(spent, "theirs", "ours", "faster from the pool", **target),
                median("from the pool", spent["ours"]),
            ]
        tests = turns(found, "evaluate", args.evaluations)
        logits = [side.shown()["logits"] for side in found.values()]
    return [
        *pooled[:1],
        faster(times, "theirs", "ours", **({} if pooled else target)),
        median("original", times["theirs"]),
        median("ours", times["ours"]),
        *pooled[1:],
        faster(tests, "theirs", "ours", "evaluation faster"),
        median("evaluation, original", tests["theirs"]),
        median("evaluation, ours", tests["ours"]),
        *differences,
        Figure(name="logits differ", value=difference(logits[:1], logits[1:]), unit="relative", most=CLOSE),
        Figure(name="memory of original", value=first["theirs"]["bytes"] / 1e9, unit="GB"),
        Figure(name="memory of ours", value=first["ours"]["bytes"] / 1e9, unit="GB"),
    ]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method", choices=METHODS, default="PromptSRC")
    parser.add_argument("--classes", type=count, default=50, help="spread over ImageNet's list")
    parser.add_argument("--batch", type=count, default=4, help="images of a step")
    parser.add_argument("--tests", type=count, default=100, help="images of an evaluation")
    parser.add_argument("--test-batch", type=count, default=100, help="of them at a time")
    parser.add_argument("--evaluations", type=count, default=1, help="how often each side evaluates")
    parser.add_argument("--templates", type=count, default=1, help="how many of PromptSRC's")
    parser.add_argument(
        "--least", type=float, help="the target: how many times faster a step has to be (CoOp: from the pool)"
    )
    parser.add_argument("--checkouts", type=Path, metavar="FOLDER", help="with checkouts under their names on GitHub")
    for name, flag in FLAGS.items():
        parser.add_argument(f"--{flag}", type=Path, metavar="PATH", help=f"a checkout of {name}")
    for hidden in ("--made", "--state"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)


GIVEN = "--checkouts {originals}"
BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    runs={
        "PromptSRC, 50 classes, batch 4": f"--method PromptSRC --classes 50 --batch 4 --least 2.5 {GIVEN}",
        "PromptSRC, 500 classes, batch 4": f"--method PromptSRC --classes 500 --batch 4 --least 8 --repeats 2 {GIVEN}",
        "MaPLe, 50 classes, batch 4": f"--method MaPLe --classes 50 --batch 4 --least 3 {GIVEN}",
        "CoCoOp, 50 classes, batch 1": f"--method CoCoOp --classes 50 --batch 1 --least 8 {GIVEN}",
        "CoOp, 50 classes, batch 32": f"--method CoOp --classes 50 --batch 32 --least 10 {GIVEN}",
    },
    trial="--classes 3 --batch 1 --tests 2",
    needs={"originals": ORIGINALS},
    repeats=5,
    tables={
        "originals": Table(
            head="",
            columns={
                "original, step": "original",
                "ours": "ours",
                "faster": "faster",
                "ours, from the pool": "from the pool",
                "faster ": "faster from the pool",
                "peak memory, original": "memory of original",
                "ours ": "memory of ours",
                "original, 100 images tested": "evaluation, original",
                "ours  ": "evaluation, ours",
                "faster  ": "evaluation faster",
            },
        ),
        "originals_numbers": Table(
            head="",
            columns={"loss": "loss differs", "gradients": "gradients differ", "logits of a test": "logits differ"},
        ),
    },
)
