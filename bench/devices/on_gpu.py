"""Every trainer on a real GPU, in every precision: do its runs end well, with the CPU's numbers, and does a step wait?

    python -m bench on_gpu
    python -m bench on_gpu --trainers CoOp PromptSRC --precisions fp16

The demo's models on digits; nothing is downloaded. Of each trainer and precision:

- parts that end well: training with its test, a test of its checkpoint on new classes, going on behind a training that was
  interrupted, prediction of images, an export of the result (where the method has one);
- how far its prompts lie from those of the same training on the CPU in fp32 (not under a loss scaler, which leaves out the
  first steps), and those of the interrupted training from those of a whole one, relative to their norm;
- how often a step waits for the GPU (torch.cuda.set_sync_debug_mode); each wait is printed with its line;
- milliseconds of a step, and of one whose numbers are read at once, in turns. Models so small show the time of Python.

What goes wrong is printed where it goes wrong, and the rest goes on. Exit status 1: something did, or there is no GPU.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from unittest import mock

import torch
from dassl.engine import TRAINER_REGISTRY, build_trainer
from dassl.utils import reset_logger, set_random_seed
from safetensors.torch import load_file
from torch import Tensor

import caspl
import train
from bench.frame.benchmark import Benchmark
from bench.frame.figures import Figure, faster, median
from bench.frame.timing import alternating, timed
from caspl.clip.precision import CHOICES
from caspl.ground.devices import transfers
from caspl.ground.quiet import quiet
from caspl.trainers.cascaded import Cascaded
from caspl.trainers.prompt_trainer import PromptTrainer
from caspl.use.exports.graphs import export_program

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PHASE_1 = "CasPLBoost"
DIFFERENCES = {"fp32": 1e-3, "fp16": 5e-2, "bf16": 2e-1}  # most, of prompts from the CPU's in fp32
AGAIN = 1e-3  # most, of those of an interrupted training from a whole one's
STEPS = 10


def trained() -> list[str]:
    """The trainers that learn prompts, phase 1 first."""
    names = TRAINER_REGISTRY.registered_names()
    ours = [name for name in names if issubclass(TRAINER_REGISTRY.get(name), PromptTrainer)]
    return sorted(ours, key=lambda name: (name != PHASE_1, name))


class Runs:
    """Runs of one trainer in one precision, below `top`, where `boosting` has been trained."""

    def __init__(self, name: str, precision: str, top: Path, boosting: Path | None) -> None:
        self.name, self.precision, self.top, self.boosting = name, precision, top, boosting

    def words(self, folder: str, *more: str, classes: str = "base") -> list[str]:
        trainer = TRAINER_REGISTRY.get(self.name)
        precision = next(key.name for key in trainer.own_keys if key.name.endswith(".PREC"))
        words = ["--root", str(self.top), "--output-dir", str(self.top / folder), "--seed", "1", "--trainer", self.name]
        words += ["--dataset-config-file", str(CONFIGS / "datasets/digits.yaml")]
        words += ["--config-file", str(CONFIGS / "trainers" / self.name / "digits.yaml")]
        pairs = ["DATASET.SUBSAMPLE_CLASSES", classes, "DATASET.NUM_SHOTS", "4", "OPTIM.MAX_EPOCH", "2"]
        pairs += ["DATALOADER.TRAIN_X.BATCH_SIZE", "4", precision, self.precision]
        pairs += ["TRAINER.CASPL.BOOSTING", str(self.boosting)] if issubclass(trainer, Cascaded) else []
        flags, keys = list(more), []
        if "--" in flags:
            flags, keys = flags[: flags.index("--")], flags[flags.index("--") + 1 :]
        return [*words, *flags, *pairs, *keys]

    def run(self, folder: str, *more: str, classes: str = "base") -> Path:
        """What the command does; gives its folder. Raises RuntimeError where it ends with another status than 0."""
        with redirect_stdout(io.StringIO()):
            try:
                status = train.main(self.words(folder, *more, classes=classes))
            finally:
                reset_logger()
        if status:
            raise RuntimeError(f"the command has ended with status {status}")
        return self.top / folder

    def build(self, folder: str, *more: str):
        cfg = train.setup_cfg(train.parse_args(self.words(folder, *more)))
        set_random_seed(1)
        return build_trainer(cfg)

    def interrupted(self, folder: str) -> Path:
        """A training that ends behind its first epoch, and the same command again."""

        def end(finished: int) -> None:
            save(finished)
            if finished:
                raise KeyboardInterrupt

        trainer = self.build(folder)
        save, trainer.save_resume_state = trainer.save_resume_state, end
        try:
            trainer.train()
        except KeyboardInterrupt:
            return self.run(folder)
        raise RuntimeError("the training was not interrupted")


def learned(folder: Path) -> Tensor:
    """All that a run has learned, in one vector."""
    (path,) = [*folder.glob("prompts.safetensors"), *folder.glob("boosting.safetensors")]
    return torch.cat([value.flatten().double() for _, value in sorted(load_file(path).items())])


def distance(there: Tensor, here: Tensor) -> float:
    return float((there - here).norm() / here.norm())


class Parts:
    """Counts what ends well; what does not is printed and left."""

    def __init__(self, what: str) -> None:
        self.what, self.tried, self.well = what, 0, 0

    def __call__(self, part: str, work: Callable[[], object]):
        self.tried += 1
        try:
            found = work()
        except (Exception, SystemExit):
            print(f"{self.what}, {part}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
            return None
        self.well += 1
        return found


def predicted(folder: Path, precision: str) -> None:
    """Images of the size of the tower, predicted on the GPU. Raises RuntimeError where there are no probabilities."""
    used = caspl.load(folder, device="cuda", precision=precision)
    for classes in used.predict(torch.zeros(5, 3, *used.preprocessing.size), top_k=len(used.classnames)):
        if abs(sum(share for _, share in classes) - 1) > 1e-2:
            raise RuntimeError(f"the probabilities of an image are {classes}")


def exported(folder: Path) -> None:
    used = caspl.load(folder)
    if not used.conditional:
        export_program(used, folder / "exported.pt2")


@contextmanager
def stepping(trainer) -> Iterator[Callable[[], object]]:
    """A training step whose figures are looked at when the next one has been made, as the loop does it."""
    trainer.before_train()
    trainer.close_writer()
    trainer.set_model_mode("train")
    trainer.batch_idx, trainer.num_batches = 0, 10**9  # never the last one of an epoch
    batch, before = next(iter(trainer.train_loader_x)), []

    def step() -> None:
        before.append(trainer.forward_backward(batch))
        if len(before) > 1:
            dict(before.pop(0))

    yield step
    torch.cuda.synchronize()


def waits(step: Callable[[], object], what: str) -> float:
    """How often a step waits for the GPU, in the mean of some."""
    for _ in range(3):
        step()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(STEPS):
                step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    said = [warning for warning in found if "synchroniz" in str(warning.message)]
    for place in sorted({f"{warning.filename}:{warning.lineno}" for warning in said}):
        print(f"{what}: a step waits at {place}", file=sys.stderr, flush=True)
    return len(said) / STEPS


def steps(runs: Runs, what: str, args: argparse.Namespace) -> list[Figure]:
    with stepping(runs.build("step")) as step:
        waited = waits(step, what)

        def at_once() -> None:
            with mock.patch.object(transfers, "is_waited_for", lambda device: True):
                step()

        paths = {"step": timed(lambda: several(step), "cuda"), "read at once": timed(lambda: several(at_once), "cuda")}
        times = alternating(paths, args.repeats, warm_up=args.warm_up)
    return [
        Figure(name=f"{what}: waits of a step", value=waited, unit="", n=STEPS, most=0),
        median(f"{what}: step", [1000 * spent / STEPS for spent in times["step"]], "ms"),
        faster(times, "read at once", "step", f"{what}: read at once over step"),
    ]


def several(step: Callable[[], object]) -> None:
    for _ in range(STEPS):
        step()


def checked(runs: Runs, here: Tensor | None, args: argparse.Namespace) -> list[Figure]:
    """The figures of one trainer in one precision; `here` are the CPU's prompts in fp32, None where they could not be made."""
    what = f"{runs.name} {runs.precision}"
    parts, tag = Parts(what), f"{runs.name}-{runs.precision}"
    figures: list[Figure] = []
    whole = parts("training and test", lambda: runs.run(f"{tag}/whole"))
    if whole is not None:
        test = ("--eval-only", "--model-dir", str(whole), "--load-epoch", "2")
        parts("test on new classes", lambda: runs.run(f"{tag}/new", *test, classes="new"))
        parts("prediction", lambda: predicted(whole, runs.precision))
        parts("export", lambda: exported(whole))
        again = parts("an interrupted training", lambda: runs.interrupted(f"{tag}/again"))
        if here is not None and runs.precision in DIFFERENCES:
            most, apart = DIFFERENCES[runs.precision], distance(learned(whole), here)
            figures.append(Figure(name=f"{what}: from the CPU's prompts", value=apart, unit="relative", most=most))
        if again is not None:
            apart = distance(learned(again), learned(whole))
            figures.append(Figure(name=f"{what}: behind an interruption", value=apart, unit="relative", most=AGAIN))
    runs.top = runs.top / tag
    figures += parts("steps", lambda: steps(runs, what, args)) or []
    return [Figure(name=f"{what}: ended well", value=parts.well, unit="", n=parts.tried, least=parts.tried), *figures]


def measure(args: argparse.Namespace) -> list[Figure]:
    if not torch.cuda.is_available():
        print("PyTorch finds no GPU here: nothing was run.", file=sys.stderr)
        return [Figure(name="GPUs", value=0, unit="", least=1)]
    args.device = "cuda"
    figures = [Figure(name="GPUs", value=torch.cuda.device_count(), unit="", least=1)]
    with tempfile.TemporaryDirectory() as folder, quiet(""):
        top = Path(folder)
        boosting = Runs(PHASE_1, "fp32", top, None).run("boosting")
        for name in args.trainers:
            runs = Runs(name, "fp32", top, boosting)
            cpu = Parts(f"{name} on the CPU")
            here = cpu("training", lambda runs=runs, name=name: learned(runs.run(f"{name}-cpu", "--", *ON_CPU)))
            for precision in args.precisions:
                figures += checked(Runs(name, precision, top, boosting), here, args)
                print(f"{name} {precision} is done", file=sys.stderr, flush=True)
    return figures


ON_CPU: Sequence[str] = ("USE_CUDA", "False", "TEST.NO_TEST", "True")


def arguments(parser: argparse.ArgumentParser) -> None:
    names = trained()
    parser.add_argument("--trainers", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--precisions", nargs="+", default=list(CHOICES), choices=CHOICES)


BENCH = Benchmark(
    __name__,
    __doc__,
    measure,
    arguments,
    trial="--trainers CoOp --precisions fp32",
    gpu=True,
    repeats=5,
    threads=1,
)
