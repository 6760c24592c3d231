"""Which trainer reads which configuration key, without asking the trainers, whose imports take seconds.

A test compares it with what they declare.
"""

from __future__ import annotations

from collections.abc import Sequence

NODES = {  # of trainers whose keys don't lie under their own name
    "KgCoOp": "COOP",
    "ProGrad": "COOP",
    "ZeroshotCLIP": "ZSCLIP",
    "ZeroshotCLIP2": "ZSCLIP",
}
OF_PHASE_2 = {f"TRAINER.CASPL.{name}" for name in ("BOOSTING", "FREEZE", "ONE_PHASE", "DEPTH_OF_ADAPTING")}
OF_PROMPTS = {
    "TRAINER.CASPL.CROPS",
    "TRAINER.CASPL.CROP_SEED",
    "TEST.FEATURE_STORE",
    "TRAIN.ATTENTION",
    "TRAIN.COMPILE",
}
OF_TRAINING = {
    "MODEL.INIT_WEIGHTS",
    "DATALOADER.CACHE",
    "OPTIM.ACCUMULATE",
}  # keys of Dassl's that NO_PROMPTS pass over
SEED_STREAM = ("CoOp", "CoCoOp", "KgCoOp", "ProGrad", "VPT", "IVLP", "MaPLe", "PromptSRC")
NO_PROMPTS = ("ZeroshotCLIP", "ZeroshotCLIP2", "LinearProbe")
PHASE_1, CASCADED = "CasPLBoost", "CasPL_"


def reads(trainer: str, key: str) -> bool:
    """Whether a trainer reads a key, such as OPTIM.LR, which all do."""
    method = trainer.removeprefix(CASCADED)
    if key in OF_PHASE_2:
        return trainer.startswith(CASCADED)
    if key in OF_PROMPTS or key in OF_TRAINING:
        return trainer not in NO_PROMPTS
    if key == "TRAIN.MEMORY":
        return trainer not in NO_PROMPTS and method != "CoCoOp"
    if key.startswith("TRAINER.CASPL."):
        return trainer == PHASE_1
    if key == "TRAINER.COOP.W":
        return method == "KgCoOp"
    if key.startswith("TRAINER."):
        return key.startswith(f"TRAINER.{NODES.get(method, method.upper())}.")
    if key.startswith("LOSS."):
        return method == "ProGrad"
    if key == "SEED_STREAM":
        return trainer in SEED_STREAM
    return key != "MODEL.TEXT_STORE" or trainer != "LinearProbe"


def read_by_any(trainers: Sequence[str], key: str) -> bool:
    """Whether one of the trainers reads a key, or the phase 1 that goes before one of them."""
    phase_1 = [PHASE_1] if any(name.startswith(CASCADED) for name in trainers) else []
    return any(reads(name, key) for name in [*trainers, *phase_1])
