"""Boosting prompts for the demo student, which has 3 text and 4 image blocks, both 64 wide, and their checkpoints."""

import torch

from caspl.backbones import load_backbone
from caspl.boosting import BoostingHeader, save_boosting
from caspl.prompts import Prompts


def make_boosting(text=(3, 2), vision=(2, 3), width=64):
    """Prompts of (length, depth) in each tower."""
    torch.manual_seed(7)
    return Prompts(*([0.5 * torch.randn(length, width) for _ in range(depth)] for length, depth in (text, vision)))


def write_boosting(path, prompts, classnames, **changes):
    """A checkpoint of the demo student for digits, with `changes` in its header; gives its path as a string."""
    student = load_backbone("demo/student")
    values = dict(
        student="demo/student",
        student_fingerprint=student.fingerprint,
        dataset="Digits",
        classnames=list(classnames),
        names="all",
        teacher="demo/teacher",
        teacher_fingerprint="0" * 16,
        template="{}",
        temperature=1.0,
        loss="kl",
        epochs=1,
        seed=1,
        **BoostingHeader.shapes(prompts, student),
    )
    save_boosting(path, prompts, BoostingHeader(**values | changes))
    return str(path)
