"""Small text towers, class names and cascades of text prompts of every kind, for the tests of the tower and its attentions."""

import open_clip
import torch

from caspl.prompting.groups import PromptGroup

NAMES = ["cat", "a very long name of some dog", "x", "great white shark", "cat (wild)", "great_white_owl"]
C, D, V, TEXT_BLOCKS, VISION_BLOCKS = len(NAMES), 32, 48, 4, 3


def small_clip(heads=4, text_blocks=TEXT_BLOCKS, vision_blocks=VISION_BLOCKS):
    """In float64, frozen."""
    torch.manual_seed(0)
    model = open_clip.CLIP(
        embed_dim=24,
        vision_cfg=dict(image_size=32, patch_size=8, width=V, layers=vision_blocks, head_width=16),
        text_cfg=dict(width=D, heads=heads, layers=text_blocks),
        quick_gelu=True,
    )
    return model.double().eval().requires_grad_(False)


def prompt(*shape):
    return torch.randn(*shape, dtype=torch.double).mul_(0.5).requires_grad_()


def text(length, depth, classes=None, after=0):
    shape = (length, D) if classes is None else (classes, length, D)
    return PromptGroup(text=tuple(prompt(*shape) for _ in range(depth)), after_name=after)


CASCADES = {
    "no prompts": lambda: [],
    "L = 0": lambda: [text(4, 1), PromptGroup()],
    "shallow": lambda: [text(4, 1)],
    "deep": lambda: [text(3, TEXT_BLOCKS)],
    "shallow before deep": lambda: [text(4, 1), text(3, TEXT_BLOCKS)],
    "unequal depths": lambda: [text(2, 3), text(3, 2)],
    "three groups": lambda: [text(2, 1), text(1, 2), text(3, 4)],
    "middle": lambda: [text(5, 1, after=3)],
    "middle before boosting": lambda: [text(4, 1, after=2), text(3, 3)],
    "front": lambda: [text(4, 1, after=4)],
    "front before boosting": lambda: [text(4, 1, after=4), text(3, TEXT_BLOCKS)],
    "deep prompts around the name": lambda: [text(4, 3, after=2), text(2, 2)],
    "class-specific": lambda: [text(4, 1, C)],
    "class-specific before boosting": lambda: [text(4, 1, C), text(3, 3)],
    "class-specific in the middle": lambda: [text(4, 1, C, after=2), text(3, TEXT_BLOCKS)],
    "class-specific behind shared": lambda: [text(2, 2), text(3, 2, C)],
    "class-specific from block 1 on": lambda: [PromptGroup(text=(prompt(4, D), prompt(C, 4, D))), text(3, 3)],
    "deeper entries shorter": lambda: [PromptGroup(text=(prompt(4, D), prompt(2, D), prompt(2, D))), text(3, 4)],
}
# Prompts that depend on the image: a set for each of five, with what all sets share
SETS = {
    "sets": lambda: [PromptGroup(text=(prompt(5, 1, 4, D),)), text(3, 3)],
    "deep sets around the name": lambda: [PromptGroup(text=(prompt(5, 1, 4, D), prompt(5, 1, 3, D)), after_name=2)],
}
