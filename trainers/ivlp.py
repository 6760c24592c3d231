"""Independent prompts in both towers: IVLP, with deep language prompting as its text-only case, and VPT, vision only.

The baselines of MaPLe, arXiv 2210.03117 (appendix), and of PromptSRC; VPT is Visual Prompt Tuning, arXiv 2203.12119.
"""

from __future__ import annotations

from collections.abc import Sequence

from caspl.clip.backbones import Backbone
from caspl.ground.errors import naming
from caspl.prompting.groups import PromptShape, random_entries, text_entries
from caspl.prompting.learners import Prompts

from .keys import MOST_VISION_TOKENS, depth_key, independent_keys, precision_key, some_tokens, tokens_key, words_key
from .prompt_trainer import PromptTrainer
from .registration import register

IVLP_KEYS = independent_keys("TRAINER.IVLP", tokens=2)
VPT_KEYS = [
    tokens_key("TRAINER.VPT.N_CTX_VISION", 2, "Tokens in the image tower", least=1, most=MOST_VISION_TOKENS),
    words_key("TRAINER.VPT.CTX_INIT", "a photo of a", "Fixed words in front of the class name"),
    precision_key("TRAINER.VPT"),
    depth_key("TRAINER.VPT.PROMPT_DEPTH_VISION", 1, "Image blocks that the tokens enter; 1 is shallow"),
]
KEYS = [*IVLP_KEYS, *VPT_KEYS]
QUANTITIES = {
    "text length": "N_CTX_TEXT",
    "vision length": "N_CTX_VISION",
    "text depth": "PROMPT_DEPTH_TEXT",
    "vision depth": "PROMPT_DEPTH_VISION",
}


@register
class IVLP(PromptTrainer):
    """Cross-entropy; text and vision prompts are parameters of their own, in as many blocks as each depth says."""

    method, node, own_keys = "IVLP", "IVLP", IVLP_KEYS
    rules = (some_tokens("TRAINER.IVLP"),)
    checkpoint_name = "VLPromptLearner"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        keys = self.keys
        shape = PromptShape(keys.N_CTX_TEXT, keys.N_CTX_VISION, keys.PROMPT_DEPTH_TEXT, keys.PROMPT_DEPTH_VISION)
        return independent_prompts(backbone, keys.CTX_INIT, shape, self.node)


@register
class VPT(PromptTrainer):
    """Cross-entropy; vision prompts only, the class texts are a fixed phrase."""

    method, node, own_keys = "VPT", "VPT", VPT_KEYS

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        keys = self.keys
        shape = PromptShape(vision_length=keys.N_CTX_VISION, vision_depth=keys.PROMPT_DEPTH_VISION)
        return independent_prompts(backbone, keys.CTX_INIT, shape, self.node)


def independent_prompts(backbone: Backbone, phrase: str, shape: PromptShape, node: str) -> Prompts:
    """Prompts of `shape` for both towers. Raises InputError, naming the keys in `node`, where the backbone can't take them."""
    with naming({quantity: f"TRAINER.{node}.{key}" for quantity, key in QUANTITIES.items()}):
        shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
    words = backbone.embed(phrase) if phrase else None
    text, rest = text_entries(shape.text_length, shape.text_depth, backbone.text_width, words)
    return Prompts(text, random_entries(shape.vision_length, shape.vision_depth, backbone.vision_width), words=rest)
