"""The family's command line: train and test a prompt learner.

    python train.py --root DATA --trainer CoOp --dataset-config-file configs/datasets/digits.yaml \\
        --config-file configs/trainers/CoOp/digits.yaml --seed 1 --output-dir output/coop DATASET.NUM_SHOTS 16

Settings are applied in the order dataset file, trainer file, flags, trailing KEY VALUE pairs.
"""

from __future__ import annotations

import sys

from caspl.ground import door

if __name__ == "__main__":
    door.watch()  # what follows takes seconds, in which Ctrl-C and SIGTERM are answered, too

import argparse
import logging
import os

import torch
from dassl.config import defaults, get_cfg_default, merge_file, merge_options
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY, build_trainer
from dassl.utils import collect_env_info, set_random_seed, setup_logger

import caspl.datasets  # registration
import caspl.trainers  # registration
from caspl.configs import find_base
from caspl.ground.errors import InputError, unknown_name
from caspl.ground.files import HeldError, check_writable, locked
from caspl.ground.keys import problems

log = logging.getLogger("train")

LOCK = ".run.lock"  # in the output folder, while a run is under way


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="", help="folder that holds the datasets' folders")
    parser.add_argument(
        "--output-dir", default="", help="where logs and checkpoints go; an unfinished run there is resumed"
    )
    parser.add_argument("--resume", default="", help="folder of the run to resume from (default: the output folder)")
    parser.add_argument("--seed", type=int, default=-1, help="0 or more: fixed seed; -1: unseeded")
    parser.add_argument("--source-domains", nargs="+", help="source domains, for datasets that have them")
    parser.add_argument("--target-domains", nargs="+", help="target domains, for datasets that have them")
    parser.add_argument("--transforms", nargs="+", help="augmentations, replacing INPUT.TRANSFORMS")
    parser.add_argument("--config-file", default="", help="settings of the trainer (YAML)")
    parser.add_argument("--dataset-config-file", default="", help="settings of the dataset (YAML)")
    parser.add_argument("--trainer", default="", help="name of the trainer, e.g. CasPL_CoOp")
    parser.add_argument("--backbone", default="", help="name of the CLIP, e.g. ViT-B/16 or demo/student")
    parser.add_argument("--head", default="", help="accepted for the family's scripts; no trainer here has a head")
    parser.add_argument("--eval-only", action="store_true", help="load a model and test it")
    parser.add_argument("--model-dir", default="", help="with --eval-only: output folder of the run to load")
    parser.add_argument(
        "--load-epoch", type=int, help="with --eval-only: epoch of the checkpoint (default: best model)"
    )
    parser.add_argument("--no-train", action="store_true", help="build everything, train nothing")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs, e.g. DATASET.NUM_SHOTS 16")
    return parser.parse_args(argv)


def apply_flags(cfg, args: argparse.Namespace) -> None:
    """Copy the flags that were given into the configuration."""
    for flag, section, key in (
        ("root", cfg.DATASET, "ROOT"),
        ("output_dir", cfg, "OUTPUT_DIR"),
        ("resume", cfg, "RESUME"),
        ("source_domains", cfg.DATASET, "SOURCE_DOMAINS"),
        ("target_domains", cfg.DATASET, "TARGET_DOMAINS"),
        ("transforms", cfg.INPUT, "TRANSFORMS"),
        ("trainer", cfg.TRAINER, "NAME"),
        ("backbone", cfg.MODEL.BACKBONE, "NAME"),
        ("head", cfg.MODEL.HEAD, "NAME"),
    ):
        if getattr(args, flag):
            section[key] = getattr(args, flag)
    if args.seed >= 0:
        cfg.SEED = args.seed


def setup_cfg(args: argparse.Namespace):
    """The frozen configuration of a run.

    Raises InputError, in one sentence with everything that is wrong in files, flags, options and values.
    """
    cfg = get_cfg_default()
    caspl.trainers.extend_cfg(cfg)
    caspl.datasets.extend_cfg(cfg)
    wrong: list[str] = []
    for file in filter(None, (args.dataset_config_file, args.config_file)):
        merge_file(cfg, file, find_base, wrong)
    apply_flags(cfg, args)
    merge_options(cfg, args.opts, wrong)
    wrong += problems(cfg, [*defaults.KEYS, *caspl.trainers.KEYS, *caspl.datasets.KEYS])
    for what, name, registry in (
        ("trainer (TRAINER.NAME, --trainer)", cfg.TRAINER.NAME, TRAINER_REGISTRY),
        ("dataset (DATASET.NAME)", cfg.DATASET.NAME, DATASET_REGISTRY),
    ):
        if name and name not in registry.registered_names():
            wrong.append(unknown_name(name, registry.registered_names(), what).removesuffix("."))
    needed = (("--trainer", cfg.TRAINER.NAME), ("--dataset-config-file", cfg.DATASET.NAME))
    missing = " and ".join(flag for flag, value in needed if not value)
    if missing and not wrong:
        wrong.append(f"missing: {missing}; python train.py --help shows a whole command")
    if wrong:
        raise InputError("; ".join(wrong))
    cfg.freeze()
    return cfg


def run(args: argparse.Namespace) -> None:
    cfg = setup_cfg(args)
    folder = cfg.OUTPUT_DIR or "."
    check_writable(folder, "the output folder (OUTPUT_DIR, --output-dir)", folder=True)
    os.makedirs(folder, exist_ok=True)
    try:
        with locked(os.path.join(folder, LOCK)):
            carry_out(args, cfg)
    except HeldError as error:
        raise InputError(
            f"another run is under way in {folder} ({error.holder}); wait for it to end, or choose another --output-dir"
        ) from None


def carry_out(args: argparse.Namespace, cfg) -> None:
    if cfg.SEED >= 0:
        set_random_seed(cfg.SEED)
    setup_logger(cfg.OUTPUT_DIR)
    if cfg.SEED >= 0:
        log.info("Setting fixed seed: %d", cfg.SEED)
    if torch.cuda.is_available() and cfg.USE_CUDA:
        torch.backends.cudnn.benchmark = True
    arguments = "\n".join(f"{key}: {value}" for key, value in sorted(vars(args).items()))
    log.info("** Arguments **\n%s\n** Config **\n%s\n** System info **\n%s\n", arguments, cfg, collect_env_info())

    trainer = build_trainer(cfg)
    if args.eval_only:
        trainer.load_model(args.model_dir, epoch=args.load_epoch)
        trainer.test()
    elif not args.no_train:
        trainer.train()


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake in what was given (one sentence on stderr), 130 interrupted; see `door.run`."""
    return door.run(
        lambda: run(parse_args(argv)), interrupted="interrupted; the same command resumes after the last finished epoch"
    )


if __name__ == "__main__":
    sys.exit(main())
