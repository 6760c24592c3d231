"""Boosting prompts of digits for the demo models, and their checkpoints. The student has 3 text and 4 image blocks, 64 wide."""

import torch

from caspl.checkpoints.boosting import save_boosting, shape_facts
from caspl.checkpoints.headers import BoostingHeader
from caspl.clip.backbones import load_backbone
from caspl.prompting.learners import Prompts

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def make_boosting(text=(3, 2), vision=(2, 3), width=64):
    """Prompts of (length, depth) in each tower."""
    torch.manual_seed(7)
    return Prompts(*([0.5 * torch.randn(length, width) for _ in range(depth)] for length, depth in (text, vision)))


def make_header(prompts, backbone=None, **changes):
    """What a checkpoint of `prompts` for `backbone`, the demo student, says of itself."""
    backbone = backbone or load_backbone("demo/student")
    values = dict(
        student=backbone.name,
        student_fingerprint=backbone.fingerprint,
        dataset="Digits",
        classnames=list(NAMES),
        names="all",
        teacher="demo/teacher",
        teacher_fingerprint="0" * 16,
        template="{}",
        temperature=1.0,
        loss="kl",
        epochs=1,
        seed=1,
        **shape_facts(prompts, backbone),
    )
    return BoostingHeader(**values | changes)


def write_boosting(path, prompts, **changes):
    """A checkpoint of the demo student, with `changes` in its header; gives its path as a string."""
    save_boosting(path, prompts, make_header(prompts, **changes))
    return str(path)
