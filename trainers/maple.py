"""MaPLe: vision prompts are projected from text prompts. Multi-modal Prompt Learning, arXiv 2210.03117."""

from __future__ import annotations

from collections.abc import Sequence

from yacs.config import CfgNode as CN

from caspl.clip.backbones import Backbone
from caspl.ground.errors import InputError
from caspl.prompting.groups import PromptShape, text_entries
from caspl.prompting.learners import CoupledPrompts

from .prompt_trainer import PromptTrainer
from .registration import register


def extend_cfg(cfg: CN) -> None:
    """Add TRAINER.MAPLE, with the family's defaults."""
    cfg.TRAINER.MAPLE = CN()
    cfg.TRAINER.MAPLE.N_CTX = 2  # tokens in each tower
    cfg.TRAINER.MAPLE.CTX_INIT = "a photo of a"  # words that up to 4 text tokens start from; the rest stays fixed
    cfg.TRAINER.MAPLE.PREC = "fp16"  # fp32, fp16, bf16 or amp
    cfg.TRAINER.MAPLE.PROMPT_DEPTH = 9  # blocks of both towers that the tokens enter; 1 is shallow


@register
class MaPLe(PromptTrainer):
    """Cross-entropy; prompts of both towers, coupled."""

    method, node = "MaPLe", "MAPLE"
    checkpoint_name = "MultiModalPromptLearner"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> CoupledPrompts:
        keys = self.keys
        length, depth = "TRAINER.MAPLE.N_CTX", "TRAINER.MAPLE.PROMPT_DEPTH"
        names = {"text_length": length, "vision_length": length, "text_depth": depth, "vision_depth": depth}
        shape = PromptShape(keys.N_CTX, keys.N_CTX, keys.PROMPT_DEPTH, keys.PROMPT_DEPTH, names)
        shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
        if keys.N_CTX < 1:
            raise InputError(f"{length} is {keys.N_CTX}, expected 1 or more")
        words = backbone.embed(keys.CTX_INIT) if keys.CTX_INIT else None
        text, rest = text_entries(keys.N_CTX, keys.PROMPT_DEPTH, backbone.text_width, words)
        return CoupledPrompts(text, rest, backbone.vision_width)
