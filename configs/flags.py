"""The flags of train.py: the keys that they set, and which of them mean nothing together or name nothing."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.family import check_is_file
from ..ground.errors import InputError
from .published import BOOSTING

KEYS = {
    "root": "DATASET.ROOT",
    "output_dir": "OUTPUT_DIR",
    "resume": "RESUME",
    "seed": "SEED",
    "source_domains": "DATASET.SOURCE_DOMAINS",
    "target_domains": "DATASET.TARGET_DOMAINS",
    "transforms": "INPUT.TRANSFORMS",
    "trainer": "TRAINER.NAME",
    "backbone": "MODEL.BACKBONE.NAME",
    "head": "MODEL.HEAD.NAME",
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "root": dict(help="folder that holds the datasets' folders"),
    "output_dir": dict(help="where logs and checkpoints go; an unfinished run there is resumed"),
    "resume": dict(help="folder of the run to resume from (default: the output folder)"),
    "seed": dict(type=int, help="0 or more: fixed seed; -1: unseeded"),
    "source_domains": dict(nargs="+", help="source domains; no dataset here has any"),
    "target_domains": dict(nargs="+", help="target domains; no dataset here has any"),
    "transforms": dict(nargs="+", help="augmentations, replacing INPUT.TRANSFORMS"),
    "config_file": dict(help="settings of the trainer (YAML)"),
    "dataset_config_file": dict(help="settings of the dataset (YAML)"),
    "trainer": dict(help="name of the trainer, e.g. CasPL_CoOp"),
    "backbone": dict(help="name of the CLIP, e.g. ViT-B/16 or demo/student"),
    "head": dict(help="the family's; no trainer here has a head"),
    "eval_only": dict(action="store_true", help="load a model and test it"),
    "model_dir": dict(help="with --eval-only: output folder of the run to load"),
    "load_epoch": dict(type=int, help="with --eval-only: epoch of the checkpoint (default: best model)"),
    "no_train": dict(action="store_true", help="build everything, train nothing"),
}
TEXTS = (
    "root",
    "output_dir",
    "resume",
    "config_file",
    "dataset_config_file",
    "trainer",
    "backbone",
    "head",
    "model_dir",
)
RESUMED = "resume.pth.tar"  # as dassl/engine/resume.py writes it


def add_arguments(parser: ArgumentParser, number: Callable[[str], Any] = int) -> ArgumentParser:
    """The flags of train.py and the pairs behind them; `number` reads what is to be a whole number."""
    for name, settings in ARGUMENTS.items():
        parser.add_argument(flag(name), **settings | ({"type": number} if "type" in settings else {}))
    parser.add_argument("opts", nargs=REMAINDER, help="KEY VALUE pairs, e.g. DATASET.NUM_SHOTS 16")
    return parser


def parse(parser: ArgumentParser, argv: Sequence[str] | None = None) -> Namespace:
    """Flags before, between and behind the pairs; KEY=VALUE is a pair, too. `opts` becomes [key, value, key, value, ...].

    Raises InputError, as the parser does, and for a flag behind a pair that sets the same key otherwise.
    """
    args, pairs = parser.parse_args(argv), []
    while args.opts:
        word, *rest = args.opts
        if word.startswith("--"):
            before = vars(args).copy()
            args = parser.parse_args(rest if word == "--" else args.opts, Namespace(**before | {"opts": []}))
            _check_once(pairs, {name: vars(args)[name] for name in KEYS if vars(args)[name] != before[name]})
        elif "=" in word[1:] and word[0] not in "-=":
            pairs += word.split("=", 1)
            args.opts = rest
        elif rest and rest[0].split("=")[0] in map(flag, ARGUMENTS):
            raise InputError(f"{word} has no value, {rest[0]} stands behind it; give the pair KEY VALUE")
        else:
            pairs += args.opts[:2]
            args.opts = rest[1:]
    args.opts = pairs
    return args


def _check_once(pairs: Sequence[str], values: Mapping[str, Any]) -> None:
    """Flags stand above files and below pairs; `values` are of flags behind pairs, of which nobody can know that."""
    set_before = dict(zip(pairs[::2], pairs[1::2], strict=False))
    for name, value in values.items():
        if KEYS[name] in set_before and set_before[KEYS[name]] != str(value):
            raise InputError(
                f"{KEYS[name]} is {set_before[KEYS[name]]}, and {flag(name)} behind it {value}; leave out one of the two"
            )


def words_of(args: Namespace) -> list[str]:
    """The words that were parsed, flags in the order of ARGUMENTS, behind the pairs where the last would take these."""
    words: list[str] = []
    for name, settings in ARGUMENTS.items():
        value = getattr(args, name)
        if settings.get("action"):
            words += [flag(name)] if value else []
        elif value is not None:
            words += [flag(name), *(map(str, value) if settings.get("nargs") else [str(value)])]
    last = next((name for name in reversed(ARGUMENTS) if flag(name) in words), "")
    return [*args.opts, *words] if ARGUMENTS.get(last, {}).get("nargs") else [*words, *args.opts]


def flag(name: str) -> str:
    """`output_dir` as it is given."""
    return f"--{name.replace('_', '-')}"


def given(args: Namespace) -> Mapping[str, str]:
    """The keys that flags set, with these flags."""
    return {key: flag(name) for name, key in KEYS.items() if getattr(args, name) is not None}


def problems(args: Namespace, cfg: Any) -> list[str]:
    """What is wrong with the flags, whatever lies on the disk, a clause each.

    `args` are parsed, None for what was not given; `cfg` is the configuration with what the flags set.
    """
    wrong = [f"{flag(name)} is empty; give it a value, or leave it out" for name in TEXTS if getattr(args, name) == ""]
    if args.eval_only and args.no_train:
        wrong.append("--eval-only tests and --no-train only builds; leave out one of the two")
    for name, found in (("--eval-only", args.eval_only), ("--no-train", args.no_train)):
        if found and cfg.RESUME:
            wrong.append(
                f"RESUME (--resume) is {cfg.RESUME}, but with {name} nothing goes on; leave out one of the two"
            )
    lone = [flag(name) for name in ("model_dir", "load_epoch") if getattr(args, name) and not args.eval_only]
    if lone:
        wrong.append(
            f"{' and '.join(lone)} without --eval-only: a training does not read a model; add --eval-only, or name boosting "
            f"prompts at {BOOSTING} and weights to start from at MODEL.INIT_WEIGHTS"
        )
    if args.load_epoch is not None and args.load_epoch < 1:
        wrong.append(f"--load-epoch is {args.load_epoch}, expected the number of an epoch, 1 or more")
    if args.eval_only and args.load_epoch is not None and not args.model_dir:
        wrong.append(f"--load-epoch is {args.load_epoch}, but there is no --model-dir; give the folder of the run")
    return wrong


def obstacles(args: Namespace, cfg: Any, trainer: Any) -> list[str]:
    """What keeps the run from beginning, a clause each; `trainer` is the class, None where there is none of its name."""
    root, wrong = Path(cfg.DATASET.ROOT).expanduser(), []
    if root.exists() and not root.is_dir():
        wrong.append(f"DATASET.ROOT (--root) is {root}, which is no folder; expected the one that holds the datasets")
    if cfg.MODEL.INIT_WEIGHTS and not Path(cfg.MODEL.INIT_WEIGHTS).is_file():
        wrong.append(f"MODEL.INIT_WEIGHTS is {cfg.MODEL.INIT_WEIGHTS}, which is no file; check the path")
    if args.eval_only:
        wrong += _of_a_test(args, cfg, trainer)
    elif not args.no_train:
        wrong += [*filter(None, [trainer.obstacle(cfg)])] if hasattr(trainer, "obstacle") else []
        wrong += _of_resuming(cfg, trainer)
    return wrong


def _of_a_test(args: Namespace, cfg: Any, trainer: Any) -> list[str]:
    """The model that --eval-only tests."""
    if not args.model_dir:
        if not getattr(trainer, "learns", False) or cfg.MODEL.INIT_WEIGHTS:
            return []
        return [
            f"--eval-only needs --model-dir, the output folder of a run of {trainer.__name__}, whose prompts are learned"
        ]
    folder = Path(args.model_dir)
    if not getattr(trainer, "learns", True):
        return [f"--model-dir is {folder}, but {trainer.__name__} learns nothing; leave it out"]
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "is not there"
        return [f"--model-dir {folder} {found}; expected the output folder of a run"]
    if name := getattr(trainer, "checkpoint_name", ""):
        epoch = "-best" if args.load_epoch is None else ""
        ending = "" if args.load_epoch is None else f"-{args.load_epoch}"
        try:
            check_is_file(folder / name / f"model{epoch}.pth.tar{ending}")
        except InputError as error:
            return [str(error)]
    return []


def _of_resuming(cfg: Any, trainer: Any) -> list[str]:
    """The run that RESUME names."""
    if not cfg.RESUME:
        return []
    folder = Path(cfg.RESUME)
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "is not there"
        return [f"RESUME (--resume) is {folder}, which {found}; expected the output folder of a run"]
    name = getattr(trainer, "checkpoint_name", "")
    if (folder / RESUMED).exists() or not name or (folder / name).is_dir():
        return []
    return [f"RESUME (--resume) is {folder}, which holds no {RESUMED} and no {name}/ to go on from; check the path"]
