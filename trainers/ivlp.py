"""Independent prompts in both towers: IVLP, with deep language prompting as its text-only case, and VPT, vision only.

The baselines of MaPLe, arXiv 2210.03117 (appendix), and of PromptSRC; VPT is Visual Prompt Tuning, arXiv 2203.12119.
"""

from __future__ import annotations

from collections.abc import Sequence

from yacs.config import CfgNode as CN

from caspl.clip.backbones import Backbone
from caspl.prompting.groups import PromptShape, random_entries, text_entries
from caspl.prompting.learners import Prompts

from .prompt_trainer import PromptTrainer
from .registration import register


def extend_cfg(cfg: CN) -> None:
    """Add TRAINER.IVLP and TRAINER.VPT, with the family's defaults."""
    cfg.TRAINER.IVLP = CN()
    cfg.TRAINER.IVLP.N_CTX_VISION = 2  # tokens in the image tower, 0 for deep language prompting
    cfg.TRAINER.IVLP.N_CTX_TEXT = 2  # tokens in the text tower
    cfg.TRAINER.IVLP.CTX_INIT = (
        "a photo of a"  # words that up to 4 text tokens start from; the rest of them stays fixed
    )
    cfg.TRAINER.IVLP.PREC = "fp16"  # fp32, fp16, bf16 or amp
    cfg.TRAINER.IVLP.PROMPT_DEPTH_VISION = 9  # image blocks that the tokens enter; 1 is shallow
    cfg.TRAINER.IVLP.PROMPT_DEPTH_TEXT = 9  # text blocks that they enter
    cfg.TRAINER.VPT = CN()
    cfg.TRAINER.VPT.N_CTX_VISION = 2  # tokens in the image tower
    cfg.TRAINER.VPT.CTX_INIT = "a photo of a"  # fixed words in front of the class name
    cfg.TRAINER.VPT.PREC = "fp16"  # fp32, fp16, bf16 or amp
    cfg.TRAINER.VPT.PROMPT_DEPTH_VISION = 1  # image blocks that the tokens enter; 1 is shallow


@register
class IVLP(PromptTrainer):
    """Cross-entropy; text and vision prompts are parameters of their own, in as many blocks as each depth says."""

    method, node = "IVLP", "IVLP"
    checkpoint_name = "VLPromptLearner"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        keys, names = self.keys, ("N_CTX_TEXT", "N_CTX_VISION", "PROMPT_DEPTH_TEXT", "PROMPT_DEPTH_VISION")
        return independent_prompts(backbone, keys.CTX_INIT, self.node, {name: keys[name] for name in names})


@register
class VPT(PromptTrainer):
    """Cross-entropy; vision prompts only, the class texts are a fixed phrase."""

    method, node = "VPT", "VPT"

    def build_learner(self, backbone: Backbone, classnames: Sequence[str]) -> Prompts:
        keys, names = self.keys, ("N_CTX_VISION", "PROMPT_DEPTH_VISION")
        return independent_prompts(backbone, keys.CTX_INIT, self.node, {name: keys[name] for name in names})


def independent_prompts(backbone: Backbone, phrase: str, node: str, lengths: dict[str, int]) -> Prompts:
    """Prompts for both towers, of the lengths and depths that the keys of cfg.TRAINER[`node`] give.

    Raises InputError, naming the keys, where the backbone can't take them.
    """
    shape = PromptShape(
        lengths.get("N_CTX_TEXT", 0),
        lengths["N_CTX_VISION"],
        lengths.get("PROMPT_DEPTH_TEXT", 1),
        lengths["PROMPT_DEPTH_VISION"],
        {
            "text_length": f"TRAINER.{node}.N_CTX_TEXT",
            "vision_length": f"TRAINER.{node}.N_CTX_VISION",
            "text_depth": f"TRAINER.{node}.PROMPT_DEPTH_TEXT",
            "vision_depth": f"TRAINER.{node}.PROMPT_DEPTH_VISION",
        },
    )
    shape.check(text_blocks=backbone.text_blocks, vision_blocks=backbone.vision_blocks, backbone=backbone.name)
    words = backbone.embed(phrase) if phrase else None
    text, rest = text_entries(shape.text_length, shape.text_depth, backbone.text_width, words)
    return Prompts(text, random_entries(shape.vision_length, shape.vision_depth, backbone.vision_width), words=rest)
