"""The family's command line: train and test a prompt learner. `train.py` of a checkout and `caspl train` are the same.

    python train.py --root DATA --trainer CoOp --dataset-config-file configs/datasets/digits.yaml \\
        --config-file configs/trainers/CoOp/digits.yaml --seed 1 --output-dir output/coop DATASET.NUM_SHOTS 16

Settings are applied in the order dataset file, trainer file, flags, trailing KEY VALUE pairs. Of a key that comes twice the
last value holds.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from .border import own_only  # before the next ones

# isort: split
from dassl.config import defaults, get_cfg_default, merge_file, merge_options
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY, build_trainer, resume, trackers
from dassl.evaluation import EVALUATOR_REGISTRY
from dassl.utils import collect_env_info, set_random_seed, setup_logger

from . import datasets, trainers  # registration
from .configs import family, find, find_base, flags, published, unread
from .ground import door
from .ground.errors import InputError, unknown_name
from .ground.files import check_writable
from .ground.keys import flat, in_any_case, problems, put, value_of
from .ground.locks import HeldError, locked
from .ground.processes import together
from .ground.yaml_files import load_yaml
from .trainers.records import Keeping

log = logging.getLogger("train")

COMMAND = "python train.py"  # unless the user has called it by another name
LOCK = ".run.lock"  # in the output folder, while a run is under way
REGISTRIES = {  # of the names that keys have, with what they name
    "TRAINER.NAME": ("trainer (TRAINER.NAME, --trainer)", TRAINER_REGISTRY),
    "DATASET.NAME": ("dataset (DATASET.NAME)", DATASET_REGISTRY),
    "TEST.EVALUATOR": ("evaluator (TEST.EVALUATOR)", EVALUATOR_REGISTRY),
}


def parser() -> argparse.ArgumentParser:
    about = __doc__.replace(COMMAND, door.prog(COMMAND))
    made = door.Parser(door.prog(), description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    return flags.add_arguments(made)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Raises InputError for flags that there are not, and values that are none."""
    return flags.parse(parser(), argv)


def apply_flags(cfg, args: argparse.Namespace, keys) -> None:
    """Copy the flags that were given into the configuration."""
    declared = {key.name: key for key in keys}
    for name, key in flags.KEYS.items():
        value = getattr(args, name)
        if value not in (None, ""):
            put(cfg, key, declared[key].canonical(value))


def default_cfg():
    """The configuration before anything is set."""
    cfg = get_cfg_default()
    trainers.extend_cfg(cfg)
    datasets.extend_cfg(cfg)
    return cfg


def setup_cfg(args: argparse.Namespace, *, to_run: bool = False):
    """The frozen configuration of a run; `to_run`: one that begins now, so that what it goes on from must be there.

    Raises InputError, in one sentence with everything that is wrong in files, flags, options and values.
    """
    cfg = default_cfg()
    wrong: list[str] = []
    files = [str(find(file)) for file in (args.dataset_config_file, args.config_file) if file]
    keys = [*defaults.KEYS, *trainers.KEYS, *datasets.KEYS]
    answer = family.answers(cfg.TRAINER)
    for file in files:
        merge_file(cfg, file, find_base, wrong, answer, keys)
    apply_flags(cfg, args, keys)
    merge_options(cfg, args.opts, wrong, answer, keys)
    for key, (_, registry) in REGISTRIES.items():
        put(cfg, key, in_any_case(value_of(cfg, key), registry.registered_names()))
    name = published.TRAINERS.get(cfg.TRAINER.NAME, cfg.TRAINER.NAME)
    trainer = TRAINER_REGISTRY.get(name) if name in TRAINER_REGISTRY.registered_names() else None
    wrong += problems(cfg, keys, [*defaults.RULES, *getattr(trainer, "rules", ())])
    wrong += unknown_names(cfg)
    wrong += flags.problems(args, cfg)
    wrong += [*flags.obstacles(args, cfg, trainer), *trackers.missing(cfg.LOGGER)] if to_run else []
    if hasattr(trainer, "reads"):  # a trainer of ours
        origins = unread.Origins(files, flags.given(args), args.opts[::2])
        wrong += unread.problems(cfg, trainer, keys, trainers.KEYS, origins)
    needed = (("--trainer", cfg.TRAINER.NAME), ("--dataset-config-file", cfg.DATASET.NAME))
    missing = " and ".join(flag for flag, value in needed if not value)
    if missing and not wrong:
        wrong.append(f"missing: {missing}; {door.prog(COMMAND)} --help shows a whole command")
    if wrong:
        raise InputError("; ".join([*wrong, *published.hint(name, wrong)]))
    cfg.freeze()
    return cfg


def unknown_names(cfg) -> list[str]:
    """A clause for each name in the configuration that is in no registry."""
    wrong = []
    for key, (what, registry) in REGISTRIES.items():
        name, known = value_of(cfg, key), registry.registered_names()
        if name and name not in known:
            told = family.unknown_trainer(name, known) if registry is TRAINER_REGISTRY else ""
            wrong.append(told or unknown_name(name, known, what).removesuffix("."))
    return wrong


def run(args: argparse.Namespace, command: Sequence[str] = ()) -> None:
    cfg = setup_cfg(args, to_run=True)
    folder = cfg.OUTPUT_DIR or "."
    with held(folder), together.folder_of_its_own(folder, resume.goes_on_from) as own:
        if own != folder:
            put_elsewhere(cfg, own)
        carry_out(args, cfg, command)


@contextmanager
def held(folder: str) -> Iterator[None]:
    """Inside, `folder` is there and no other run can be under way in it: the first process of a job sees to it."""
    if not together.is_first():
        yield
        return
    check_writable(folder, "the output folder (OUTPUT_DIR, --output-dir)", folder=True)
    os.makedirs(folder, exist_ok=True)
    try:
        with locked(os.path.join(folder, LOCK)):
            yield
    except HeldError as error:
        raise InputError(
            f"another run is under way in {folder} ({error.holder}); wait for it to end, or choose another --output-dir"
        ) from None


def put_elsewhere(cfg, folder: str) -> None:
    """Let a process that is not the first of its job read and write a `folder` of its own, and begin no trackers."""
    cfg.defrost()
    if cfg.RESUME and os.path.realpath(cfg.RESUME) == os.path.realpath(cfg.OUTPUT_DIR):
        cfg.RESUME = ""
    cfg.OUTPUT_DIR, cfg.LOGGER = folder, ""
    cfg.freeze()


def carry_out(args: argparse.Namespace, cfg, command: Sequence[str] = ()) -> None:
    """`command` are the words that `args` come from, for the record of the run."""
    if cfg.SEED >= 0:
        set_random_seed(cfg.SEED)
    elif together.count() > 1:  # whatever it is, it is the same for all
        set_random_seed(together.once(lambda: secrets.randbits(32)))
    setup_logger(cfg.OUTPUT_DIR)
    if cfg.SEED >= 0:
        log.info("Setting fixed seed: %d", cfg.SEED)
    if torch.cuda.is_available() and cfg.USE_CUDA:
        torch.backends.cudnn.benchmark = True
    arguments = "\n".join(f"{key}: {'' if value is None else value}" for key, value in sorted(vars(args).items()))
    if together.count() > 1:
        log.info("%d processes share the images of each batch and of evaluations", together.count())
    if own_only.OTHER:
        log.info("%s is not used: this command has a Dassl, trainers and datasets of its own", own_only.OTHER)
    log.info("** Arguments **\n%s\n** Config **\n%s\n** System info **\n%s\n", arguments, cfg, collect_env_info())

    defaults = flat(load_yaml(default_cfg().dump()))
    with Keeping(cfg, args, command, defaults) as keeping:
        trainer = build_trainer(cfg)
        trainer.defaults = defaults
        if args.eval_only:
            with trainer.closing_trackers():
                trainer.begin_tracking()
                trainer.load_model(args.model_dir or "", epoch=args.load_epoch)
                keeping.begin(trainer)
                trainer.test()
        elif not args.no_train:
            keeping.begin(trainer)
            trainer.train()


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake in what was given (one sentence on stderr), 130 interrupted; see `door.run`."""
    command = sys.argv[1:] if argv is None else argv

    def work() -> None:
        with together.joined():
            run(parse_args(argv), command)

    return door.run(
        work,
        interrupted="interrupted; the same command resumes after the last finished epoch",
    )


if __name__ == "__main__":
    sys.exit(main())
