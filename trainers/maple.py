"""MaPLe: vision prompts are projected from text prompts. Multi-modal Prompt Learning, arXiv 2210.03117."""

from __future__ import annotations

from collections.abc import Sequence

from caspl.clip.backbones import Backbone
from caspl.ground.errors import naming
from caspl.prompting.groups import PromptShape, text_entries
from caspl.prompting.learners import CoupledPrompts

from .keys import depth_key, precision_key, tokens_key, words_key
from .prompt_trainer import PromptTrainer
from .registration import register

KEYS = [
    tokens_key("TRAINER.MAPLE.N_CTX", 2, "Tokens in each tower", least=1),
    words_key(
        "TRAINER.MAPLE.CTX_INIT", "a photo of a", "Words that up to 4 text tokens start from; the rest stays fixed"
    ),
    precision_key("TRAINER.MAPLE"),
    depth_key("TRAINER.MAPLE.PROMPT_DEPTH", 9, "Blocks of both towers that the tokens enter; 1 is shallow", least=1),
]
QUANTITIES = {
    "text length": "TRAINER.MAPLE.N_CTX",
    "vision length": "TRAINER.MAPLE.N_CTX",
    "text depth": "TRAINER.MAPLE.PROMPT_DEPTH",
    "vision depth": "TRAINER.MAPLE.PROMPT_DEPTH",
}


@register
class MaPLe(PromptTrainer):
    """Cross-entropy; prompts of both towers, coupled."""

    method, node, own_keys = "MaPLe", "MAPLE", KEYS
    checkpoint_name = "MultiModalPromptLearner"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> CoupledPrompts:
        keys = self.keys
        shape = PromptShape(keys.N_CTX, keys.N_CTX, keys.PROMPT_DEPTH, keys.PROMPT_DEPTH)
        with naming(QUANTITIES):
            shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
        words = backbone.embed(keys.CTX_INIT) if keys.CTX_INIT else None
        text, rest = text_entries(keys.N_CTX, keys.PROMPT_DEPTH, backbone.text_width, words)
        return CoupledPrompts(text, rest, backbone.vision_width)
