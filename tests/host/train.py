"""A host's command line, in the shape of CoOp's. The one line for CasPL is marked."""

import argparse

import datasets.shapes  # noqa: F401
import trainers.prompts  # noqa: F401
from dassl.config import get_cfg_default
from dassl.engine import build_trainer
from dassl.utils import set_random_seed, setup_logger
from yacs.config import CfgNode as CN

import caspl.plugin  # noqa: F401, the one line


def extend_cfg(cfg):
    cfg.TRAINER.COOP = CN()  # without the keys that CasPL's methods have there
    cfg.TRAINER.COOP.N_CTX = 4
    cfg.TRAINER.COOP.CTX_INIT = ""
    cfg.TRAINER.COOP.PREC = "fp32"
    cfg.TRAINER.PROMPTS = CN()
    cfg.TRAINER.PROMPTS.N_CTX = 4
    cfg.DATASET.SUBSAMPLE_CLASSES = "all"


def setup_cfg(args):
    cfg = get_cfg_default()
    extend_cfg(cfg)
    if args.dataset_config_file:
        cfg.merge_from_file(args.dataset_config_file)
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    for value, node, key in (
        (args.root, cfg.DATASET, "ROOT"),
        (args.output_dir, cfg, "OUTPUT_DIR"),
        (args.resume, cfg, "RESUME"),
        (args.seed, cfg, "SEED"),
        (args.trainer, cfg.TRAINER, "NAME"),
        (args.backbone, cfg.MODEL.BACKBONE, "NAME"),
    ):
        if value:
            node[key] = value
    cfg.merge_from_list(args.opts)
    cfg.freeze()
    return cfg


def main(argv=None):
    parser = argparse.ArgumentParser()
    for name in (
        "root",
        "output-dir",
        "resume",
        "config-file",
        "dataset-config-file",
        "trainer",
        "backbone",
        "model-dir",
    ):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--seed", type=int, default=-1)
    parser.add_argument("--load-epoch", type=int)
    parser.add_argument("--eval-only", action="store_true")
    parser.add_argument("opts", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    cfg = setup_cfg(args)
    if cfg.SEED >= 0:
        set_random_seed(cfg.SEED)
    setup_logger(cfg.OUTPUT_DIR)
    trainer = build_trainer(cfg)
    if args.eval_only:
        trainer.load_model(args.model_dir, epoch=args.load_epoch)
        trainer.test()
    else:
        trainer.train()


if __name__ == "__main__":
    main()
