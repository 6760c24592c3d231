"""MaPLe: vision prompts are projected from text prompts. Multi-modal Prompt Learning, arXiv 2210.03117."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from yacs.config import CfgNode as CN

from caspl.clip.backbones import Backbone
from caspl.ground.errors import InputError
from caspl.prompting.groups import PromptGroup, PromptShape, text_entries, with_words

from .prompt_trainer import PromptTrainer
from .registration import register


def extend_cfg(cfg: CN) -> None:
    """Add TRAINER.MAPLE, with the family's defaults."""
    cfg.TRAINER.MAPLE = CN()
    cfg.TRAINER.MAPLE.N_CTX = 2  # tokens in each tower
    cfg.TRAINER.MAPLE.CTX_INIT = "a photo of a"  # words that up to 4 text tokens start from; the rest stays fixed
    cfg.TRAINER.MAPLE.PREC = "fp16"  # fp32, fp16, bf16 or amp
    cfg.TRAINER.MAPLE.PROMPT_DEPTH = 9  # blocks of both towers that the tokens enter; 1 is shallow


class MaPLeLearner(nn.Module):
    """Text prompts `ctx` and `compound_prompts_text.<i>` [N, D], and a linear map D -> V for each block.

    Names are the reference's; there too the maps of the deeper blocks start as copies of one.
    """

    def __init__(self, text: Sequence[Tensor], words: Tensor, vision_width: int):
        super().__init__()
        width = text[0].shape[-1]
        self.register_buffer("words", words, persistent=False)
        self.ctx = nn.Parameter(text[0])
        self.proj = nn.Linear(width, vision_width)
        self.compound_prompts_text = nn.ParameterList(nn.Parameter(entry) for entry in text[1:])
        single = nn.Linear(width, vision_width)
        self.compound_prompt_projections = nn.ModuleList(copy.deepcopy(single) for _ in text[1:])

    def forward(self) -> list[PromptGroup]:
        text = (self.ctx, *self.compound_prompts_text)
        maps = (self.proj, *self.compound_prompt_projections)
        vision = tuple(project(entry) for project, entry in zip(maps, text, strict=True))
        return [PromptGroup(text=with_words(text, self.words), vision=vision)]


@register
class MaPLe(PromptTrainer):
    """Cross-entropy; prompts of both towers, coupled."""

    method, node = "MaPLe", "MAPLE"
    checkpoint_name = "MultiModalPromptLearner"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> MaPLeLearner:
        keys = self.keys
        length, depth = "TRAINER.MAPLE.N_CTX", "TRAINER.MAPLE.PROMPT_DEPTH"
        names = {"text_length": length, "vision_length": length, "text_depth": depth, "vision_depth": depth}
        shape = PromptShape(keys.N_CTX, keys.N_CTX, keys.PROMPT_DEPTH, keys.PROMPT_DEPTH, names)
        shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
        if keys.N_CTX < 1:
            raise InputError(f"{length} is {keys.N_CTX}, expected 1 or more")
        words = backbone.embed(keys.CTX_INIT) if keys.CTX_INIT else None
        text, rest = text_entries(keys.N_CTX, keys.PROMPT_DEPTH, backbone.text_width, words)
        return MaPLeLearner(text, rest, backbone.vision_width)
