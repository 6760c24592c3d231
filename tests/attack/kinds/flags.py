"""Flags and options of train.py that are no numbers, contradict each other, or name what is not there; class names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..cases import Case
from ..sound import DIGITS, Sound, recipe
from .commands import OTHERS

TRAIN: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    # what, trainer, more arguments, names
    ("seed is a text", "CoOp", ("--seed", "often"), ("--seed",)),
    ("seed is a fraction", "CoOp", ("--seed", "1.5"), ("--seed",)),
    ("seed is huge", "CoOp", ("--seed", "9" * 30), ("SEED", "--seed")),
    ("seed below -1", "CoOp", ("--seed", "-7"), ("SEED", "--seed")),
    ("an unknown flag", "CoOp", ("--learning-rate", "1"), ("--learning-rate",)),
    ("an unknown trainer", "CoOpp", (), ("CoOpp",)),
    ("the published name CasPL", "CasPL", (), ("CasPLBoost",)),
    ("an empty trainer", "", (), ("--trainer",)),
    ("a trainer with escapes", "\x1b[31mCoOp", (), ("CoOp",)),
    ("an unknown backbone", "CoOp", ("--backbone", "ViT-B/17"), ("ViT-B/17",)),
    ("a backbone that is a folder", "CoOp", ("--backbone", "tmp"), ("tmp",)),
    ("a backbone that is a device", "CoOp", ("--backbone", "/dev/zero"), ("/dev/zero",)),
    ("a backbone with NUL", "CoOp", ("MODEL.BACKBONE.NAME", "'a\\0b'"), ("MODEL.BACKBONE.NAME",)),
    ("a backbone with a long name", "CoOp", ("--backbone", "n" * 5000), ("nnn",)),
    ("an unknown transform", "CoOp", ("--transforms", "rotate_everything"), ("rotate_everything",)),
    ("eval only without a model", "CoOp", ("--eval-only",), ("--model-dir",)),
    ("eval only of no folder", "CoOp", ("--eval-only", "--model-dir", "nowhere"), ("nowhere",)),
    ("eval only of an empty folder", "CoOp", ("--eval-only", "--model-dir", "tmp"), ("tmp",)),
    ("eval only of an empty name", "CoOp", ("--eval-only", "--model-dir", ""), ("--model-dir",)),
    ("an epoch that is not there", "CoOp", ("--eval-only", "--model-dir", "{coop}", "--load-epoch", "99"), ("99",)),
    (
        "an epoch below 0",
        "CoOp",
        ("--eval-only", "--model-dir", "{coop}", "--load-epoch", "-5"),
        ("-5", "--load-epoch"),
    ),
    (
        "an epoch that is a text",
        "CoOp",
        ("--eval-only", "--model-dir", "{coop}", "--load-epoch", "x"),
        ("--load-epoch",),
    ),
    ("a model of another trainer", "CoCoOp", ("--eval-only", "--model-dir", "{coop}", "--load-epoch", "1"), ("coop",)),
    ("a model folder without eval only", "CoOp", ("--model-dir", "{coop}"), ("--model-dir", "--eval-only")),
    ("an epoch without eval only", "CoOp", ("--load-epoch", "1"), ("--load-epoch", "--eval-only")),
    (
        "eval only and no train",
        "CoOp",
        ("--eval-only", "--no-train", "--model-dir", "{coop}", "--load-epoch", "1"),
        ("--no-train",),
    ),
    ("resume of no folder", "CoOp", ("--resume", "nowhere"), ("nowhere",)),
    ("resume of an empty folder", "CoOp", ("--resume", "tmp"), ("tmp",)),
    (
        "resume with eval only",
        "CoOp",
        ("--eval-only", "--model-dir", "{coop}", "--load-epoch", "1", "--resume", "{coop}"),
        ("--resume",),
    ),
    (
        "a dataset file that is a trainer's",
        "CoOp",
        ("--dataset-config-file", recipe("CoOp")),
        ("--dataset-config-file", "DATASET.NAME"),
    ),
    ("a key without a value", "CoOp", ("OPTIM.LR",), ("OPTIM.LR",)),
    ("a flag behind a pair that says otherwise", "CoOp", ("SEED", "1", "--seed", "2"), ("--seed",)),
    ("a key whose value is a flag", "CoOp", ("OPTIM.LR", "--seed", "2"), ("OPTIM.LR",)),
    ("a trainer that is elsewhere", "MMRL", (), ("MMRL",)),
    ("a key of a method that is elsewhere", "CoOp", ("TRAINER.PROMPTKD.N_CTX_TEXT", "4"), ("TRAINER.PROMPTKD",)),
    ("an unknown key", "CoOp", ("OPTIM.RATE", "0.1"), ("OPTIM.RATE",)),
    ("an unknown key in lower case", "CoOp", ("OPTIM.lr", "0.1"), ("OPTIM.lr",)),
    ("a section as a key", "CoOp", ("OPTIM", "0.1"), ("OPTIM",)),
    ("a key below a key", "CoOp", ("OPTIM.LR.X", "0.1"), ("OPTIM.LR.X",)),
    ("an empty key", "CoOp", ("OPTIM.LR", "0.1", "", "1"), ('""', "''", "empty", "key")),
    ("dots as a key", "CoOp", ("OPTIM..LR", "0.1"), ("OPTIM..LR",)),
    ("Python as a key", "CoOp", ("OPTIM.__class__", "1"), ("__class__",)),
    ("Python as a value", "CoOp", ("OPTIM.LR", "__import__('os').system('touch canary')"), ("OPTIM.LR",)),
    ("a deeply nested value", "CoOp", ("OPTIM.LR", "[" * 3000), ("OPTIM.LR",)),
    ("a deeply nested sum", "CoOp", ("OPTIM.LR", "-" * 3000 + "1"), ("OPTIM.LR",)),
    ("a rate of 0", "CoOp", ("OPTIM.LR", "0"), ("OPTIM.LR",)),
    ("no epoch", "CoOp", ("OPTIM.MAX_EPOCH", "0"), ("OPTIM.MAX_EPOCH",)),
    ("a batch of 0", "CoOp", ("DATALOADER.TRAIN_X.BATCH_SIZE", "0"), ("DATALOADER.TRAIN_X.BATCH_SIZE",)),
    ("a test batch of 0", "CoOp", ("DATALOADER.TEST.BATCH_SIZE", "0"), ("DATALOADER.TEST.BATCH_SIZE",)),
    ("workers below 0", "CoOp", ("DATALOADER.NUM_WORKERS", "-1"), ("DATALOADER.NUM_WORKERS",)),
    ("momentum of 1.5", "CoOp", ("OPTIM.MOMENTUM", "1.5"), ("OPTIM.MOMENTUM",)),
    ("weight decay below 0", "CoOp", ("OPTIM.WEIGHT_DECAY", "-1"), ("OPTIM.WEIGHT_DECAY",)),
    ("two means", "CoOp", ("INPUT.PIXEL_MEAN", "[0.5, 0.5]"), ("INPUT.PIXEL_MEAN",)),
    ("a deviation of 0", "CoOp", ("INPUT.PIXEL_STD", "[0.5, 0.5, 0]"), ("INPUT.PIXEL_STD",)),
    ("a crop scale upside down", "CoOp", ("INPUT.RRCROP_SCALE", "(1.0, 0.1)"), ("INPUT.RRCROP_SCALE",)),
    ("a crop scale above 1", "CoOp", ("INPUT.RRCROP_SCALE", "(0.5, 7.0)"), ("INPUT.RRCROP_SCALE",)),
    ("a crop scale of 0", "CoOp", ("INPUT.RRCROP_SCALE", "(0.0, 0.0)"), ("INPUT.RRCROP_SCALE",)),
    ("a size of 0", "CoOp", ("INPUT.SIZE", "(0, 0)"), ("INPUT.SIZE",)),
    ("a size of a million", "CoOp", ("INPUT.SIZE", "(1000000, 1000000)"), ("INPUT.SIZE",)),
    ("a size that is not the tower's", "CoOp", ("INPUT.SIZE", "(48, 48)"), ("INPUT.SIZE",)),
    (
        "a template without {}",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "a photo"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a template with two {}",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "{} of {}"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a template that looks inside",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "{0.__class__}"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a template with a name",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "{name}"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a template with an open brace",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "{} {"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a template with a width",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "{:>999999999}"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a template too long",
        "ZeroshotCLIP",
        ("--eval-only", "TRAINER.ZSCLIP.TEMPLATE", "a " * 200 + "{}"),
        ("TRAINER.ZSCLIP.TEMPLATE",),
    ),
    (
        "a teacher's template without {}",
        "CasPLBoost",
        ("TRAINER.CASPL.TEMPLATE", "a photo"),
        ("TRAINER.CASPL.TEMPLATE",),
    ),
    ("an unknown teacher", "CasPLBoost", ("TRAINER.CASPL.TEACHER", "ViT-Z/1"), ("TRAINER.CASPL.TEACHER", "ViT-Z/1")),
    (
        "no token at all",
        "CasPLBoost",
        ("TRAINER.CASPL.N_CTX_TEXT", "0", "TRAINER.CASPL.N_CTX_VISION", "0"),
        ("TRAINER.CASPL.N_CTX_TEXT",),
    ),
    ("more tokens than positions", "CoOp", ("TRAINER.COOP.N_CTX", "500"), ("TRAINER.COOP.N_CTX",)),
    ("a deeper prompt than the tower", "MaPLe", ("TRAINER.MAPLE.PROMPT_DEPTH", "99"), ("TRAINER.MAPLE.PROMPT_DEPTH",)),
    ("an initial context too long", "CoOp", ("TRAINER.COOP.CTX_INIT", "a " * 500), ("TRAINER.COOP.CTX_INIT",)),
    ("a final model that is none", "CoOp", ("TEST.FINAL_MODEL", "newest"), ("TEST.FINAL_MODEL",)),
    ("an empty final model", "CoOp", ("TEST.FINAL_MODEL", ""), ("TEST.FINAL_MODEL",)),
    ("a split that is none", "CoOp", ("TEST.SPLIT", "train"), ("TEST.SPLIT",)),
    ("an optimiser that is none", "CoOp", ("OPTIM.NAME", "adamx"), ("OPTIM.NAME",)),
    ("a schedule that is none", "CoOp", ("OPTIM.LR_SCHEDULER", "sine"), ("OPTIM.LR_SCHEDULER",)),
    ("an evaluator that is none", "CoOp", ("TEST.EVALUATOR", "Regression"), ("TEST.EVALUATOR",)),
    ("a sampler that is none", "CoOp", ("DATALOADER.TRAIN_X.SAMPLER", "Sorted"), ("DATALOADER.TRAIN_X.SAMPLER",)),
    ("a precision that is none", "CoOp", ("TRAINER.COOP.PREC", "fp8"), ("TRAINER.COOP.PREC",)),
    ("a subset that is none", "CoOp", ("DATASET.SUBSAMPLE_CLASSES", "old"), ("DATASET.SUBSAMPLE_CLASSES",)),
    ("a key of another trainer", "CasPLBoost", ("TRAINER.IVLP.N_CTX_TEXT", "4"), ("TRAINER.IVLP.N_CTX_TEXT",)),
    (
        "a depth of another trainer",
        "CasPLBoost",
        ("TRAINER.IVLP.PROMPT_DEPTH_TEXT", "2"),
        ("TRAINER.IVLP.PROMPT_DEPTH_TEXT",),
    ),
    ("CoOp's key for CoCoOp", "CoCoOp", ("TRAINER.COOP.N_CTX", "5"), ("TRAINER.COOP.N_CTX",)),
    ("CasPL's key for CoOp", "CoOp", ("TRAINER.CASPL.BOOSTING", "{boosting}"), ("TRAINER.CASPL.BOOSTING",)),
    ("a published key", "CasPLBoost", ("KD.FIRST_TRAIN", "True"), ("KD.FIRST_TRAIN",)),
    ("another published key", "CasPLBoost", ("KD.USE_DATASET_LIST", "['OxfordPets']"), ("KD.USE_DATASET_LIST",)),
    ("a published path", "CasPL_CoOp", ("KD.RESULT_PATH", "output/CasPL"), ("KD.RESULT_PATH",)),
    ("no boosting file", "CasPL_CoOp", ("TRAINER.CASPL.BOOSTING", ""), ("TRAINER.CASPL.BOOSTING",)),
    ("a boosting file that is not there", "CasPL_CoOp", ("TRAINER.CASPL.BOOSTING", "nowhere"), ("nowhere",)),
    ("a boosting file that is a run", "CasPL_CoOp", ("TRAINER.CASPL.BOOSTING", "{coop}"), ("coop",)),
    ("initial weights that are not there", "CoOp", ("MODEL.INIT_WEIGHTS", "nowhere.pth"), ("nowhere.pth",)),
    ("initial weights of something else", "CoOp", ("MODEL.INIT_WEIGHTS", "{photo}"), ("MODEL.INIT_WEIGHTS", "0.png")),
    ("members without a union", "CoOp", ("DATASET.MEMBERS", "['Digits']"), ("DATASET.MEMBERS",)),
    ("an unknown dataset", "CoOp", ("DATASET.NAME", "Numbers"), ("Numbers",)),
    ("a dataset that is not there", "CoOp", ("DATASET.NAME", "OxfordPets"), ("OxfordPets", "oxford_pets")),
    ("a union of nothing", "CoOp", ("DATASET.NAME", "Union"), ("DATASET.MEMBERS",)),
    ("a union of the unknown", "CoOp", ("DATASET.NAME", "Union", "DATASET.MEMBERS", "['Numbers']"), ("Numbers",)),
    ("a union of itself", "CasPLBoost", ("DATASET.NAME", "Union", "DATASET.MEMBERS", "['Union']"), ("Union",)),
    (
        "a union twice of one",
        "CasPLBoost",
        ("DATASET.NAME", "Union", "DATASET.MEMBERS", "['Digits', 'Digits']"),
        ("Digits",),
    ),
    ("source domains of a dataset without", "CoOp", ("--source-domains", "real"), ("DOMAINS", "domains")),
)
CLASSES: tuple[tuple[str, bytes], ...] = (
    ("empty", b""),
    ("blank", b"\n \n\t\n"),
    ("binary", bytes(range(256))),
    ("Latin-1", b"caf\xe9\nth\xe9\n"),
    ("UTF-16", "ant\nbee\n".encode("utf-16")),
    ("with NUL", b"ant\nb\0e\n"),
    ("with a name too long", b"ant\n" + b"very " * 200 + b"long\n"),
)

TWICE = "a class may be named twice, with a warning: its probability is shared"


def cases(sound: Sound, seed: int) -> Iterator[Case]:
    places = {name: str(getattr(sound, name)) for name in ("coop", "cocoop", "boosting", "photo", "root")}

    def filled(words: tuple[str, ...]) -> tuple[str, ...]:
        for name, path in places.items():
            words = tuple(word.replace(f"{{{name}}}", path) for word in words)
        return words

    for what, trainer, more, names in TRAIN:
        known = trainer if Path(recipe(trainer)).exists() else "CoOp"
        argv = list(sound.digits(known, *filled(more)))
        argv[argv.index("--trainer") + 1] = trainer
        yield Case("flag", "train", what, tuple(argv), names)
    for argv, names in (
        ((), ("--trainer",)),
        (("--trainer", "CoOp"), ("--dataset-config-file",)),
        (("--dataset-config-file", DIGITS), ("--trainer",)),
        (
            ("--trainer", "CoOp", "--dataset-config-file", DIGITS, "--backbone", "demo/student"),
            ("DATASET.ROOT", "--root"),
        ),
        (("--trainer", "CoOp", "--output-dir"), ("--output-dir",)),
        (("--trainer", "CoOp", "--transforms"), ("--transforms",)),
    ):
        yield Case("flag", "train", " ".join(argv) or "nothing", argv, names)
    for door, what, argv, names in OTHERS:
        yield Case("flag", door, what, filled(argv), names)
    for what, content in CLASSES:
        prepare = partial(write, content=content)
        argv = (places["coop"], places["photo"], "--classes", "names.txt")
        yield Case("class names", "predict", what, argv, ("names.txt", "--classes", "very"), prepare)
    argv = (places["coop"], places["photo"], "--classes", "names.txt")
    prepare = partial(write, content=b"ant\nbee\nant\n")
    yield Case("class names", "predict", "a name twice", argv, (), prepare, status=0, why=TWICE, said="more than once")
    for name in ("tmp", "/dev/zero", "loop", "n" * 300):
        argv = (places["coop"], places["photo"], "--classes", name)
        yield Case("class names", "predict", f"the file {name[:20]}", argv, (name,), odd)


def write(folder: Path, content: bytes) -> None:
    (folder / "names.txt").write_bytes(content)


def odd(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
