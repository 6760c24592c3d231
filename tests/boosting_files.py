"""Boosting prompts of digits for the demo models, and their checkpoints, ours and those of the published code.

The student has 3 text and 4 image blocks, 64 wide.
"""

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


def official_state(text_width, vision_width, tokens=8, depth=12, classes=37):
    """Phase 1 of the published CasPL, its key names, and a few frozen weights in place of all."""

    def tower(encoder, suffix, width):
        return {
            f"{encoder}.transformer.resblocks.{i}.VPT_shallow{suffix}": torch.randn(tokens, width)
            for i in range(1, depth)
        }

    return {
        "prompt_learner_teacher.ctx": torch.randn(tokens, text_width).half(),
        "prompt_learner_teacher.token_prefix": torch.randn(classes, 1, text_width).half(),
        "prompt_learner_teacher.token_suffix": torch.randn(classes, 76 - tokens, text_width).half(),
        "prompt_learner_teacher.ZS_image_encoder_teacher.class_embedding": torch.randn(1024).half(),
        "image_encoder.VPT": torch.randn(tokens, vision_width),
        "image_encoder.VPT_FIRST": torch.randn(tokens, vision_width),
        "image_encoder.class_embedding": torch.randn(vision_width),
        "text_encoder.positional_embedding": torch.randn(77, text_width),
        "logit_scale": torch.tensor(4.6),
        **tower("image_encoder", "", vision_width),
        **tower("image_encoder", "_FIRST", vision_width),
        **tower("text_encoder", "", text_width),
        **tower("text_encoder", "_FIRST", text_width),
    }


def save_official(state, path, epoch=20):
    """As the published code saves: the schedule with its optimiser inside, as pickled objects."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.0025, momentum=0.9)
    schedule = {"successor": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20), "last_epoch": 20}
    content = {"state_dict": state, "epoch": epoch, "optimizer": optimizer.state_dict(), "scheduler": schedule}
    torch.save(content | {"val_result": None}, path)
